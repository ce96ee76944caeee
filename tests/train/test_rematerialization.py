import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.mlp import mlp
from jdl.train import regression
from jdl.train.rematerialization import rematerialized, segmented_scan

MODEL = mlp([3, 64, 64, 2], jnp.tanh, dropout_rate=0.5)
STEPS = 16


def kept(function, *args):
    """How many numbers the backward pass of a function keeps, its arguments among them."""
    return sum(leaf.size for leaf in jax.tree.leaves(jax.vjp(function, *args)[1]))


@pytest.fixture(scope="module")
def case():
    keys = jax.random.split(jax.random.key(0), 3)
    variables = MODEL.init(keys[0])
    return variables, (jax.random.normal(keys[1], [9, 3]), jax.random.normal(keys[2], [9, 2]))


def test_gradients_are_the_same_with_dropout_too(case, key):
    variables, batch = case
    plain, again = (
        jax.grad(regression(model), has_aux=True)(*variables, batch, key)[0]
        for model in (MODEL, rematerialized(MODEL))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), plain, again)


def test_the_backward_pass_keeps_the_arguments_alone(case, key):
    variables, (inputs, _) = case

    def outputs(model):
        return lambda variables: model.apply(variables, inputs, key=key, train=True)[0]

    arguments = sum(leaf.size for leaf in jax.tree.leaves(variables)) + inputs.size + 1
    assert kept(outputs(rematerialized(MODEL)), variables) <= arguments
    assert kept(outputs(MODEL), variables) > arguments + 2 * 9 * 64
    dots = rematerialized(MODEL, jax.checkpoint_policies.dots_saveable)
    assert arguments < kept(outputs(dots), variables) < kept(outputs(MODEL), variables)


def body(carry, x):
    carry = jnp.tanh(carry + x)
    return carry, carry**2


def summed(scan):
    def value(carry, inputs):
        carry, outputs = scan(carry, inputs)
        return carry.sum() + outputs.sum()

    return value


@pytest.fixture(scope="module")
def chain():
    return jnp.zeros(5), jax.random.normal(jax.random.key(0), [STEPS, 5])


@pytest.mark.parametrize("segment", [1, 4, 16])
def test_a_scan_in_segments_is_the_scan(segment, chain):
    def segments(carry, inputs):
        return segmented_scan(body, carry, inputs, segment=segment)

    ours = jax.value_and_grad(summed(segments), (0, 1))(*chain)
    theirs = jax.value_and_grad(summed(lambda *a: jax.lax.scan(body, *a)), (0, 1))(*chain)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, theirs)
    assert segments(*chain)[1].shape == (STEPS, 5)


def test_segments_keep_a_carry_each_in_place_of_every_steps_values():
    def wide(carry, x):
        return jnp.tanh(jnp.outer(carry, jnp.arange(1.0, 9.0))).mean(1) + x, None

    def segments(carry, inputs):
        return segmented_scan(wide, carry, inputs, segment=4)[0]

    def plain(carry, inputs):
        return jax.lax.scan(wide, carry, inputs)[0]

    carry, inputs = jnp.zeros(5), jnp.ones([STEPS, 5])
    assert kept(plain, carry, inputs) >= STEPS * 5 * 8
    carries = 5 * STEPS // 4
    assert kept(segments, carry, inputs) <= inputs.size + carries + 8 * STEPS // 4


def test_segments_that_do_not_divide_the_steps_are_refused(chain):
    with pytest.raises(ValueError, match="16 steps"):
        segmented_scan(body, *chain, segment=5)
