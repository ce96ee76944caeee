import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.gates import GATES, boolean_network, gate, xor_network
from jdl.models.mlp import mlp
from jdl.models.neurons import binary_threshold

PAIRS = list(itertools.product([0, 1], repeat=2))
TRUTH = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "nand": lambda a, b: not (a and b),
    "nor": lambda a, b: not (a or b),
}


def answers(sizes, variables, rows):
    logits, _ = mlp(sizes, binary_threshold).apply(variables, jnp.array(rows, jnp.float32))
    assert jnp.abs(logits).min() == 0.5, "half way between two values: no input is near a tie"
    return binary_threshold(logits[:, 0]).astype(int).tolist()


@pytest.mark.parametrize("name", TRUTH)
def test_a_gate_computes_its_truth_table(name):
    assert answers([2, 1], gate(name), PAIRS) == [int(TRUTH[name](*row)) for row in PAIRS]


def test_not_has_one_input_and_no_other_gate_is_shipped():
    assert answers([1, 1], gate("not"), [[0], [1]]) == [1, 0]
    assert set(GATES) == set(TRUTH) | {"not"}
    with pytest.raises(ValueError, match="xor_network"):
        gate("xor")


def test_xor_is_the_and_of_or_and_nand():
    assert answers([2, 2, 1], xor_network(), PAIRS) == [0, 1, 1, 0]


@pytest.mark.parametrize("number", range(16))
def test_every_function_of_two_inputs_has_a_network(number):
    table = np.array([number >> i & 1 for i in range(4)]).reshape(2, 2)
    hidden = max(1, int(table.sum()))
    assert answers([2, hidden, 1], boolean_network(table), PAIRS) == table.ravel().tolist()


def test_a_random_function_of_five_inputs_has_a_unit_for_each_true_row():
    table = np.random.default_rng(0).integers(0, 2, [2] * 5)
    rows = list(itertools.product([0, 1], repeat=5))
    network = boolean_network(table)
    assert answers([5, int(table.sum()), 1], network, rows) == table.ravel().tolist()


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="axis of 2"):
        boolean_network(np.zeros(4))
