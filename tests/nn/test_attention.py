"""Attention against sums written out in NumPy, and against JAX's own function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.attention import attention


@pytest.fixture(scope="module")
def factors():
    keys = jax.random.split(jax.random.key(3), 3)
    return tuple(
        2 * jax.random.normal(key, [2, length, 3, 4])
        for key, length in zip(keys, [5, 5, 5], strict=True)
    )


@pytest.fixture(scope="module")
def mask():
    seen = np.random.default_rng(0).random([2, 1, 5, 5]) < 0.6
    return jnp.asarray(seen | np.eye(5, dtype=bool))


def keep_all(weights):
    return weights


@pytest.mark.parametrize("drop", [None, keep_all], ids=["jax", "written out"])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_sums_written_out(factors, mask, drop, is_causal, masked):
    found = jax.jit(functools.partial(attention, is_causal=is_causal, drop=drop))(
        *factors, mask=mask if masked else None
    )
    expected = _by_loops(
        *map(np.asarray, factors), mask=np.asarray(mask) if masked else None, is_causal=is_causal
    )
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_queries_and_keys_may_differ_in_number(factors):
    query, key, value = factors
    found = [attention(query[:, :2], key, value, drop=drop) for drop in (None, keep_all)]
    expected = _by_loops(*map(np.asarray, (query[:, :2], key, value)), mask=None, is_causal=False)
    for one in found:
        np.testing.assert_allclose(one, expected, rtol=2e-5, atol=2e-6)


def test_gradients_are_those_of_jaxs_function(factors, mask):
    def loss(factors, drop):
        return jnp.sum(jnp.sin(attention(*factors, mask=mask, is_causal=True, drop=drop)))

    ours, jaxs = (
        jax.jit(jax.grad(functools.partial(loss, drop=drop)))(factors) for drop in (keep_all, None)
    )
    for one, other in zip(ours, jaxs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_weights_are_dropped_before_the_values_are_summed(factors):
    query, key, value = factors

    def drop_first_key(weights):
        return weights.at[..., 0].set(0)

    found = attention(query, key, value, drop=drop_first_key)
    np.testing.assert_allclose(
        found,
        attention(query, key, value.at[:, 0].set(0), drop=keep_all),  # not the softmax of the rest
        rtol=1e-5,
        atol=1e-6,
    )


def test_half_precision_keeps_the_softmax_in_float32(factors):
    half = tuple(x.astype(jnp.bfloat16) for x in factors)
    for drop in (None, keep_all):
        found = attention(*half, is_causal=True, drop=drop)
        assert found.dtype == jnp.bfloat16
        exact = attention(*(x.astype(jnp.float32) for x in half), is_causal=True)
        # Two roundings to 8 bits, of the weights and of the result.
        np.testing.assert_allclose(
            found.astype(jnp.float32), exact, rtol=0.02, atol=0.02 * float(jnp.abs(exact).max())
        )


def _by_loops(query, key, value, *, mask, is_causal):
    output = np.zeros(query.shape)
    for b, i, h in np.ndindex(*query.shape[:3]):
        weights = np.zeros(key.shape[1])
        for j in range(key.shape[1]):
            hidden = (is_causal and j > i) or (mask is not None and not mask[b, 0, i, j])
            score = sum(query[b, i, h] * key[b, j, h]) / np.sqrt(query.shape[-1])
            weights[j] = 0 if hidden else np.exp(score)
        output[b, i, h] = sum(
            w * v for w, v in zip(weights / weights.sum(), value[b, :, h], strict=True)
        )
    return output
