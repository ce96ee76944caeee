"""Multi-head attention against sums by heads, its cache, its weights and PyTorch's counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.attention import padding_mask
from jdl.nn.multi_head_attention import MultiHeadAttention
from jdl.nn.positions import rotary
from tests.nn.test_attention_scores import made, shapes
from tests.nn.test_convolution import EXACT, normal, quick

X, MEMORY = normal(2, 4, 6), normal(2, 5, 3)


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def by_heads(p, x, memory, hidden, num_heads=2):
    """One head of one sequence after the other, in NumPy."""

    def linear(p, x):
        return x @ p["kernel"] + p["bias"]

    q, k, v = linear(p["query"], x), linear(p["key"], memory), linear(p["value"], memory)
    size = q.shape[-1] // num_heads
    heads, all_weights = np.zeros(q.shape), np.zeros([len(x), num_heads, q.shape[1], k.shape[1]])
    for b, h in np.ndindex(len(x), num_heads):
        part = slice(h * size, (h + 1) * size)
        scores = np.exp(q[b, :, part] @ k[b, :, part].T / np.sqrt(size))
        scores = np.where(hidden[b], 0, scores)
        all_weights[b, h] = scores / scores.sum(-1, keepdims=True)
        heads[b, :, part] = all_weights[b, h] @ v[b, :, part]
    return linear(p["project"], heads), all_weights


@pytest.mark.parametrize("return_weights", [False, True])
def test_cross_attention_equals_sums_by_heads(return_weights):
    build = functools.partial(MultiHeadAttention, 6, 2, head_dim=4, memory_features=3)
    params, apply = made(build)
    is_token = np.arange(5)[None] < np.array([[5], [3]])
    found = apply(X, MEMORY, mask=padding_mask(is_token), return_weights=return_weights)
    hidden = np.broadcast_to(~is_token[:, None], [2, 4, 5])
    outputs, weights = by_heads(params, X, MEMORY, hidden)
    if return_weights:
        found, shown = found
        np.testing.assert_allclose(shown, weights, **EXACT)
        assert not shown[1, :, :, 3:].any()
    np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-4)


def test_tokens_one_by_one_from_a_cache_are_the_whole_sequence():
    model = functional(lambda rngs: MultiHeadAttention(8, 2, rngs=rngs))
    params, apply = made(functools.partial(MultiHeadAttention, 8, 2))
    x = normal(2, 5, 8)

    def whole(params, x):
        turn = functools.partial(rotary, positions=jnp.arange(5))
        return model.apply(Variables(params), x, is_causal=True, turn=turn)[0]

    def stepwise(params, x):
        cache, _ = model.apply(Variables(params), 2, 7, method="empty_cache")

        def step(cache, inputs):
            t, x = inputs
            t = jnp.full(2, t)
            turn = functools.partial(rotary, positions=t[:, None])
            outputs, cache = model.apply(
                Variables(params), x[:, None], cache, t, method="step", turn=turn
            )[0]
            return cache, outputs[:, 0]

        return jax.lax.scan(step, cache, (jnp.arange(5), x.swapaxes(0, 1)))[1].swapaxes(0, 1)

    found, expected = quick(stepwise, params, x), quick(whole, params, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_head_with_identities_is_plain_attention():
    model = functional(lambda rngs: MultiHeadAttention(3, 1, use_bias=False, rngs=rngs))
    names = ("query", "key", "value", "project")
    found, _ = model.apply(Variables({name: {"kernel": np.eye(3)} for name in names}), MEMORY)
    scores = np.exp(np.einsum("bif,bjf->bij", MEMORY, MEMORY) / np.sqrt(3))
    np.testing.assert_allclose(found, scores / scores.sum(-1, keepdims=True) @ MEMORY, **EXACT)


def test_alike_keys_give_the_mean_of_the_values():
    params, apply = made(functools.partial(MultiHeadAttention, 6, 2))
    alike = np.repeat(X[:, :1], 4, axis=1)
    _, weights = apply(X, alike, return_weights=True)
    np.testing.assert_allclose(weights, 0.25, **EXACT)


def test_dropout_acts_on_weights_and_wants_a_key():
    model = functional(lambda rngs: MultiHeadAttention(6, 2, dropout_rate=0.5, rngs=rngs))
    variables = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match="'dropout' noise"):
        model.apply(variables, X, train=True)

    def train(key):
        return model.apply(variables, X, train=True, key=key, return_weights=True)[0]

    first, other = (quick(train, jax.random.key(seed)) for seed in (1, 2))
    assert np.abs(first[0] - other[0]).max() > 0.01
    np.testing.assert_array_equal(first[1], other[1])  # what is drawn is not dropped


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(features=4, num_heads=2), 80),  # 000's PyTorch listing
        (dict(features=64, num_heads=4, head_dim=64), 66_368),  # 000's key_dim=d_model
        (dict(features=64, num_heads=4), 4 * 64 * 65),
        (dict(features=64, num_heads=1), 4 * 64 * 65),  # whatever the heads
        (dict(features=32, num_heads=16, head_dim=16, use_bias=False), 4 * 32 * 256),
    ],
)
def test_counts(options, expected):
    params, outputs = shapes(
        functools.partial(MultiHeadAttention, **options), jnp.zeros([1, 5, options["features"]])
    )
    assert count(params) == expected
    assert outputs.shape == (1, 5, options["features"])


def test_bfloat16_goes_through():
    build = functools.partial(MultiHeadAttention, 6, 2, dtype=jnp.bfloat16)
    _, outputs = shapes(build, X, return_weights=True)
    assert {x.dtype for x in outputs} == {jnp.dtype(jnp.bfloat16)}
    _, outputs = shapes(build, X)
    assert outputs.dtype == jnp.bfloat16
