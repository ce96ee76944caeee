import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.models.mlp import mlp
from jdl.train import accumulate, descent, gradient, regression, run

MODEL = mlp([4, 8, 1], jnp.tanh)


def batch(size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=[size, 4]).astype(np.float32), rng.normal(size=[size, 1]).astype(
        np.float32
    )


@pytest.mark.parametrize("parts", [1, 2, 6])
def test_the_direction_of_the_parts_is_that_of_the_whole(key, parts):
    estimator = gradient(regression(MODEL))
    variables = MODEL.init(key)
    whole = estimator(*variables, batch(12), key)
    found = jax.jit(accumulate(estimator, parts))(*variables, batch(12), key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, whole)


def test_buffers_pass_from_part_to_part_and_keys_differ():
    def estimator(params, buffers, batch, key):
        return params, buffers + 1, {"noise": jax.random.uniform(key), "count": jnp.int32(2)}

    _, buffers, info = accumulate(estimator, 3)(
        jnp.ones(2), jnp.int32(0), jnp.ones(6), jax.random.key(0)
    )
    draws = [jax.random.uniform(key) for key in jax.random.split(jax.random.key(0), 3)]
    assert buffers == 3
    np.testing.assert_allclose(info["noise"], np.mean(draws), rtol=1e-6)
    np.testing.assert_allclose(info["count"], 2.0)


def test_optax_accumulates_over_steps(key):
    """Three steps of MultiSteps on thirds are one step on the whole."""
    optimizer = optax.MultiSteps(optax.sgd(0.1), every_k_schedule=3)
    algorithm = descent(gradient(regression(MODEL)), optimizer)
    variables = MODEL.init(key)
    thirds = jax.tree.map(lambda x: x.reshape(3, 4, -1), batch(12))
    state, _ = run(algorithm, algorithm.init(variables), thirds, key)
    once = descent(gradient(regression(MODEL)), optax.sgd(0.1))
    whole, _ = once.step(once.init(variables), batch(12), key)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        state.variables.params,
        whole.variables.params,
    )


def test_batches_that_do_not_divide_are_named(key):
    estimator = accumulate(gradient(regression(MODEL)), 5)
    with pytest.raises(ValueError, match=r"cut into 5 equal parts; got a leaf of shape \(12, 4\)"):
        estimator(*MODEL.init(key), batch(12), key)
    with pytest.raises(ValueError, match="at least one part; got parts=0"):
        accumulate(gradient(regression(MODEL)), 0)
