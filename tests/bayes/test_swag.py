"""SWAG against NumPy on the iterates of the same run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.bayes.swag import swag_diagonal_draws, swag_draws, with_swag
from jdl.core import Variables
from jdl.train import descent, gradient, run

START, EVERY, RANK, LENGTH = 10, 4, 3, 40
VISITED = np.arange(START, LENGTH + 1, EVERY)


def noisy_bowl(params, buffers, batch, key):
    noise = jax.random.normal(key, [3])
    aim = noise * jnp.array([1.0, 0.1, 2.0]) + noise[0]
    loss = jnp.sum((params["w"] - aim) ** 2) + (params["b"] - noise[1] - 1e3) ** 2
    return loss, (buffers, {})


PLAIN = descent(gradient(noisy_bowl), optax.sgd(0.2))
PARAMS = Variables({"w": jnp.zeros(3), "b": jnp.array(1e3)})


def vectors(params):
    return np.concatenate([params["w"], np.asarray(params["b"])[..., None]], axis=-1)


@pytest.fixture(scope="module")
def both():
    """The state after the run, and the iterates after 1, 2, ... steps."""

    def iterates(algorithm):
        kept = jax.jit(
            lambda key: run(
                algorithm,
                algorithm.init(PARAMS),
                None,
                key,
                length=LENGTH,
                keep=lambda state, info: state.variables.params,
            )
        )
        return kept(jax.random.key(3))

    _, plain = iterates(PLAIN)
    state, same = iterates(with_swag(PLAIN, start=START, every=EVERY, rank=RANK))[:2]
    np.testing.assert_array_equal(vectors(plain), vectors(same))
    return state, vectors(plain).astype(float)


def test_moments_are_those_of_the_visited_iterates(both):
    state, iterates = both
    visited = iterates[VISITED - 1]
    np.testing.assert_allclose(vectors(state.mean), visited.mean(0), rtol=1e-5)
    np.testing.assert_allclose(vectors(state.variance), visited.var(0), rtol=1e-3)
    assert int(state.columns) == len(VISITED) - 1
    # In float32 the mean of squares less the square of the mean is lost for 1000 +- 1.
    squares = (visited.astype(np.float32) ** 2).mean(0) - visited.astype(np.float32).mean(0) ** 2
    assert abs(squares[3] / visited.var(0)[3] - 1) > 0.01


def test_columns_are_the_last_deviations_from_the_mean_of_their_time(both):
    state, iterates = both
    visited = iterates[VISITED - 1]
    expected = [visited[n] - visited[: n + 1].mean(0) for n in range(1, len(visited))][-RANK:]
    found = sorted(vectors(state.deviations).tolist())
    np.testing.assert_allclose(found, sorted(np.array(expected).tolist()), rtol=1e-3, atol=1e-3)


def test_draws_have_half_of_the_diagonal_and_half_of_the_low_rank_covariance(both):
    state, _ = both
    draws = vectors(swag_draws(state, jax.random.key(0), 40_000)).astype(float)
    columns = vectors(state.deviations).astype(float)
    covariance = np.diag(vectors(state.variance)) / 2 + columns.T @ columns / (2 * (RANK - 1))
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(
        np.cov(draws.T) / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=0.04
    )
    assert np.all(np.abs(draws.mean(0) - vectors(state.mean)) < 4.5 * scale / 200)
    correlation = covariance / np.outer(scale, scale) - np.eye(4)
    assert np.abs(correlation).max() > 0.2  # or the low rank would not be seen


def test_the_diagonal_draws_have_the_variance_of_the_iterates(both):
    state, _ = both
    draws = vectors(swag_diagonal_draws(state, jax.random.key(1), 40_000)).astype(float)
    scale = np.sqrt(vectors(state.variance))
    found = np.cov(draws.T) / np.outer(scale, scale)
    np.testing.assert_allclose(found, np.eye(4), atol=0.04)


def test_before_the_ring_is_full_only_its_columns_count():
    algorithm = with_swag(PLAIN, start=0, every=1, rank=50)
    start = algorithm.init(PARAMS)
    state, _ = jax.jit(lambda key: run(algorithm, start, None, key, length=5))(jax.random.key(0))
    draws = vectors(swag_draws(state, jax.random.key(0), 40_000)).astype(float)
    columns = vectors(state.deviations).astype(float)
    assert np.all(columns[5:] == 0)
    expected = vectors(state.variance) / 2 + (columns**2).sum(0) / (2 * 4)
    np.testing.assert_allclose(draws.var(0), expected, rtol=0.05)


def test_too_few_iterates_and_wrong_settings_are_refused():
    state = with_swag(PLAIN, start=5, every=1, rank=2).init(PARAMS)
    for draw in (swag_draws, swag_diagonal_draws):
        with pytest.raises(ValueError, match="got 0 deviations"):
            draw(state, jax.random.key(0), 1)
    with pytest.raises(ValueError, match="rank=1"):
        with_swag(PLAIN, start=0, every=1, rank=1)
    with pytest.raises(ValueError, match="start >= 0, every >= 1"):
        with_swag(PLAIN, start=0, every=0, rank=2)
