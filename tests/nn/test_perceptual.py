import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model, Variables
from jdl.models.mlp import mlp
from jdl.nn.perceptual import perceptual_loss

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=[2, 5, 4]).astype(np.float32)
W = RNG.normal(size=[4, 3]).astype(np.float32)


def two_layers():
    """Features of two layers as a dict: x W, and its square."""

    def apply(variables, x, key=None, train=False):
        first = x @ variables.params
        return {"early": first, "late": first**2}, variables.buffers

    return Model(lambda key: Variables(jnp.asarray(W)), apply)


def test_it_is_the_weighted_mean_square_in_each_layer():
    network = two_layers()
    variables = network.init(jax.random.key(0))
    early = ((X @ W - Y @ W) ** 2).mean(1)
    late = (((X @ W) ** 2 - (Y @ W) ** 2) ** 2).mean(1)
    plain = perceptual_loss(network, variables)
    np.testing.assert_allclose(plain(X, Y), early + late, rtol=1e-5)
    weighted = perceptual_loss(network, variables, {"early": 2.0, "late": 0.5})
    np.testing.assert_allclose(weighted(X, Y), 2 * early + 0.5 * late, rtol=1e-5)
    with pytest.raises(ValueError):
        perceptual_loss(network, variables, {"early": 1.0})(X, Y)


def test_it_does_not_see_what_the_features_do_not():
    network = mlp([4, 3])
    variables = network.init(jax.random.key(0))._replace(
        params={"layers": {"0": {"kernel": jnp.asarray(W), "bias": jnp.zeros(3)}}}
    )
    unseen = np.linalg.svd(W.T)[2][-1]  # the direction that W takes to 0
    loss = perceptual_loss(network, variables)
    assert float(loss(X, X + 10 * unseen).max()) < 1e-8
    assert float(loss(X, X + 0.1).min()) > 1e-4


def test_its_gradient_moves_images_to_the_features_of_the_targets():
    network = mlp([4, 8, 6], jnp.tanh)
    loss = perceptual_loss(network, network.init(jax.random.key(1)))
    slope = jax.jit(jax.grad(lambda x: loss(x, Y).sum()))
    assert float(loss(X - 0.01 * slope(X), Y).sum()) < float(loss(X, Y).sum())
    assert np.abs(slope(Y)).max() < 1e-6 < np.abs(slope(X)).max()
