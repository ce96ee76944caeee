"""Kernel regression: its formula, its limits, no 0 / 0, and a width that learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.nadaraya_watson import KERNELS, kernel_weights, leave_one_out, nadaraya_watson
from jdl.nn.attention import attention
from tests.nn.test_convolution import normal, quick

FORMULAS = {
    "gaussian": lambda u: np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi),
    "epanechnikov": lambda u: 0.75 * np.maximum(0, 1 - u**2),
    "triangular": lambda u: np.maximum(0, 1 - u),
}
QUERIES, KEYS, VALUES = normal(3, 2), normal(6, 2), normal(6, 4)


def answer(kernel, width, *inputs):
    return quick(functools.partial(nadaraya_watson, width=width, kernel=kernel), *inputs)


def distances(queries, keys):
    return np.sqrt(((queries[:, None] - keys[None]) ** 2).sum(-1))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_answer_is_the_formula(kernel):
    raised = FORMULAS[kernel](distances(QUERIES, KEYS) / 3.0)
    weights = raised / raised.sum(-1, keepdims=True)
    np.testing.assert_allclose(
        answer(kernel, 3.0, QUERIES, KEYS, VALUES), weights @ VALUES, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_narrow_is_the_nearest_neighbour_and_wide_the_mean(kernel):
    np.testing.assert_allclose(answer(kernel, 1e-2, KEYS, KEYS, VALUES), VALUES, atol=1e-5)
    wide = answer(kernel, 1e4, QUERIES, KEYS, VALUES)
    np.testing.assert_allclose(wide, np.tile(VALUES.mean(0), [3, 1]), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_far_from_all_keys_nothing_is_divided_by_nothing(kernel):
    far = np.full([1, 2], 1e3, np.float32)

    def total(width):
        return nadaraya_watson(far, KEYS, VALUES, width, kernel=kernel).sum()

    found, slope = quick(jax.value_and_grad(total), np.float32(1))
    assert np.isfinite(found) and np.isfinite(slope)
    if kernel != "gaussian":  # whose nearest key answers
        assert found == pytest.approx(VALUES.mean(0).sum(), rel=1e-4, abs=1e-5)


def test_a_gaussian_is_scaled_dot_product_attention_of_keys_of_one_length():
    keys, queries = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (KEYS, QUERIES))
    # exp(q k / h^2) with the scale 1 / sqrt(2) of two features.
    scaled = queries * np.sqrt(2) / 0.7**2
    found = attention(scaled[None, :, None], keys[None, :, None], VALUES[None, :, None, :2])
    expected = answer("gaussian", 0.7, queries, keys, VALUES[:, :2])
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_004s_sine_is_found_and_the_printed_sign_loses_it():
    """Example 6.2.1: 100 points, 11 queries, h = 0.5; exp(+|x| / h) errs by twice as much."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 100)
    y = np.sin(x) + rng.normal(size=100)
    queries = np.arange(11.0)
    inputs = (a.astype(np.float32)[:, None] for a in (queries, x, y))
    found = answer("gaussian", 0.5, *inputs)[:, 0]
    grown = np.exp(np.abs(queries[:, None] - x[None]) / 0.5)
    literal = grown / grown.sum(-1, keepdims=True) @ y
    assert np.abs(found - np.sin(queries)).mean() < 0.35
    assert np.abs(literal - np.sin(queries)).mean() > 0.5


def test_a_width_is_learned_from_the_others():
    """With itself a point is best told by the narrowest kernel; from the others it is not."""
    keys = np.linspace(0, 6, 61, dtype=np.float32)[:, None]
    noise = np.random.default_rng(0).normal(size=keys.shape).astype(np.float32)
    batch = (keys, np.sin(keys) + 0.5 * noise)
    objective = leave_one_out()

    @jax.jit
    def losses(log_widths):
        return jax.vmap(
            jax.value_and_grad(lambda w: objective({"log_width": w}, (), batch, None)[0])
        )(log_widths)

    widths = np.array([0.05, 0.4, 3.0], np.float32)
    errors, slopes = losses(jnp.log(widths))
    assert errors[1] < min(errors[0], errors[2])
    assert slopes[0] < 0 < slopes[2]


def test_a_hidden_pair_has_no_weight():
    hidden = np.eye(6, dtype=bool)
    weights = quick(lambda k: kernel_weights(k, k, 3.0, kernel="epanechnikov", hidden=hidden), KEYS)
    assert not np.diag(weights).any()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_mistakes_say_what_to_do():
    with pytest.raises(ValueError, match="kernels are .*; got 'cosine'"):
        nadaraya_watson(QUERIES, KEYS, VALUES, kernel="cosine")
    with pytest.raises(ValueError, match="shape"):
        nadaraya_watson(QUERIES, KEYS, VALUES[:5])
    with pytest.raises(ValueError, match="shape"):
        nadaraya_watson(QUERIES[:, :1], KEYS, VALUES)
