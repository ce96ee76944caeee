"""Attention against sums written out in NumPy, and against JAX's own function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.attention import attention
from tests.conformance.case import quick


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


FORMS = {"own": {}, "dropping": {"drop": keep_all}, "jax's": {"implementation": "xla"}}


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_sums_written_out(factors, mask, is_causal, masked):
    mask = mask if masked else None

    @quick
    def found(*factors):
        return [attention(*factors, mask=mask, is_causal=is_causal, **f) for f in FORMS.values()]

    factors = [np.asarray(x) for x in factors]
    expected = _by_loops(
        *factors, mask=None if mask is None else np.asarray(mask), is_causal=is_causal
    )
    for one in found(*factors):
        np.testing.assert_allclose(one, expected, rtol=2e-5, atol=2e-6)


def test_queries_and_keys_may_differ_in_number(factors):
    query, key, value = factors
    found = [attention(query[:, :2], key, value, drop=drop) for drop in (None, keep_all)]
    expected = _by_loops(*map(np.asarray, (query[:, :2], key, value)), mask=None, is_causal=False)
    for one in found:
        np.testing.assert_allclose(one, expected, rtol=2e-5, atol=2e-6)


def test_derivatives_of_both_modes_and_of_second_order_are_those_of_jaxs_function(factors, mask):
    bias = jnp.sin(jnp.arange(25.0)).reshape(1, 1, 5, 5)
    moved = jax.tree.map(jnp.cos, (*factors, bias))

    def loss(arguments, form):
        *factors, bias = arguments
        outputs = attention(*factors, bias=bias, mask=mask, is_causal=True, **FORMS[form])
        return jnp.sum(jnp.sin(outputs))

    def derivatives(arguments, form):
        slope = jax.grad(functools.partial(loss, form=form))
        _, forward = jax.jvp(functools.partial(loss, form=form), (arguments,), (moved,))
        return slope(arguments), forward, jax.jvp(slope, (arguments,), (moved,))[1]

    own, dropping, jaxs = quick(lambda arguments: [derivatives(arguments, f) for f in FORMS])(
        (*factors, bias)
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    jax.tree.map(close, own, jaxs)
    jax.tree.map(close, dropping, jaxs)


def test_a_query_without_keys_gets_zeros_and_gives_no_gradient_of_nan(factors):
    nothing = jnp.ones([2, 1, 5, 5], bool).at[:, :, 2].set(False)

    def total(factors, form):
        outputs = attention(*factors, mask=nothing, **FORMS[form])
        return jnp.sum(outputs**2), outputs[:, 2]

    def found(factors):
        return [
            jax.grad(functools.partial(total, form=form), has_aux=True)(factors) for form in FORMS
        ]

    for slopes, outputs in quick(found)(factors):
        assert not outputs.any()
        assert all(np.isfinite(x).all() for x in slopes)


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
