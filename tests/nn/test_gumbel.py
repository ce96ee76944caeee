"""Gumbel-softmax: its limits, its law, its straight-through gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jdl.nn.gumbel import gumbel_softmax
from tests.conformance.case import quick

LOGITS = np.array([0.5, -1.0, 1.5], np.float32)


def test_cold_draws_are_one_hot_of_the_same_class_and_hot_ones_are_uniform():
    many = np.tile(LOGITS[None], [500, 1])
    draw = quick(lambda tau: gumbel_softmax(many, jax.random.key(0), tau))
    draws = {tau: np.asarray(draw(tau)) for tau in (1e-4, 1.0, 1e4)}
    hard = np.asarray(quick(partial(gumbel_softmax, hard=True))(many, jax.random.key(0), 1.0))
    np.testing.assert_allclose(draws[1e-4], hard, atol=1e-3)
    np.testing.assert_array_equal(np.argmax(draws[1.0], -1), np.argmax(hard, -1))
    np.testing.assert_allclose(draws[1e4], 1 / 3, atol=1e-3)
    np.testing.assert_allclose(draws[1.0].sum(-1), 1.0, rtol=1e-5)
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum()
    np.testing.assert_allclose(hard.mean(0), shares, atol=4 * 0.5 / 500**0.5)


def test_the_hard_draw_has_the_gradient_of_the_relaxed_one():
    def drawn(logits, hard):
        return gumbel_softmax(logits, jax.random.key(1), 0.7, hard=hard) @ jnp.arange(3.0)

    @quick
    def both(logits):
        return jax.grad(drawn)(logits, False), jax.grad(drawn)(logits, True)

    soft, hard = both(LOGITS)
    np.testing.assert_allclose(hard, soft, rtol=1e-6)
    assert np.abs(soft).max() > 0.01
