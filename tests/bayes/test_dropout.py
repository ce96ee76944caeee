"""Monte Carlo dropout against the moments of a masked linear layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.bayes.dropout import dropout_outputs, dropout_precision
from jdl.core import Model, Variables
from jdl.functional import functional
from jdl.models.mlp import mlp

INPUTS = jnp.array([[1.0, -2.0], [0.3, 0.5]])


def test_a_masked_linear_layer_has_its_mean_and_variance():
    rate, num_draws = 0.3, 20_000
    model = mlp([2, 6, 1], lambda x: x, dropout_rate=rate)
    variables = model.init(jax.random.key(0))
    first, last = (variables.params["layers"][i] for i in "01")
    terms = np.asarray(INPUTS @ first["kernel"] + first["bias"][None]) * last["kernel"][:, 0][None]
    # A unit is kept and divided by 1 - rate: mean 1, variance rate / (1 - rate).
    mean = terms.sum(1) + last["bias"]
    variance = rate / (1 - rate) * (terms**2).sum(1)
    draws = jax.jit(lambda key: dropout_outputs(model, variables, INPUTS, key, num_draws))
    draws = np.asarray(draws(jax.random.key(1)))[..., 0]
    assert draws.shape == (num_draws, 2)
    assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * np.sqrt(variance / num_draws))
    np.testing.assert_allclose(draws.var(0), variance, rtol=4.5 * np.sqrt(2 / num_draws))
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.05  # each example has its own mask


def test_the_precision_is_that_of_equation_7():
    # Weight decay is the prior of the masked weights: (1 - rate) l^2 / (2 N tau) = decay.
    rate, scale, count, decay = 0.05, 0.01, 455, 1e-6
    tau = dropout_precision(rate, scale, count, decay)
    np.testing.assert_allclose((1 - rate) * scale**2 / (2 * count * tau), decay)
    np.testing.assert_allclose(tau, 0.95 * 1e-4 / (910 * 1e-6))
    with pytest.raises(ValueError, match="weight_decay; got 0.1, 1.0, 10, 0.0"):
        dropout_precision(0.1, 1.0, 10, 0.0)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        dropout_precision(1.0, 1.0, 10, 0.1)


class Normalised(nnx.Module):
    def __init__(self, *, rngs):
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, *, rngs=None):
        return self.dropout(self.norm(x), rngs=rngs)


def test_a_model_that_rewrites_its_buffers_is_refused():
    model = functional(lambda rngs: Normalised(rngs=rngs))
    variables = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"buffers of this model \(norm.mean, norm.var\)"):
        dropout_outputs(model, variables, INPUTS, jax.random.key(0), 3)


def test_buffers_that_stay_are_no_hindrance():
    def apply(variables, x, *, key=None, train=False):
        noise = jax.random.normal(key, x.shape) if train else 0.0
        return x * variables.buffers["scale"] + noise, variables.buffers

    model = Model(lambda key: Variables({}, {"scale": jnp.array(2.0)}), apply)
    variables = model.init(jax.random.key(0))
    draws = dropout_outputs(model, variables, INPUTS, jax.random.key(0), 3)
    assert draws.shape == (3, 2, 2)
    assert not np.allclose(draws[0], draws[1])


@pytest.mark.parametrize("jit", [lambda f: f, jax.jit])
def test_a_model_without_noise_is_refused(jit):
    model = mlp([2, 3, 1])
    variables = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match="draws no noise"):
        jit(lambda key: dropout_outputs(model, variables, INPUTS, key, 3))(jax.random.key(0))


def test_noise_that_does_not_reach_the_outputs_is_none():
    def apply(variables, x, *, key=None, train=False):
        jax.random.normal(key, x.shape)
        return x, variables.buffers

    model = Model(lambda key: Variables({}), apply)
    with pytest.raises(ValueError, match="draws no noise"):
        dropout_outputs(model, Variables({}), INPUTS, jax.random.key(0), 3)
