"""The block by its formulas, its placements of the norm, its cache and the books' counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.attention import padding_mask
from jdl.nn.transformer_block import FeedForward, TransformerBlock
from tests.nn.test_attention_scores import made, shapes
from tests.nn.test_convolution import EXACT, normal, quick
from tests.nn.test_multi_head_attention import by_heads, count

X, MEMORY = normal(2, 4, 6), normal(2, 5, 6)
KEY = jax.random.key(0)
CLOSE = {"rtol": 1e-4, "atol": 2e-4}


def norm(p, x, epsilon=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + epsilon) * p["scale"] + p["bias"]


def perceive(p, x):
    hidden = np.maximum(x @ p["expand"]["kernel"] + p["expand"]["bias"], 0)
    return hidden @ p["project"]["kernel"] + p["project"]["bias"]


@pytest.mark.parametrize("placement", ["post", "pre", "sublayer"])
def test_a_decoders_block_is_its_formula(placement):
    build = functools.partial(
        TransformerBlock, 6, 2, 5, cross_attention=True, norm_placement=placement
    )
    p, apply = made(build)
    is_token = np.arange(5)[None] < np.array([[5], [3]])
    found = apply(X, MEMORY, memory_mask=padding_mask(is_token), is_causal=True)
    future = np.broadcast_to(np.triu(np.ones([4, 4], bool), 1), [2, 4, 4])
    padding = np.broadcast_to(~is_token[:, None], [2, 4, 5])
    x = X
    for name, part in {
        "attention": lambda x: by_heads(p["attention"], x, x, future)[0],
        "cross_attention": lambda x: by_heads(p["cross_attention"], x, MEMORY, padding)[0],
        "feed_forward": lambda x: perceive(p["feed_forward"], x),
    }.items():
        scaled = functools.partial(norm, p[name + "_norm"])
        x = {
            "post": lambda x, f, n: n(x + f(x)),
            "pre": lambda x, f, n: x + f(n(x)),
            "sublayer": lambda x, f, n: x + n(f(x)),
        }[placement](x, part, scaled)
    np.testing.assert_allclose(found, x, **CLOSE)


def test_a_convolution_of_one_token_is_a_dense_layer():
    dense, apply_dense = made(functools.partial(FeedForward, 6, 5))
    model = functional(lambda rngs: FeedForward(6, 5, kernel_size=1, rngs=rngs))
    kernels = {name: {**layer, "kernel": layer["kernel"][None]} for name, layer in dense.items()}
    np.testing.assert_allclose(
        quick(lambda x: model.apply(Variables(kernels), x)[0], X), apply_dense(X), **EXACT
    )


def test_wider_convolutions_see_neighbours_and_are_refused_where_that_leaks():
    build = functools.partial(TransformerBlock, 6, 2, 5, kernel_size=3)
    params, outputs = shapes(build, X)
    assert params["feed_forward"]["expand"]["kernel"].shape == (3, 6, 5)
    assert outputs.shape == X.shape
    with pytest.raises(ValueError, match="see the future"):
        shapes(build, X, is_causal=True)


def test_a_part_of_zeros_leaves_the_stream_before_the_norm():
    model = functional(lambda rngs: TransformerBlock(6, 2, norm_placement="pre", rngs=rngs))
    params, _ = shapes(functools.partial(TransformerBlock, 6, 2), X)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), params)
    found = quick(lambda x: model.apply(Variables(zeros), x)[0], X)
    np.testing.assert_array_equal(found, X)


def test_steps_from_a_cache_are_the_whole_sequence():
    build = functools.partial(TransformerBlock, 6, 2, 5, cross_attention=True)
    model = functional(lambda rngs: build(rngs=rngs))
    params, apply = made(build)
    is_token = padding_mask(np.arange(5)[None] < np.array([[5], [3]]))

    class Both:
        """The module's own parts, through its params."""

        attention = functional(lambda rngs: build(rngs=rngs).attention)
        cross = functional(lambda rngs: build(rngs=rngs).cross_attention)

    def stepwise(params, x):
        cache, _ = Both.attention.apply(Variables(params["attention"]), 2, 4, method="empty_cache")
        memory, _ = Both.cross.apply(
            Variables(params["cross_attention"]), MEMORY, method="keys_values"
        )
        # The first two tokens at once, and then the others one by one.
        given = []
        for start, end in ((0, 2), (2, 3), (3, 4)):
            outputs, cache = model.apply(
                Variables(params),
                x[:, start:end],
                cache,
                jnp.full(2, start),
                memory,
                memory_mask=is_token,
                method="step",
            )[0]
            given.append(outputs)
        return jnp.concatenate(given, axis=1)

    expected = apply(X, MEMORY, memory_mask=is_token, is_causal=True)
    np.testing.assert_allclose(quick(stepwise, params, X), expected, **CLOSE)


def test_weights_come_out_where_asked_for():
    build = functools.partial(TransformerBlock, 6, 2, cross_attention=True)
    _, (outputs, (weights, crossed)) = shapes(build, X, MEMORY, return_weights=True)
    assert (outputs.shape, weights.shape, crossed.shape) == ((2, 4, 6), (2, 2, 4, 4), (2, 2, 4, 5))
    _, (_, (_, crossed)) = shapes(functools.partial(TransformerBlock, 6, 2), X, return_weights=True)
    assert crossed is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(features=64, num_heads=4), 49_984),  # 000's block, with heads of the usual width
        (dict(features=64, num_heads=4, head_dim=64), 99_712),  # and as it is listed
        (dict(features=512, num_heads=8), 3_152_384),  # nn.TransformerEncoderLayer
        (dict(features=512, num_heads=8, cross_attention=True), 4_204_032),
        (dict(features=768, num_heads=12), 7_087_872),  # BERT-base's layer
    ],
)
def test_counts(options, expected):
    params, _ = shapes(
        functools.partial(TransformerBlock, **options),
        *[jnp.zeros([1, 5, options["features"]])] * 2,
    )
    assert count(params) == expected


def test_dropout_acts_on_what_each_part_gives():
    model = functional(lambda rngs: TransformerBlock(6, 2, 5, dropout_rate=0.9999999, rngs=rngs))
    params, _ = made(functools.partial(TransformerBlock, 6, 2, 5))
    with pytest.raises(ValueError, match="'dropout' noise"):
        model.apply(Variables(params), X, train=True)
    found = quick(lambda k: model.apply(Variables(params), X, train=True, key=k)[0], KEY)
    expected = norm(params["feed_forward_norm"], norm(params["attention_norm"], X))
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_bfloat16_goes_through_and_a_placement_is_one_of_three():
    build = functools.partial(TransformerBlock, 6, 2, dtype=jnp.bfloat16)
    assert shapes(build, X)[1].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="norm_placement is one of .*; got 'middle'"):
        shapes(functools.partial(TransformerBlock, 6, 2, norm_placement="middle"), X)
