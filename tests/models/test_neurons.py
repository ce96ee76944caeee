import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.neurons import (
    binary_threshold,
    mcculloch_pitts,
    sign,
    stochastic_binary,
    straight_through_binary,
    tempered_sigmoid,
)

Z = jnp.array([-2.0, -0.5, 0.0, 0.5, 2.0])


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_mcculloch_pitts_counts_its_inputs_and_obeys_a_single_inhibition(threshold):
    rows = np.array(list(itertools.product([0, 1], repeat=5)))
    answers = mcculloch_pitts(rows[:, :3], rows[:, 3:], threshold)
    expected = [int(sum(r[:3]) >= threshold and not r[3] and not r[4]) for r in rows.tolist()]
    assert answers.tolist() == expected


def test_a_tie_has_the_value_asked_for():
    assert binary_threshold(Z).tolist() == [0, 0, 0, 1, 1]  # 000, 001
    assert binary_threshold(Z, at_threshold=1.0).tolist() == [0, 0, 1, 1, 1]
    assert binary_threshold(Z, 0.5).tolist() == [0, 0, 0, 0, 1]
    assert sign(Z).tolist() == [-1, -1, -1, 1, 1]  # 004
    assert sign(Z, at_zero=0.0).tolist() == jnp.sign(Z).tolist()


def test_000s_perceptron_is_an_and():
    inputs = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    assert binary_threshold(inputs @ jnp.array([0.6, 0.6]) - 1).tolist() == [0, 0, 0, 1]


def test_the_temperature_goes_from_the_threshold_to_one_half():
    np.testing.assert_allclose(
        [tempered_sigmoid(jnp.float32(1), t) for t in (0.1, 1, 100)],
        [0.9999546, 0.7310586, 0.5024999],  # 001
        atol=1e-6,
    )
    cold = tempered_sigmoid(Z, 1e-3)
    assert jnp.abs(cold - binary_threshold(Z, at_threshold=0.5)).max() < 1e-6
    assert float(jax.grad(tempered_sigmoid)(0.0, 2.0)) == pytest.approx(1 / 8)


def test_the_mean_of_draws_is_the_mean_field(key):
    draws = jax.vmap(lambda key: stochastic_binary(Z, key, 0.7))(jax.random.split(key, 4000))
    assert set(np.unique(draws)) == {0.0, 1.0}
    standard_error = 0.5 / np.sqrt(4000)
    assert jnp.abs(draws.mean(0) - tempered_sigmoid(Z, 0.7)).max() < 4 * standard_error


def test_draws_pass_no_gradient_and_straight_through_draws_that_of_the_mean(key):
    weights = jnp.arange(1.0, 6.0)
    slopes = [
        jax.grad(lambda z, unit=unit: jnp.sum(weights * unit(z, key, 0.7)))(Z)
        for unit in (stochastic_binary, straight_through_binary)
    ]
    mean = jax.nn.sigmoid(Z / 0.7)
    assert not slopes[0].any()
    np.testing.assert_allclose(slopes[1], weights * mean * (1 - mean) / 0.7, rtol=1e-5)
    np.testing.assert_allclose(
        straight_through_binary(Z, key, 0.7), stochastic_binary(Z, key, 0.7), atol=1e-6
    )
