"""The calls that PyTorch's optimizers equal, over 30 steps of one gradient sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.train.optimizers import adagrad

pytestmark = pytest.mark.parity

GRADIENTS = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
START = np.linspace(-1, 1, 5, dtype=np.float32)
PAIRS = {
    "sgd": (optax.sgd(0.1), lambda optim, p: optim.SGD(p, 0.1)),
    "momentum": (optax.sgd(0.1, 0.9), lambda optim, p: optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (
        optax.sgd(0.1, 0.9, nesterov=True),
        lambda optim, p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    "adagrad": (adagrad(0.1, eps=1e-3), lambda optim, p: optim.Adagrad(p, 0.1, eps=1e-3)),
    "adadelta": (
        optax.adadelta(1.0, rho=0.9, eps=1e-6),
        lambda optim, p: optim.Adadelta(p, 1.0, rho=0.9, eps=1e-6),
    ),
    "rmsprop": (
        optax.rmsprop(0.01, decay=0.9, eps=1e-3, eps_in_sqrt=False),
        lambda optim, p: optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-3),
    ),
    "adam": (optax.adam(0.1), lambda optim, p: optim.Adam(p, 0.1)),
    "adam with coupled L2": (
        optax.chain(optax.add_decayed_weights(0.01), optax.adam(0.1)),
        lambda optim, p: optim.Adam(p, 0.1, weight_decay=0.01),
    ),
    "adamw": (
        optax.adamw(0.1, weight_decay=0.01),
        lambda optim, p: optim.AdamW(p, 0.1, weight_decay=0.01),
    ),
    "adamax": (optax.adamax(0.1), lambda optim, p: optim.Adamax(p, 0.1)),
}


@pytest.fixture(scope="module")
def paths():
    """Ours, all in one program."""
    optimizers = [ours for ours, _ in PAIRS.values()]

    @jax.jit
    def descend(start, gradients):
        def step(carry, g):
            moved = []
            for optimizer, (params, memory) in zip(optimizers, carry, strict=True):
                updates, memory = optimizer.update(g, memory, params)
                moved.append((optax.apply_updates(params, updates), memory))
            return moved, [params for params, _ in moved]

        carry = [(start, optimizer.init(start)) for optimizer in optimizers]
        return jax.lax.scan(step, carry, gradients)[1]

    found = descend(jnp.array(START), jnp.array(GRADIENTS))
    return dict(zip(PAIRS, found, strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_the_path_is_pytorchs(name, paths, oracle):
    torch = oracle("torch")
    weights = torch.nn.Parameter(torch.tensor(START))
    optimizer, expected = PAIRS[name][1](torch.optim, [weights]), []
    for gradient in GRADIENTS:
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        expected.append(weights.detach().numpy().copy())
    np.testing.assert_allclose(paths[name], expected, rtol=1e-4, atol=1e-5)
