"""Scores by their formulas, one pair at a time; weights; gradients by hand; the pairwise form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.attention import attention, attention_weights, causal_mask, padding_mask
from jdl.nn.attention_gradients import self_attention_gradients
from jdl.nn.attention_scores import (
    AdditiveAttention,
    BilinearAttention,
    additive,
    bilinear,
    dot,
    masked_softmax,
    scaled_dot,
)
from jdl.nn.multi_head_attention import MultiHeadAttention
from jdl.nn.pairwise_attention import PairwiseAttention
from tests.nn.test_convolution import EXACT, normal, quick

Q, K = normal(2, 3, 2, 4), normal(2, 5, 2, 4)
MATRIX, VECTOR = normal(4, 4), normal(4)
FORMULAS = {
    "dot": (dot, lambda q, k: q @ k),
    "scaled": (scaled_dot, lambda q, k: q @ k / 2),
    "bilinear": (functools.partial(bilinear, matrix=MATRIX), lambda q, k: q @ MATRIX @ k),
    "additive": (functools.partial(additive, vector=VECTOR), lambda q, k: VECTOR @ np.tanh(q + k)),
}


def made(build):
    model = functional(lambda rngs: build(rngs=rngs))
    params = jax.tree.map(
        lambda x: normal(*x.shape), jax.eval_shape(model.init, jax.random.key(0)).params
    )

    def apply(*inputs, **options):
        return quick(lambda p, *x: model.apply(Variables(p), *x, **options)[0], params, *inputs)

    return params, apply


def shapes(build, *inputs, **options):
    model = functional(lambda rngs: build(rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    apply = functools.partial(model.apply, **options)
    return variables.params, jax.eval_shape(apply, variables, *inputs)[0]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_score_is_its_formula(name):
    score, formula = FORMULAS[name]
    found = score(Q, K)
    for b, h, i, j in np.ndindex(2, 2, 3, 5):
        assert found[b, h, i, j] == pytest.approx(formula(Q[b, i, h], K[b, j, h]), rel=1e-4)


def test_weights_are_the_softmax_of_any_score():
    score, _ = FORMULAS["additive"]
    weights = attention_weights(Q, K, score=score)
    raised = np.exp(np.asarray(score(Q, K)))
    np.testing.assert_allclose(weights, raised / raised.sum(-1, keepdims=True), **EXACT)


def test_one_matrix_on_the_concatenation_is_two_matrices():
    params, apply = made(functools.partial(AdditiveAttention, 3, 4, 5))
    query, key = normal(2, 1, 3), normal(2, 6, 4)
    joined = np.concatenate([params["query"]["kernel"], params["key"]["kernel"]])
    pairs = np.concatenate([np.repeat(query, 6, axis=1), key], -1)
    scores = np.tanh(pairs @ joined) @ params["score"]["kernel"]
    raised = np.exp(scores[..., 0])
    expected = raised / raised.sum(-1, keepdims=True)
    context, weights = apply(query, key)
    np.testing.assert_allclose(weights[:, 0], expected, **EXACT)
    np.testing.assert_allclose(context[:, 0], np.einsum("bj,bje->be", expected, key), **EXACT)


def test_a_bilinear_layer_aligns_states_of_other_widths_and_hides_padding():
    params, apply = made(functools.partial(BilinearAttention, 3, 4))
    query, key, mask = normal(2, 2, 3), normal(2, 6, 4), np.arange(6)[None] < np.array([[4], [0]])
    context, weights = apply(query, key, mask)
    raised = np.exp(np.einsum("bid,de,bje->bij", query, params["query"]["kernel"], key))[0, :, :4]
    np.testing.assert_allclose(weights[0, :, :4], raised / raised.sum(-1, keepdims=True), **EXACT)
    assert not weights[0, :, 4:].any() and not weights[1].any() and not context[1].any()


def test_a_multiplicative_mask_leaks_and_ours_does_not():
    """004's own scores: (1, 2; 3, 4), of which the triangle of ones leaves 1 and 0 in row 0."""
    scores = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    leaking = jax.nn.softmax(scores * jnp.tril(jnp.ones([2, 2])))
    np.testing.assert_allclose(leaking[0], [0.731, 0.269], atol=1e-3)
    found = masked_softmax(scores, causal_mask(2, 2)[0, 0])
    np.testing.assert_allclose(found, [[1, 0], [0.269, 0.731]], atol=1e-3)


@pytest.mark.parametrize("written_out", [False, True])
def test_a_query_that_sees_nothing_gets_zeros_and_finite_gradients(written_out):
    x, is_token = normal(2, 4, 1, 3), np.array([[0, 0, 1, 1], [0, 0, 0, 0]], bool)
    drop = (lambda weights: weights) if written_out else None

    def outputs(x):
        return attention(x, x, x, mask=padding_mask(is_token), is_causal=True, drop=drop)

    found, slopes = quick(lambda x: (outputs(x), jax.grad(lambda x: outputs(x).sum())(x)), x)
    assert not found[0, :2].any() and not found[1].any() and found[0, 2:].all()
    assert np.isfinite(slopes).all() and not slopes[1].any()


