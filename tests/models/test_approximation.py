import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.approximation import collapsed, interpolant, sawtooth
from jdl.models.mlp import mlp


def curve(sizes, variables, x):
    return np.asarray(mlp(sizes).apply(variables, jnp.asarray(x, jnp.float32)[:, None])[0][:, 0])


def pieces(y):
    """Runs of one sign of the slope of values on a fine grid."""
    return 1 + int(np.sum(np.diff(np.sign(np.diff(y))) != 0))


def test_the_interpolant_is_numpys():
    rng = np.random.default_rng(0)
    knots = np.sort(rng.uniform(-1, 1, 9))
    values = rng.normal(size=9)
    variables = interpolant(jnp.asarray(knots, jnp.float32), jnp.asarray(values, jnp.float32))
    x = np.linspace(-1.5, knots[-1], 50)
    np.testing.assert_allclose(
        curve([1, 8, 1], variables, x), np.interp(x, knots, values), atol=1e-4
    )


@pytest.mark.parametrize("units", [8, 16, 32])
def test_the_error_on_a_sine_stays_below_the_bound_and_near_it(units):
    knots = jnp.linspace(0, np.pi, units + 1)
    variables = interpolant(knots, jnp.sin(knots))
    x = np.linspace(0, np.pi, 2001)
    error = np.abs(curve([1, units, 1], variables, x) - np.sin(x)).max()
    bound = (np.pi / units) ** 2 / 8  # |f''| <= 1
    assert 0.9 * bound < error <= bound


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_sawtooth_has_two_to_the_depth_pieces(depth):
    variables = sawtooth(depth)
    sizes = [1, *[2] * depth, 1]
    teeth = curve(sizes, variables, np.arange(2**depth + 1) / 2**depth)
    assert teeth.tolist() == [k % 2 for k in range(2**depth + 1)]
    fine = curve(sizes, variables, np.arange(8 * 2**depth + 1) / (8 * 2**depth))
    assert pieces(fine) == 2**depth


def test_one_hidden_layer_has_a_piece_more_than_units_at_most():
    model = mlp([1, 10, 1], bias_init=jax.nn.initializers.normal())
    x = jnp.linspace(-4, 4, 4001)[:, None]
    draws = jax.vmap(lambda key: model.apply(model.init(key), x)[0][:, 0])
    assert max(map(pieces, np.asarray(draws(jax.random.split(jax.random.key(0), 20))))) <= 11
    assert pieces(curve([1, *[2] * 5, 1], sawtooth(5), np.arange(257) / 256)) == 32


def test_a_stack_of_linear_layers_is_one_and_a_stack_with_relu_is_not(key):
    sizes = [3, 5, 4, 2]
    linear = mlp(sizes, jax.nn.identity, bias_init=jax.nn.initializers.normal())
    variables = linear.init(key)
    layers = variables.params["layers"]
    kernel, bias = collapsed([(layers[n]["kernel"], layers[n]["bias"]) for n in "012"])
    x = jax.random.normal(key, [7, 3])
    np.testing.assert_allclose(linear.apply(variables, x)[0], x @ kernel + bias[None], atol=1e-5)
    assert jnp.abs(mlp(sizes).apply(variables, x)[0] - x @ kernel - bias[None]).max() > 0.1


def test_no_depth_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        sawtooth(0)
