"""The Transformer of 2017: published counts, parts in their order, masks, and writing by steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Model, Variables
from jdl.decoding.generation import generate
from jdl.decoding.prompt import bound
from jdl.functional import functional
from jdl.models.transformers.encoder_decoder import encoder_decoder, translation
from jdl.nn.positions import sinusoidal
from jdl.nn.teacher_forcing import shifted_right
from jdl.nn.transformer_block import TransformerBlock
from tests.nn.test_attention_scores import shapes
from tests.nn.test_convolution import normal, quick

SMALL = functools.partial(encoder_decoder, 7, 8, 1, 2, feed_forward_dim=6)
SOURCE = np.array([[1, 2, 3, 4, 5], [3, 1, 2, 0, 0]])
TARGET = np.array([[1, 5, 6, 2], [1, 4, 4, 2]])
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def drawn(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return jax.tree.map(lambda x: normal(*x.shape), params)


@pytest.fixture(scope="module")
def small():
    model = SMALL()
    params = drawn(model)
    logits = jax.jit(
        lambda s, t: model.apply(Variables(params), s, t)[0],
        compiler_options={"xla_backend_optimization_level": 0},
    )
    return model, params, logits


@functools.cache
def block_count(crossed):
    build = functools.partial(TransformerBlock, 512, 8, 2048, cross_attention=crossed)
    return count(shapes(build, *[jax.ShapeDtypeStruct([1, 3, 512], jnp.float32)] * 2)[0])


@pytest.mark.parametrize(("encoder", "expected"), [(2, 31_531_008), (6, 44_140_544)])
def test_pytorchs_stacks_have_these_counts(encoder, expected):
    assert encoder * block_count(False) + 6 * block_count(True) + 4 * 512 == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 63_082_496),
        ({"final_norm": True}, 37_000 * 512 + 44_140_544),
        ({"num_layers": 2, "num_decoder_layers": 6, "final_norm": True}, 18_944_000 + 31_531_008),
        ({"tied": False}, 3 * 37_000 * 512 + 44_138_496),
    ],
)
def test_the_base_model_has_these_counts(options, expected):
    model = encoder_decoder(**options)
    assert count(jax.eval_shape(model.init, jax.random.key(0)).params) == expected


def test_three_matrices_are_tied_or_not():
    tied, untied = (
        jax.eval_shape(SMALL(tied=t, final_norm=not t).init, jax.random.key(0)).params
        for t in (True, False)
    )
    assert count(untied) - count(tied) == 2 * 7 * 8 + 4 * 8
    assert untied.keys() - tied.keys() == {"target_tokens", "head", "encoder_norm", "decoder_norm"}


def test_blocks_follow_on_scaled_embeddings_and_positions(small):
    model, params, logits = small
    encoder, decoder = (
        functional(lambda rngs, c=c: TransformerBlock(8, 2, 6, cross_attention=c, rngs=rngs))
        for c in (False, True)
    )
    seen = (SOURCE != 0)[:, None, None]

    def expected(params, source, target):
        table = params["tokens"]["embedding"]
        first, second = (
            table[tokens] * 8**0.5 + sinusoidal(jnp.arange(tokens.shape[1]), 8)[None]
            for tokens in (source, target)
        )
        memory, _ = encoder.apply(Variables(params["encoder"]["0"]), first, mask=seen)
        outputs, _ = decoder.apply(
            Variables(params["decoder"]["0"]), second, memory, memory_mask=seen, is_causal=True
        )
        return outputs @ table.T

    np.testing.assert_allclose(
        logits(SOURCE, TARGET), quick(expected, params, SOURCE, TARGET), rtol=1e-3, atol=1e-3
    )


def test_no_token_sees_padding_or_the_future(small):
    _, _, logits = small
    before = logits(SOURCE, TARGET)
    after = logits(SOURCE, np.where(np.arange(4)[None] >= 2, 3, TARGET))
    np.testing.assert_allclose(after[:, :2], before[:, :2], **CLOSE)
    assert np.abs(after[:, 2:] - before[:, 2:]).max() > 1e-2
    other = logits(np.array([[1, 2, 3, 4, 6], [3, 1, 2, 0, 0]]), TARGET)
    assert np.abs(other[0] - before[0]).max() > 1e-2
    np.testing.assert_allclose(other[1], before[1], **CLOSE)
    empty = logits(np.array([[1, 2, 3, 4, 5], [0, 0, 0, 0, 0]]), TARGET)
    assert np.isfinite(empty).all()


def test_a_source_filled_up_has_the_logits_of_the_short_one(small):
    model, params, logits = small
    short = quick(lambda s, t: model.apply(Variables(params), s, t)[0], SOURCE[1:, :3], TARGET[1:])
    np.testing.assert_allclose(short, logits(SOURCE, TARGET)[1:], rtol=1e-3, atol=1e-3)


def test_token_by_token_it_says_what_it_says_at_once(small):
    model, params, logits = small

    def stepwise(params, source, target):
        variables = Variables(params)
        carry, _ = model.apply(variables, source, 6, method="start")

        def step(carry, tokens):
            outputs, carry = model.apply(variables, carry, tokens, method="decode")[0]
            return carry, outputs

        return jax.lax.scan(step, carry, target.T)

    def at_once(params, source, target):
        carry, _ = model.apply(Variables(params), source, 4, method="start")
        read = bound(model, Variables(params), "prefill")
        logits, after = read(carry, target, np.array([1, 3]))
        return logits, read(after, target[:, :2])[0]

    carry, found = quick(stepwise, params, SOURCE, TARGET)
    behind, beyond = quick(at_once, params, SOURCE, TARGET)
    np.testing.assert_allclose(behind, found[np.array([0, 2]), np.arange(2)], rtol=1e-5, atol=1e-5)
    assert np.isfinite(beyond[0]).all() and np.isnan(beyond[1]).all()  # there is no place left
    np.testing.assert_allclose(found.swapaxes(0, 1), logits(SOURCE, TARGET), rtol=1e-3, atol=1e-3)
    assert carry.position.tolist() == [4, 4]
    assert {x.shape[0] for x in jax.tree.leaves(carry)} == {2}  # a beam can be reordered


def test_greedy_words_are_those_that_the_whole_pass_would_say(small):
    model, params, logits = small
    variables = Variables(params)

    def write(source):
        carry, _ = model.apply(variables, source, 4, method="start")
        start = jnp.ones([2, 1], jnp.int32)
        return generate(bound(model, variables), carry, start, length=4).tokens

    tokens = np.asarray(quick(write, SOURCE))
    np.testing.assert_array_equal(
        logits(SOURCE, np.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=1)).argmax(-1),
        tokens,
    )


def test_attention_maps_are_rows_of_shares(small):
    model, params, _ = small
    maps = quick(
        lambda *x: model.apply(Variables(params), *x, method="attention_maps")[0], SOURCE, TARGET
    )
    shapes = [(1, 2, 2, 5, 5), (1, 2, 2, 4, 4), (1, 2, 2, 4, 5)]
    assert [x.shape for x in maps] == shapes
    for weights in maps:
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert not maps.cross[:, 1, ..., 3:].any() and not np.triu(maps.target, 1).any()


def test_the_target_is_shifted_by_one():
    expected = [[6, 1, 5, 6], [6, 1, 4, 4]]
    assert shifted_right(jnp.asarray(TARGET), 6).tolist() == expected


def test_the_loss_is_smoothed_and_leaves_padding_out():
    logits = normal(2, 4, 7)
    seen = []

    def apply(variables, source, target, **_):
        seen.append(target)
        return logits, ()

    target = np.array([[5, 6, 2, 0], [4, 4, 4, 2]])
    loss, _ = translation(Model(None, apply), 1)((), (), (SOURCE, target), None)
    chances = np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    rows, times = np.indices([2, 4])
    losses = -0.9 * chances[rows, times, target] - 0.1 * chances.mean(-1)
    assert loss == pytest.approx(losses[target != 0].mean(), rel=1e-5)
    assert seen[0].tolist() == [[1, 5, 6, 2], [1, 4, 4, 4]]
    plain, _ = translation(Model(None, apply), 1, label_smoothing=0.0)(
        (), (), (SOURCE, target), None
    )
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    assert plain == pytest.approx(float(expected[target != 0].mean()), rel=1e-5)


def test_bfloat16_goes_through():
    model = SMALL(dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    logits, _ = jax.eval_shape(model.apply, variables, SOURCE, TARGET)
    assert logits.dtype == jnp.bfloat16


def test_mistakes_say_what_to_do(small):
    model, params, _ = small
    with pytest.raises(ValueError, match="token ids are 0 to 6, of a vocabulary of 7; got 1 to 7"):
        model.apply(Variables(params), SOURCE, TARGET + (TARGET == 6))
    with pytest.raises(ValueError, match=r"tokens are integers \[B, T\].*got float32 \[2, 5\]"):
        model.apply(Variables(params), jnp.ones([2, 5]), TARGET)
    with pytest.raises(ValueError, match="3 heads share 8 features"):
        encoder_decoder(7, 8, 1, 3)
