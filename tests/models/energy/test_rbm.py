import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.energy.rbm import (
    configurations,
    energy,
    log_likelihood,
    log_partition,
    rbm,
    reconstruction,
)

V, H = 5, 3
MODEL = rbm(V, H)
VISIBLE, HIDDEN = configurations(V), configurations(H)


@pytest.fixture(scope="module")
def variables():
    """Weights of order 1, so that a wrong formula shows."""
    rng = np.random.default_rng(0)
    shapes = jax.tree.map(jnp.shape, MODEL.init(jax.random.key(0)).params)
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return Variables(jax.tree.map(jnp.asarray, params))


@pytest.fixture(scope="module")
def joint(variables):
    """p(v, h) by enumeration [2^V, 2^H], float64."""
    p = {name: np.asarray(x, np.float64) for name, x in variables.params.items()}
    v, h = np.asarray(VISIBLE, np.float64), np.asarray(HIDDEN, np.float64)
    minus_energy = (
        (v @ p["visible_bias"])[:, None] + (h @ p["hidden_bias"])[None] + v @ p["kernel"] @ h.T
    )
    weights = np.exp(minus_energy)
    return weights / weights.sum(), np.log(weights.sum())


def test_parameters_of_64_and_100_units_are_those_of_004():
    shapes = jax.eval_shape(rbm(64, 100).init, jax.random.key(0)).params
    assert sum(x.size for x in jax.tree.leaves(shapes)) == 6_564


def test_configurations_are_all_there_is():
    assert len({tuple(row) for row in HIDDEN.tolist()}) == 8
    assert set(np.unique(HIDDEN)) == {0.0, 1.0}


def test_energy_is_the_negative_log_of_the_joint(variables, joint):
    found = energy(variables, VISIBLE[:, None], HIDDEN[None])
    np.testing.assert_allclose(-found - joint[1], np.log(joint[0]), rtol=1e-4, atol=1e-4)


def test_free_energy_sums_the_hidden_units_out(variables, joint):
    found = -MODEL.apply(variables, VISIBLE)[0] - joint[1]
    np.testing.assert_allclose(found, np.log(joint[0].sum(1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("transposed", [False, True])
def test_log_partition_is_the_sum_over_all_from_either_side(variables, joint, transposed):
    if transposed:
        p = variables.params
        variables = Variables(
            {
                "kernel": p["kernel"].T,
                "visible_bias": p["hidden_bias"],
                "hidden_bias": p["visible_bias"],
            }
        )
    np.testing.assert_allclose(log_partition(variables), joint[1], rtol=1e-5)


def test_likelihoods_of_all_configurations_add_to_one(variables):
    total = jnp.exp(log_likelihood(MODEL, variables, VISIBLE)).sum()
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_conditionals_are_those_of_the_joint(variables, joint):
    given_v = joint[0] / joint[0].sum(1, keepdims=True)
    logits, _ = MODEL.apply(variables, VISIBLE, method="hidden_logits")
    np.testing.assert_allclose(jax.nn.sigmoid(logits), given_v @ HIDDEN, rtol=1e-4)
    given_h = (joint[0] / joint[0].sum(0)).T
    logits, _ = MODEL.apply(variables, HIDDEN, method="visible_logits")
    np.testing.assert_allclose(jax.nn.sigmoid(logits), given_h @ VISIBLE, rtol=1e-4)


def test_a_sweep_of_gibbs_leaves_the_distribution_as_it_is(variables, joint, key):
    draws = jax.random.choice(key, VISIBLE, [20_000], p=jnp.asarray(joint[0].sum(1)))
    other = jax.random.key(1)
    (after, hidden), _ = MODEL.apply(variables, draws, key=other, method="gibbs")
    index = (after @ 2.0 ** jnp.arange(V)).astype(int)
    frequency = np.bincount(index, minlength=2**V) / len(draws)
    # Four standard errors of a frequency of 20,000 independent draws.
    error = 4 * np.sqrt(joint[0].sum(1) / len(draws)) + 1e-4
    assert (np.abs(frequency - joint[0].sum(1)) < error).all()
    expected = joint[0].sum(0) @ np.asarray(HIDDEN)
    np.testing.assert_allclose(hidden.mean(0), expected, atol=0.015)


def test_reconstruction_is_one_mean_field_sweep(variables):
    hidden = jax.nn.sigmoid(
        VISIBLE @ variables.params["kernel"] + variables.params["hidden_bias"][None]
    )
    expected = jax.nn.sigmoid(
        hidden @ variables.params["kernel"].T + variables.params["visible_bias"][None]
    )
    np.testing.assert_allclose(reconstruction(MODEL, variables, VISIBLE), expected, rtol=1e-5)


def test_bad_sizes_are_named(variables):
    with pytest.raises(ValueError, match="at least one unit; got 0 and 3"):
        rbm(0, 3)
    with pytest.raises(ValueError, match=r"5 visible units; got \[2, 8, 8\]"):
        MODEL.apply(variables, jnp.zeros([2, 8, 8]))
    with pytest.raises(ValueError, match=r"2\^21 configurations are too many"):
        log_partition(rbm(21, 22).init(jax.random.key(0)))
    with pytest.raises(ValueError, match="needs a key"):
        MODEL.apply(variables, VISIBLE, method="gibbs")
