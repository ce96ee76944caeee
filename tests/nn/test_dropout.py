"""Classic, inverted, batch-shared and spatial dropout; DropConnect."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.nn.dropout import ClassicDropout, DropConnect

RATE = 0.3
X = jnp.arange(1.0, 13.0).reshape(3, 4)


def outputs(model, x, keys):
    """In training, [keys, ...]."""
    variables = model.init(jax.random.key(0))
    passes = jax.vmap(lambda key: model.apply(variables, x, key=key, train=True)[0])
    return np.asarray(jax.jit(passes)(jax.random.split(jax.random.key(1), keys)))


def evaluation(model, x):
    return model.apply(model.init(jax.random.key(0)), x)[0]


@pytest.mark.parametrize(
    ("layer", "kept", "evaluated"),
    [(ClassicDropout, 1.0, 1 - RATE), (nnx.Dropout, 1 / (1 - RATE), 1.0)],
)
def test_where_the_scale_is(layer, kept, evaluated):
    model = functional(lambda rngs: layer(RATE))
    found = outputs(model, X, 2000)
    factors = found / np.asarray(X)
    dropped = np.isclose(factors, 0)
    assert (dropped | np.isclose(factors, kept, rtol=1e-6)).all()
    assert abs(dropped.mean() - RATE) < 0.012  # 4 standard deviations
    np.testing.assert_allclose(evaluation(model, X), evaluated * X, rtol=1e-6)


@pytest.mark.parametrize("layer", [ClassicDropout, nnx.Dropout])
def test_the_mean_over_masks_is_the_evaluation(layer):
    model = functional(lambda rngs: layer(RATE))
    mean = outputs(model, X, 4000).mean(0)
    np.testing.assert_allclose(mean, evaluation(model, X), rtol=0.05)


def test_scaling_by_the_probability_of_dropping_as_001_says_would_not_be():
    model = functional(lambda rngs: ClassicDropout(RATE))
    mean = outputs(model, X, 4000).mean(0)
    assert not np.allclose(mean, RATE * X, rtol=0.5)


@pytest.mark.parametrize("layer", [ClassicDropout, nnx.Dropout])
def test_one_mask_for_the_whole_mini_batch(layer):
    shared = outputs(functional(lambda rngs: layer(RATE, broadcast_dims=(0,))), X, 50) == 0
    assert (shared == shared[:, :1]).all()
    own = outputs(functional(lambda rngs: layer(RATE)), X, 50) == 0
    assert not (own == own[:, :1]).all()


def test_spatial_dropout_drops_whole_channels_of_an_example():
    model = functional(lambda rngs: nnx.Dropout(0.5, broadcast_dims=(1, 2)))
    zero = outputs(model, jnp.ones([2, 3, 3, 4]), 50) == 0
    assert (zero == zero[:, :, :1, :1]).all()
    assert not (zero == zero[:, :1]).all() and not (zero == zero[..., :1]).all()


def test_dropped_units_have_no_gradient():
    model = functional(lambda rngs: ClassicDropout(0.5))
    variables, key = model.init(jax.random.key(0)), jax.random.key(1)
    found, _ = model.apply(variables, X, key=key, train=True)
    slope = jax.grad(lambda x: model.apply(variables, x, key=key, train=True)[0].sum())(X)
    np.testing.assert_array_equal(slope == 0, found == 0)
    assert 0 < (slope == 0).sum() < slope.size


def connected(rate, **options):
    ones = nnx.initializers.normal(1.0)
    return functional(lambda rngs: DropConnect(4, 2, rate, bias_init=ones, **options, rngs=rngs))


def test_dropconnect_has_the_mean_and_the_variance_of_dropped_weights():
    model = connected(RATE)
    params = model.init(jax.random.key(0)).params
    kernel, bias, x = np.asarray(params["kernel"]), np.asarray(params["bias"]), np.asarray(X)
    found = outputs(model, X, 8000)
    mean = (1 - RATE) * (x @ kernel + bias)
    variance = (1 - RATE) * RATE * (x**2 @ kernel**2 + bias**2)
    np.testing.assert_allclose(found.mean(0), mean, atol=4 * np.sqrt(variance.max() / 8000))
    np.testing.assert_allclose(found.var(0), variance, rtol=0.12)
    np.testing.assert_allclose(evaluation(model, X), mean, rtol=1e-5)


def test_dropconnect_drops_other_weights_for_each_example():
    found = outputs(connected(0.5), jnp.ones([2, 4]), 20)
    assert (found[:, 0] != found[:, 1]).any()


def test_dropconnect_without_dropping_is_affine_in_the_dtype_asked_for():
    model = connected(0.0, dtype=jnp.bfloat16)
    found, _ = model.apply(model.init(jax.random.key(0)), X, key=jax.random.key(1), train=True)
    assert found.dtype == jnp.bfloat16 and found.shape == (3, 2)


def test_rates_outside_are_refused():
    with pytest.raises(ValueError, match="got 1.0"):
        ClassicDropout(1.0)
