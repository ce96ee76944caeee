import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.models.mlp import mlp
from jdl.train import descent
from jdl.train.mmse import mmse
from jdl.train.rules import widrow_hoff

NEURON = mlp([2, 1])
SLOPES = {
    jnp.tanh: lambda o: 1 - o**2,
    jax.nn.sigmoid: lambda o: o * (1 - o),
    jax.nn.identity: jnp.ones_like,
}


def params(weights, bias):
    layer = {"kernel": jnp.array(weights, jnp.float32)[:, None], "bias": jnp.array([bias])}
    return {"layers": {"0": layer}}


@pytest.fixture(scope="module")
def batch():
    inputs = jax.random.normal(jax.random.key(0), [5, 2])
    return inputs, jnp.array([1.0, -1, 1, 1, -1])


@pytest.mark.parametrize("activation", SLOPES)
def test_the_direction_is_the_mean_of_004s_products(activation, batch):
    inputs, targets = batch
    direction, _, info = mmse(NEURON, activation)(
        params([0.7, -1.1], 0.4), {}, batch, jax.random.key(0)
    )
    weights, bias = np.zeros(2), 0.0
    for x, y in zip(inputs, targets, strict=True):
        o = activation(0.7 * x[0] - 1.1 * x[1] + 0.4)
        weights += np.asarray((o - y) * SLOPES[activation](o) * x) / 5  # eq. 1.26, a mean
        bias += float((o - y) * SLOPES[activation](o)) / 5
    layer = direction["layers"]["0"]
    np.testing.assert_allclose(layer["kernel"][:, 0], weights, atol=1e-6)
    np.testing.assert_allclose(layer["bias"][0], bias, atol=1e-6)
    assert info["loss"].shape == ()


def test_with_the_identity_it_is_widrow_hoff(batch):
    start = params([0.7, -1.1], 0.4)
    ours, theirs = (
        rule(start, {}, batch, jax.random.key(0))[0]
        for rule in (mmse(NEURON, jax.nn.identity), widrow_hoff(NEURON))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, theirs)


def test_a_saturated_neuron_on_the_wrong_side_stalls_and_an_unsaturated_one_learns():
    algorithm = descent(mmse(mlp([1, 1]), jnp.tanh), optax.sgd(0.1))  # 004's rate
    example = jnp.array([[1.0]]), jnp.array([-1.0])

    def learned(weight):
        layer = {"kernel": jnp.array([[weight]]), "bias": jnp.zeros(1)}
        state = algorithm.init(mlp([1, 1]).init(jax.random.key(0))._replace(
            params={"layers": {"0": layer}}))  # fmt: skip
        step = jax.jit(algorithm.step)
        for _ in range(100):
            state, info = step(state, example, jax.random.key(0))
        return float(state.variables.params["layers"]["0"]["kernel"][0, 0]), float(info["loss"])

    stalled, loss = learned(8.0)
    assert abs(stalled - 8) < 1e-3 and loss > 1.99, "the error is 2, the largest there is"
    moved, loss = learned(0.5)
    assert moved < -0.5 and loss < 0.05
