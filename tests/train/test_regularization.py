"""Penalties and noise around an objective, norms held within a bound."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.nn.noise import gaussian_noise
from jdl.nn.penalties import squared_l2
from jdl.train import descent, gradient
from jdl.train.regularization import constrained, max_norm, noisy_inputs, penalized


def squares(params, buffers, batch, key):
    inputs, targets = batch
    return jnp.mean((inputs @ params["kernel"] - targets) ** 2), (buffers, {})


_random = np.random.default_rng(0)
BATCH = (
    jnp.array(_random.normal(size=(20, 3)), jnp.float32),
    jnp.array(_random.normal(size=(20, 1)), jnp.float32),
)


def test_a_penalised_fit_is_ridge_regression():
    strength = 0.7
    objective = penalized(squares, lambda params: strength * squared_l2(params))
    algorithm = descent(gradient(objective), optax.sgd(0.1))
    step = jax.jit(algorithm.step)
    state = algorithm.init(Variables({"kernel": jnp.zeros([3, 1])}))
    for _ in range(200):
        state, info = step(state, BATCH, jax.random.key(0))
    x, y = map(np.asarray, BATCH)
    ridge = np.linalg.solve(x.T @ x / 20 + strength * np.eye(3), x.T @ y / 20)
    np.testing.assert_allclose(state.variables.params["kernel"], ridge, rtol=1e-4)
    assert float(info["penalty"]) == pytest.approx(strength * (ridge**2).sum(), rel=1e-3)


def test_gaussian_noise_at_the_input_of_a_line_is_ridge_regression_in_the_mean():
    scale, w = 0.5, {"kernel": jnp.array([[1.0], [-2.0], [0.5]])}
    objective = noisy_inputs(squares, lambda x, key: gaussian_noise(x, key, scale))
    losses = jax.jit(jax.vmap(lambda key: objective(w, (), BATCH, key)[0]))(
        jax.random.split(jax.random.key(0), 4000)
    )
    expected = float(squares(w, (), BATCH, None)[0]) + scale**2 * 5.25
    assert float(losses.mean()) == pytest.approx(expected, rel=0.02)


def test_max_norm_scales_the_weights_into_each_unit_that_exceeds_it():
    params = {"kernel": jnp.zeros([2, 3]), "bias": jnp.zeros(3)}
    aim = {"kernel": jnp.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]]), "bias": jnp.full(3, 9.0)}
    optimizer = optax.chain(optax.sgd(1.0), max_norm(2.0))
    slope = jax.tree.map(jnp.negative, aim)
    updates, _ = jax.jit(optimizer.update)(slope, optimizer.init(params), params)
    found = optax.apply_updates(params, updates)
    np.testing.assert_allclose(found["kernel"], [[1.2, 0.3, 0], [1.6, 0.4, 0]], rtol=1e-6)
    np.testing.assert_array_equal(found["bias"], aim["bias"])


def test_max_norm_holds_each_filter_of_a_convolution():
    kernel = jnp.array(_random.normal(size=(3, 3, 2, 4)), jnp.float32)
    transform = max_norm(1.5)
    updates, _ = transform.update({"kernel": jnp.zeros_like(kernel)}, None, {"kernel": kernel})
    norms = np.sqrt((np.asarray(kernel + updates["kernel"]) ** 2).sum((0, 1, 2)))
    before = np.sqrt((np.asarray(kernel) ** 2).sum((0, 1, 2)))
    np.testing.assert_allclose(norms, np.minimum(before, 1.5), rtol=1e-5)
    assert before.max() > 1.5


def test_weights_are_clipped_as_wasserstein_critics_are():
    clip = constrained(lambda p: jax.tree.map(lambda w: w.clip(-0.01, 0.01), p))
    optimizer = optax.chain(optax.sgd(1.0), clip)
    params = jnp.array([0.0, 0.005, -0.01])
    updates, _ = optimizer.update(jnp.array([1.0, 0.001, 0.001]), optimizer.init(params), params)
    np.testing.assert_allclose(params + updates, [-0.01, 0.004, -0.01], rtol=1e-5)


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="got 0"):
        max_norm(0)
    with pytest.raises(ValueError, match="params"):
        constrained(lambda p: p).update(jnp.ones(1), None)