def test_a_causal_mask_goes_on_from_a_cache():
    whole = causal_mask(6, 6)[0]
    found = causal_mask(2, 6, jnp.array([3, 0]))
    np.testing.assert_array_equal(found, np.stack([whole[:, 3:5], whole[:, :2]]))


def test_attention_without_parameters_is_a_mean_weighted_by_likeness():
    x = normal(1, 5, 1, 3)
    scores = np.exp(x[0, :, 0] @ x[0, :, 0].T / np.sqrt(3))
    expected = scores / scores.sum(-1, keepdims=True) @ x[0, :, 0]
    np.testing.assert_allclose(quick(attention, x, x, x)[0, :, 0], expected, **EXACT)
    order = np.array([3, 0, 4, 1, 2])
    permuted = quick(attention, *[x[:, order]] * 3)
    np.testing.assert_allclose(permuted[0, :, 0], expected[order], **EXACT)


def test_gradients_by_hand_are_those_of_autodiff():
    x, query, key, value, errors = (
        normal(*shape) for shape in ([5, 3], [3, 4], [3, 4], [3, 2], [5, 2])
    )

    def loss(matrices):
        q, k, v = (x @ matrix for matrix in matrices)
        return jnp.sum(errors * (jax.nn.softmax(q @ k.T / 2) @ v))

    expected = quick(jax.grad(loss), (query, key, value))
    found = quick(self_attention_gradients, x, query, key, value, errors)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_products_of_independent_features_have_unit_variance():
    wide = normal(2, 64, 2, 64)
    assert np.var(scaled_dot(wide[:1], wide[1:])) == pytest.approx(1, abs=0.1)
    assert np.var(dot(wide[:1], wide[1:])) == pytest.approx(64, rel=0.1)


def test_pairs_summed_over_keys_are_multi_head_attention():
    params, pairwise = made(functools.partial(PairwiseAttention, 6, 2))
    whole = functional(lambda rngs: MultiHeadAttention(6, 2, use_bias=False, rngs=rngs))
    x, mask = normal(2, 4, 6), causal_mask(4, 4)
    pairs = pairwise(x, mask=mask)
    assert pairs.shape == (2, 4, 4, 6)
    expected = quick(lambda p, x: whole.apply(Variables(p), x, mask=mask)[0], params, x)
    np.testing.assert_allclose(pairs.sum(2), expected, rtol=1e-4, atol=1e-4)


def test_additive_pairs_have_the_value_inside():
    params, pairwise = made(functools.partial(PairwiseAttention, 6, 2, additive=True))
    x, memory, mask = normal(1, 2, 6), normal(1, 3, 6), np.array([[[[1, 1, 0], [1, 1, 1]]]], bool)
    found = pairwise(x, memory, mask=mask)
    q, k, v = (
        part @ params[name]["kernel"]
        for name, part in (("query", x), ("key", memory), ("value", memory))
    )
    heads = np.tanh(q[:, 1, None] + k + v)
    np.testing.assert_allclose(found[:, 1], heads @ params["project"]["kernel"], **EXACT)
    assert not found[0, 0, 2].any()


def test_004s_sixteen_heads_have_24576_weights():
    build = functools.partial(PairwiseAttention, 32, 16, head_dim=16)
    params, outputs = shapes(build, jnp.zeros([1, 8, 32]))
    assert sum(params[n]["kernel"].size for n in ("query", "key", "value")) == 16 * 3 * 32 * 16
    assert outputs.shape == (1, 8, 8, 32)


def test_layers_compute_in_bfloat16():
    for build in (AdditiveAttention, BilinearAttention):
        build = functools.partial(build, 3, 4, *[5] * (build is AdditiveAttention))
        build = functools.partial(build, dtype=jnp.bfloat16)
        _, outputs = shapes(build, jnp.zeros([1, 2, 3]), jnp.zeros([1, 6, 4]))
        assert {x.dtype for x in outputs} == {jnp.dtype(jnp.bfloat16)}
    build = functools.partial(PairwiseAttention, 4, 2, dtype=jnp.bfloat16)
    assert shapes(build, jnp.zeros([1, 2, 4]))[1].dtype == jnp.bfloat16


def test_heads_that_do_not_divide_are_a_mistake():
    for build in (PairwiseAttention, MultiHeadAttention):
        with pytest.raises(ValueError, match="4 heads share 6 features equally; got 2 left over"):
            shapes(functools.partial(build, 6, 4))
