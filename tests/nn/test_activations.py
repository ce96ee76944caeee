"""The activations of jax.nn and Flax as the books have them, and those of jdl.nn.activations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
from flax import nnx

from jdl.functional import functional
from jdl.nn.activations import (
    RReLU,
    leaky_relu,
    log_softmax,
    logsumexp,
    rrelu,
    rrelu_by_division,
    softmax,
    stochastic_gelu,
)

Z = np.linspace(-6, 6, 49)  # float64; 0 is among them


def close(ours, theirs, tolerance=2e-6):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def derivatives(function, points):
    return jax.vmap(jax.grad(function))(jnp.asarray(points, jnp.float32))


def test_identity_passes_values_and_gradients():
    close(jax.nn.identity(jnp.float32(3.14)), 3.14)  # 000 ch. 3
    assert (derivatives(jax.nn.identity, Z) == 1).all()


def test_sigmoid_has_the_books_numbers():
    first = np.linspace(-10, 10, 100)[:5]  # 000 ch. 3
    close(jax.nn.sigmoid(first), [4.54e-5, 5.556e-5, 6.8e-5, 8.322e-5, 1.0185e-4], 1e-3)
    close(jax.nn.sigmoid(2.5), 0.92414182)
    close(jax.nn.sigmoid(1.0), 0.7310586)


def test_half_of_one_plus_tanh_is_the_sigmoid_of_twice_the_argument():
    close((1 + jnp.tanh(Z)) / 2, jax.nn.sigmoid(2 * Z))  # 004 eq. 1.17
    assert np.abs((1 + np.tanh(Z)) / 2 - jax.nn.sigmoid(Z)).max() > 0.1


def test_derivatives_are_sigmoid_times_its_complement_and_one_minus_tanh_squared():
    s, t = scipy.special.expit(Z), np.tanh(Z)
    close(derivatives(jax.nn.sigmoid, Z), s * (1 - s))
    close(derivatives(jnp.tanh, Z), 1 - t**2)
    assert derivatives(jax.nn.sigmoid, Z).max() == 0.25  # at 0, 001 and 003


def test_saturation_of_the_sigmoid():
    close(derivatives(jax.nn.sigmoid, [4.0, 5.0, 10.0]), [0.0176627, 0.0066481, 4.5396e-5], 1e-5)


def test_the_listings_formulas_are_nan_in_float32_where_these_are_not():
    def listed_sigmoid(x):
        return 1 / (1 + jnp.exp(-x))

    def listed_tanh(x):
        return (jnp.exp(x) - jnp.exp(-x)) / (jnp.exp(x) + jnp.exp(-x))

    assert jnp.isnan(jax.grad(listed_sigmoid)(-100.0)) and jnp.isnan(listed_tanh(100.0))
    assert jnp.isinf(jnp.log(1 + jnp.exp(100.0)))
    assert float(jax.grad(jax.nn.sigmoid)(-100.0)) == 0 and float(jnp.tanh(100.0)) == 1
    assert float(jax.nn.softplus(100.0)) == 100 and float(jax.grad(jax.nn.softplus)(100.0)) == 1
    assert float(jax.grad(jax.nn.elu)(1e4)) == 1 and float(jax.grad(jax.nn.silu)(-1e4)) == 0


def test_relu_has_derivative_0_at_0_and_the_maximum_one_half():
    close(jax.nn.relu(Z), np.maximum(Z, 0))
    close(derivatives(jax.nn.relu, [-1.0, 0.0, 1.0]), [0, 0, 1])  # 003
    assert float(jax.grad(lambda x: jnp.maximum(x, 0))(0.0)) == 0.5


@pytest.mark.parametrize("at_zero", [0.0, 0.01, 1.0])
def test_the_derivative_of_leaky_relu_at_0_is_the_one_chosen(at_zero):
    def f(x):
        return leaky_relu(x, 0.01, slope_at_zero=at_zero)

    close(f(jnp.asarray(Z)), np.where(Z > 0, Z, 0.01 * Z))
    close(derivatives(f, [-1.0, 0.0, 1.0]), [0.01, at_zero, 1])


def test_leaky_relu_of_jax_is_the_one_with_derivative_1_at_0():
    close(jax.nn.leaky_relu(Z), leaky_relu(jnp.asarray(Z), slope_at_zero=1.0))
    assert float(jax.grad(jax.nn.leaky_relu)(0.0)) == 1
    close(jax.nn.leaky_relu(Z), np.maximum(Z, 0.01 * Z))  # 001, as long as the slope is below 1
    close(jax.nn.leaky_relu(Z, 2.0), np.where(Z > 0, Z, 2 * Z))


def test_prelu_learns_its_slope_from_negative_inputs():
    model = functional(lambda rngs: nnx.PReLU(0.25))
    variables = model.init(jax.random.key(0))
    x, upstream = jnp.array([-2.0, -1.0, 0.0, 3.0]), jnp.array([1.0, 10.0, 100.0, 1000.0])

    def loss(params):
        return jnp.sum(upstream * model.apply(variables._replace(params=params), x)[0])

    close(model.apply(variables, x)[0], [-0.5, -0.25, 0, 3])
    slope = jax.grad(loss)(variables.params)["negative_slope"]
    close(slope, -2 * 1 - 1 * 10)  # the sum over z < 0 of z times what comes from above


def test_a_prelu_may_have_a_slope_for_each_channel():
    model = functional(lambda rngs: nnx.PReLU(jnp.full([1, 3], 0.25)))
    variables = model.init(jax.random.key(0))
    assert variables.params["negative_slope"].shape == (1, 3)
    close(model.apply(variables, -jnp.ones([2, 3]))[0], -0.25 * np.ones([2, 3]))


def test_rrelu_draws_a_slope_for_each_entry_uniformly():
    x = -jnp.ones([100, 100])
    slopes = -rrelu(x, jax.random.key(0))
    assert scipy.stats.kstest(np.ravel(slopes), "uniform", (1 / 8, 1 / 3 - 1 / 8)).pvalue > 0.01
    assert (rrelu(-x, jax.random.key(0)) == 1).all()


def test_rrelu_as_published_draws_the_divisor():
    x = -jnp.ones([100, 100])
    divisors = 1 / -rrelu_by_division(x, jax.random.key(0))
    assert scipy.stats.kstest(np.ravel(divisors), "uniform", (3, 5)).pvalue > 0.01
    # The mean slope is log(8/3)/5, neither the 1/5.5 of evaluation nor the 11/48 of PyTorch.
    close((1 / divisors).mean(), np.log(8 / 3) / 5, 5e-3)


def test_the_layer_draws_in_training_and_has_the_mean_slope_in_evaluation():
    model = functional(lambda rngs: RReLU())
    variables, x = model.init(jax.random.key(0)), jnp.array([-48.0, -48.0, 0.0, 2.0])
    close(model.apply(variables, x)[0], [-11, -11, 0, 2])  # 11/48
    one, other = (
        model.apply(variables, x, key=jax.random.key(seed), train=True)[0] for seed in (1, 2)
    )
    assert one[0] != one[1] and (one[:2] != other[:2]).all()
    assert (-16 <= one[:2]).all() and (one[:2] <= -6).all() and (one[2:] == x[2:]).all()


def test_elu_has_a_continuous_derivative_for_alpha_1_only():
    close(jax.nn.elu(Z), np.where(Z > 0, Z, np.expm1(np.minimum(Z, 0))))
    below, above = derivatives(jax.nn.elu, [-1e-6, 1e-6])
    close(below, above, 1e-5)
    below, above = derivatives(lambda x: jax.nn.elu(x, 0.5), [-1e-6, 1e-6])
    close([below, above], [0.5, 1], 1e-5)


def test_swish_is_least_at_minus_1_2785():
    close(jax.nn.silu(Z), Z * scipy.special.expit(Z))
    close(jax.nn.silu(-1.2785), -0.27846, 1e-5)  # 003
    close(jax.grad(jax.nn.silu)(-1.2785), 0, 1e-4)


def test_softplus_has_the_sigmoid_as_derivative():
    close(jax.nn.softplus(Z), np.log1p(np.exp(Z)))
    close(derivatives(jax.nn.softplus, Z), scipy.special.expit(Z))


def test_exact_gelu_is_z_times_the_normal_distribution_function():
    close(jax.nn.gelu(Z, approximate=False), Z * scipy.stats.norm.cdf(Z))
    close(jax.nn.gelu(-0.7518, approximate=False), -0.16997, 1e-5)  # 003, its least value
    close(jax.grad(lambda x: jax.nn.gelu(x, approximate=False))(-0.7518), 0, 1e-4)


def test_the_tanh_form_of_gelu_is_within_4_73e_4_and_is_jax_s_default():
    z = np.linspace(-5, 5, 10001)
    written = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    close(jax.nn.gelu(z), written)
    errors = np.abs(written - z * scipy.stats.norm.cdf(z))
    assert abs(errors.max() - 4.73e-4) < 1e-6 and abs(abs(z[errors.argmax()]) - 2.70) < 0.01


def test_the_mean_of_the_stochastic_gelu_is_gelu():
    x = jnp.array([-1.0, -0.3, 0.5, 2.0])
    keys = jax.random.split(jax.random.key(0), 40_000)
    draws = np.asarray(jax.vmap(lambda key: stochastic_gelu(x, key))(keys))
    assert ((draws == 0) | (draws == np.asarray(x))).all()
    errors = np.abs(draws.mean(0) - jax.nn.gelu(x, approximate=False))
    assert (errors < 4 * draws.std(0) / 200).all()
    slopes = jax.vmap(jax.grad(stochastic_gelu), (None, 0))(jnp.float32(0.5), keys)
    assert set(np.unique(slopes)) == {0, 1}
    close(slopes.mean(), scipy.stats.norm.cdf(0.5), 0.02)


def test_softmax_has_the_books_numbers():
    close(softmax(jnp.array([2.0, 1.0, 0.1]), axis=-1), [0.65900114, 0.24243297, 0.09856589])
    close(softmax(jnp.array([1.2, 0.3, -0.8]), axis=-1), [0.64854841, 0.26368011, 0.08777148])


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), None])
@pytest.mark.parametrize("temperature", [0.3, 7.0])
def test_softmax_and_its_logarithm_agree_with_scipy_along_any_axis(axis, temperature):
    logits = np.random.default_rng(0).normal(size=[3, 4]) * 5
    x = jnp.asarray(logits)
    expected = scipy.special.softmax(logits / temperature, axis)
    close(softmax(x, temperature, axis=axis), expected)
    close(log_softmax(x, temperature, axis=axis), np.log(expected), 1e-5)
    expected = temperature * scipy.special.logsumexp(logits / temperature, axis)
    close(logsumexp(x, temperature, axis=axis), expected, 1e-5)
    slope = jax.grad(lambda x: logsumexp(x, temperature, axis=axis).sum())(x)
    close(slope, softmax(x, temperature, axis=axis))


def test_the_axis_is_never_a_default_and_matters():
    logits = jnp.arange(6.0).reshape(2, 3)
    with pytest.raises(TypeError, match="axis"):
        softmax(logits)
    assert not np.allclose(softmax(logits, axis=0), softmax(logits, axis=1))


def test_temperature_goes_from_the_largest_alone_to_uniform():
    logits = jnp.array([1.0, 3.0, 2.0])
    close(softmax(logits, 1e-30, axis=-1), [0, 1, 0])
    close(softmax(logits, 1e6, axis=-1), np.full(3, 1 / 3), 1e-5)
    close(logsumexp(logits, 1e-30, axis=-1), 3)
    assert jnp.isfinite(jax.grad(lambda t: softmax(logits, t, axis=-1)[1])(0.5))
    with pytest.raises(ValueError, match="argmax"):
        softmax(logits, 0.0, axis=-1)


def test_large_logits_are_nan_without_the_shift_and_not_with_it():
    logits = jnp.array([1000.0, 999.0])
    listed = jnp.exp(logits) / jnp.exp(logits).sum()
    assert jnp.isnan(listed).all()
    close(softmax(logits, axis=-1), scipy.special.softmax([1.0, 0.0]))
    close(logsumexp(logits, axis=-1), 1000 + np.log1p(np.exp(-1)))


def test_log_softmax_of_log_softmax_is_itself_so_that_cross_entropy_may_take_it():
    logits = jnp.asarray(np.random.default_rng(1).normal(size=[5, 3]))
    once = log_softmax(logits, axis=-1)
    close(log_softmax(once, axis=-1), once)
    labels = jnp.array([0, 1, 2, 1, 0])
    losses = optax.softmax_cross_entropy_with_integer_labels
    close(losses(once, labels), losses(logits, labels))
    again = softmax(softmax(logits, axis=-1), axis=-1)
    assert np.abs(again - softmax(logits, axis=-1)).max() > 0.05  # of the softmax it does not hold
