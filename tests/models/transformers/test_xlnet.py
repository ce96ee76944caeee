"""XLNet: published counts, and who sees whom in an order."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.transformers.xlnet import SIZES, permutation_language_modelling, xlnet
from tests.conformance.case import quick

SMALL = {"vocab_size": 13, "hidden_dim": 8, "num_layers": 2, "num_heads": 2}


def count(name, num_layers):
    params = jax.eval_shape(SIZES[name](num_layers=num_layers).init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("name", "depth", "expected"),
    [("xlnet-base-cased", 12, 116_718_336), ("xlnet-large-cased", 24, 360_268_800)],
)
def test_params_equal_the_published_count(name, depth, expected):
    none, one = count(name, 0), count(name, 1)
    assert none + depth * (one - none) == expected + 32000  # and the bias of the words


def test_a_place_is_guessed_from_those_before_it_in_the_order_and_not_from_itself():
    model = xlnet(**SMALL, dropout_rate=0.0)
    random = np.random.default_rng(0)
    like = jax.eval_shape(model.init, jax.random.key(0))
    variables = jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)
    order = np.array([[2, 0, 3, 1]])

    run = quick(lambda v, tokens: model.apply(v, tokens, order, method="permuted")[0])
    tokens = np.array([[1, 2, 3, 4]], np.int32)
    logits = np.asarray(run(variables, tokens))
    assert np.isfinite(logits).all()
    for place in range(4):
        other = np.asarray(run(variables, np.where(np.arange(4)[None] == place, 9, tokens)))
        moved = np.abs(other - logits).max(axis=2)[0] > 1e-6
        np.testing.assert_array_equal(moved, order[0] > order[0, place])


def test_the_objective_has_a_loss_and_bad_shapes_are_told():
    model = xlnet(**SMALL)
    like = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jnp.ones([2, 6], int)
    objective = permutation_language_modelling(model)
    loss, _ = jax.eval_shape(objective, like.params, (), tokens, jax.random.key(0))
    assert loss.shape == ()
    half = xlnet(**SMALL, dtype=jnp.bfloat16)
    assert jax.eval_shape(half.apply, like, tokens, tokens)[0].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"segments are for each token, \[2, 6\]"):
        jax.eval_shape(model.apply, like, tokens, tokens[:, :3])
    with pytest.raises(ValueError, match="heads share"):
        xlnet(hidden_dim=8, num_heads=3)


def test_two_segments_with_memory_are_one_long_text_whose_order_goes_through_the_first():
    """And token by token, the order is that of the text: decode guesses what permuted does."""
    model = xlnet(**SMALL, dropout_rate=0.0)
    random = np.random.default_rng(1)
    like = jax.eval_shape(model.init, jax.random.key(0))
    variables = jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)
    tokens = random.integers(0, 13, [2, 4]).astype(np.int32)
    first, second = np.array([[1, 0], [0, 1]]), np.array([[1, 0], [1, 0]])

    @quick
    def whole(variables, order):
        return model.apply(variables, tokens, order, method="permuted")[0]

    @quick
    def half(variables, tokens, order, memory):
        return model.apply(variables, tokens, order, memory=memory, method="permuted")[0]

    step = quick(partial(model.apply, method="decode"))
    empty, _ = model.apply(variables, 2, 3, method="start")
    early, memory = half(variables, tokens[:, :2], first, empty)
    late, memory = half(variables, tokens[:, 2:], second, memory)
    halves, order = np.concatenate([early, late], 1), np.concatenate([first, 2 + second], 1)
    np.testing.assert_allclose(halves, whole(variables, order), rtol=1e-4, atol=1e-5)
    assert np.all(memory.is_token)

    in_order = whole(variables, np.tile(np.arange(4), [2, 1]))
    memory = empty
    for place in range(3):
        (logits, memory), _ = step(variables, memory, tokens[:, place])
        np.testing.assert_allclose(logits, in_order[:, place + 1], rtol=1e-4, atol=1e-5)


def test_a_memory_keeps_the_first_tokens_of_a_segment_hides_padding_and_takes_no_gradient():
    model = xlnet(13, 8, 1, 2, dropout_rate=0.0, reuse_length=2)
    variables = quick(model.init)(jax.random.key(0))
    tokens, mask = np.arange(4)[None], np.array([[False, True, True, True]])
    empty, _ = model.apply(variables, 1, 3, method="start")

    def read(variables, memory):
        (content, after), _ = model.apply(variables, tokens, None, mask, memory=memory)
        return sum(jnp.sum(x) for x in after.streams), (content, after)

    gradients, (content, memory) = quick(jax.grad(read, (0, 1), has_aux=True, allow_int=True))(
        variables, empty
    )
    assert content.shape == (1, 4, 8)
    assert memory.is_token.tolist() == [[False, False, True]]
    embedded = variables.params["tokens"]["embedding"][:2]
    np.testing.assert_allclose(memory.streams[0][0, 1:], embedded, rtol=1e-6)
    assert not any(np.any(x) for x in jax.tree.leaves(gradients) if x.dtype == np.float32)
    objective = permutation_language_modelling(model, remembers=True)
    like = jax.eval_shape(objective, variables.params, memory, tokens, jax.random.key(0))
    assert jax.tree.map(jnp.shape, like[1][0]) == jax.tree.map(jnp.shape, memory)
    with pytest.raises(ValueError, match="a place at least"):
        model.apply(variables, 1, 0, method="start")
