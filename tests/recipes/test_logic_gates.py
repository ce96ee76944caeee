"""The recipe beside 001's golden runs and truth tables by Python's own operators."""

import operator

import jax
import numpy as np
import pytest

from jdl.recipes import logic_gates as recipe


@pytest.fixture(scope="module")
def report():
    return recipe.run(recipe.Settings(epochs=20, network_inputs=2), jax.random.key(0))


def test_truth_tables_are_those_of_pythons_operators():
    bits = [(a, b) for a in (0, 1) for b in (0, 1)]
    for name, function in [("and", operator.and_), ("or", operator.or_), ("xor", operator.xor)]:
        assert recipe.TABLES[name] == tuple(function(a, b) for a, b in bits)
    for name, negated in [("and", "nand"), ("or", "nor")]:
        assert recipe.TABLES[negated] == tuple(1 - bit for bit in recipe.TABLES[name])


def test_the_rule_learns_and_in_six_epochs_not_in_three_and_xor_never(report):
    metrics = report.metrics
    assert (metrics["and_epochs"], metrics["not_epochs"], metrics["xor_epochs"]) == (6, 3, -1)
    assert "never" in report.text.splitlines()[6] and report.text.splitlines()[6].startswith("xor")


def test_learned_weights_are_the_golden_ones(key):
    weights, bias, epochs = recipe.learned((0, 0, 0, 1), 20, key)
    assert (weights.tolist(), bias, epochs) == ([2, 1], -2, 6)
    weights, bias, epochs = recipe.learned((1, 0), 20, key)
    assert (weights.tolist(), bias, epochs) == ([-1], 1, 3)


def test_networks_compute_all_truth_tables_and_one_unit_all_but_two(report):
    metrics = report.metrics
    assert metrics["shipped_wrong"] == metrics["network_wrong"] == 0
    assert (metrics["tables"], metrics["separable"]) == (16, 14)


def test_each_gate_of_two_inputs_is_drawn_with_its_true_corners(report):
    for axes in report.figures["gates"].axes:
        name = axes.get_title().partition(":")[0].lower()
        filled = [line.get_markerfacecolor() != "white" for line in axes.lines]
        np.testing.assert_array_equal(filled, np.array(recipe.TABLES[name], bool))
    assert len(report.figures["gates"].axes) == 5
