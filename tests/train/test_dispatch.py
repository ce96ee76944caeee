"""Convolutions on the CPU are dispatched step by step, all else in a loop; the results agree."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.train import Checkpoints, Diverged, descent, fit, gradient, regression
from jdl.train.dispatch import dispatcher
from jdl.train.feed import feed


class Convolution(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 2, (3, 3), rngs=rngs)

    def __call__(self, x):
        return self.conv(x).mean((1, 2))


class Dense(nnx.Module):
    """The same function by shifts and sums, without XLA's convolution."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 2, (3, 3), rngs=rngs)

    def __call__(self, x):
        padded = jnp.pad(x[..., 0], ((0, 0), (1, 1), (1, 1)))
        windows = [padded[:, i : i + 6, j : j + 6] for i in range(3) for j in range(3)]
        kernel = self.conv.kernel[...].reshape(9, 2)
        outputs = jnp.einsum("wbhk,wc->bhkc", jnp.stack(windows), kernel)
        return (outputs + self.conv.bias[None, None, None]).mean((1, 2))


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=[20, 6, 6, 1]).astype(np.float32), np.ones([20, 2], np.float32)


def fitted(kind, steps=12, rate=0.1, **options):
    model = functional(lambda rngs: kind(rngs))
    algorithm = descent(gradient(regression(model)), optax.sgd(rate))
    start = algorithm.init(model.init(jax.random.key(0)))
    return fit(algorithm, start, data(), jax.random.key(1), steps=steps, batch_size=5, **options)


def test_step_by_step_and_in_a_loop_are_the_same_run():
    one, other = fitted(Convolution), fitted(Dense)
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.state, other.state
    )


@pytest.mark.parametrize(("kind", "loops"), [(Convolution, False), (Dense, True)])
def test_only_a_program_without_convolutions_is_a_loop(kind, loops, monkeypatch):
    looped = []
    original = jax.lax.while_loop
    monkeypatch.setattr(jax.lax, "while_loop", lambda *a: looped.append(1) or original(*a))
    model = functional(lambda rngs: kind(rngs))
    algorithm = descent(gradient(regression(model)), optax.sgd(0.1))
    source = feed(data(), jax.random.key(0), 5, 0, 10)
    state = algorithm.init(model.init(jax.random.key(0)))
    rows, count = source.rows(0, 4)
    _, info, done, finite = dispatcher(algorithm, source)(state, rows, jax.random.key(0), 0, count)
    assert bool(looped) == loops
    assert (done, finite, info["loss"].shape) == (4, True, (4,))


@pytest.mark.parametrize("kind", [Convolution, Dense])
def test_both_stop_at_the_step_whose_loss_is_not_finite(kind):
    with pytest.raises(Diverged) as caught:
        fitted(kind, steps=500, rate=1e4)
    losses = caught.value.fitted.history["loss"]
    assert np.isfinite(losses[:-1]).all() and not np.isfinite(losses[-1])


def test_a_run_of_steps_in_turn_resumes_bit_for_bit(tmp_path):
    whole = fitted(Convolution)
    fitted(Convolution, steps=7, checkpoints=Checkpoints(tmp_path, every=3))
    resumed = fitted(Convolution, checkpoints=Checkpoints(tmp_path, every=3))
    jax.tree.map(np.testing.assert_array_equal, resumed[:3], whole[:3])
