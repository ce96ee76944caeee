"""GPT-2 against the released models' counts and a forward pass in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model, Variables
from jdl.functional import functional
from jdl.models.transformers.gpt2 import SIZES, CausalSelfAttention, Config, gpt2, next_token
from tests.conformance.case import quick

SMALL = {"vocab_size": 13, "context": 8, "hidden_dim": 12, "num_layers": 2, "num_heads": 3}


@pytest.fixture(scope="module")
def model():
    return gpt2(**SMALL)


@pytest.fixture(scope="module")
def variables(model):
    """Weights far larger than the initial ones, so that no part of a formula can hide."""
    params, _ = model.init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    leaves = [
        x + 0.3 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)
    ]
    return Variables(jax.tree.unflatten(structure, leaves))


@pytest.fixture(scope="module")
def tokens():
    return jax.random.randint(jax.random.key(2), [3, 8], 0, 13)


@pytest.fixture(scope="module")
def logits_of(model):
    return jax.jit(lambda variables, tokens: model.apply(variables, tokens)[0])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("openai-gpt", 116_534_784),
        ("gpt2", 124_439_808),
        ("distilgpt2", 81_912_576),
        ("gpt2-medium", 354_823_168),
        pytest.param("gpt2-large", 774_030_080, marks=pytest.mark.slow),
        pytest.param("gpt2-xl", 1_557_611_200, marks=pytest.mark.slow),
    ],
)
def test_params_equal_the_released_models_count(key, name, count):
    params = jax.eval_shape(SIZES[name]().init, key).params
    assert sum(x.size for x in jax.tree.leaves(params)) == count


def test_an_untied_head_adds_a_matrix_of_its_own(key):
    tied, untied = (jax.eval_shape(gpt2(**SMALL, tied=t).init, key).params for t in (True, False))
    assert untied.pop("head") == {"kernel": jax.ShapeDtypeStruct((12, 13), jnp.float32)}
    assert untied == tied


def test_forward_pass_equals_numpy(variables, tokens, logits_of):
    logits = logits_of(variables, tokens)
    expected = _numpy_gpt2(variables.params, np.asarray(tokens), num_heads=3)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", ["erf gelu", "epsilon", "post-norm", "unscaled"])
def test_another_formula_is_not_the_same(variables, tokens, logits_of, wrong):
    other = _numpy_gpt2(variables.params, np.asarray(tokens), num_heads=3, wrong=wrong)
    assert np.abs(logits_of(variables, tokens) - other).max() > 2e-4


def test_gpt_norms_the_sums_and_reads_token_by_token_what_it_reads_at_once(variables, tokens):
    model = gpt2(**SMALL, norm_placement="post")
    with_norm = variables.params
    params = {name: x for name, x in with_norm.items() if name != "norm"}
    assert jax.tree.structure(params) == jax.tree.structure(
        jax.eval_shape(model.init, jax.random.key(0)).params
    )
    logits, _ = quick(model.apply)(Variables(params), tokens)
    expected = _numpy_gpt2(params, np.asarray(tokens), num_heads=3, wrong="post-norm")
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)

    def read(variables, tokens):
        carry, _ = model.apply(variables, 3, method="start")
        (first, carry), _ = model.apply(variables, carry, tokens[:, :3], method="extend")
        (then, _), _ = model.apply(variables, carry, tokens[:, 3:], method="extend")
        return jnp.concatenate([first, then], axis=1)

    parts = quick(read)(Variables(params), tokens)
    np.testing.assert_allclose(parts, logits, rtol=1e-4, atol=1e-4)


def test_future_tokens_do_not_change_past_logits(variables, tokens, logits_of):
    logits = logits_of(variables, tokens)
    for t in range(8):
        other = logits_of(variables, tokens.at[:, t].set((tokens[:, t] + 1) % 13))
        np.testing.assert_array_equal(other[:, :t], logits[:, :t])
        assert np.abs(other[:, t:] - logits[:, t:]).max(axis=(0, 2)).min() > 1e-3


def test_a_prefix_has_the_logits_it_has_in_the_whole(model, variables, tokens, logits_of):
    prefix, _ = jax.jit(model.apply)(variables, tokens[:, :5])
    np.testing.assert_allclose(prefix, logits_of(variables, tokens)[:, :5], rtol=1e-4, atol=1e-5)


def test_a_tied_embedding_gathers_gradients_from_both_its_uses(model, variables, key):
    tokens = jnp.array([[1, 2, 3, 4]])
    gradient = jax.jit(jax.grad(lambda p: next_token(model)(p, (), tokens, key)[0]))(
        variables.params
    )
    # A token that is neither read nor predicted is reached through the softmax of the head alone.
    assert np.abs(gradient["tokens"]["embedding"]).sum(1).min() > 0
    assert np.abs(gradient["positions"]["embedding"][3:]).max() == 0


def test_initial_deviations(key):
    params = gpt2(64, 32, 96, num_layers=8, num_heads=4).init(key).params
    residual = 0.02 / np.sqrt(2 * 8)
    for name, deviation in [("project", residual), ("expand", 0.02)]:
        drawn = np.stack([block[name]["kernel"].ravel() for block in params["blocks"].values()])
        # The sample deviation of 300,000 draws is known to 0.13 %.
        assert drawn.std() == pytest.approx(deviation, rel=0.01)
    for name, deviation in [("project", residual), ("query_key_value", 0.02)]:
        drawn = np.stack([b["attention"][name]["kernel"] for b in params["blocks"].values()])
        assert drawn.std() == pytest.approx(deviation, rel=0.015)
    for name in ["tokens", "positions"]:
        assert params[name]["embedding"].std() == pytest.approx(0.02, rel=0.05)
    biases = [b for path, b in jax.tree.leaves_with_path(params) if path[-1].key == "bias"]
    assert len(biases) == 8 * 6 + 1 and not any(b.any() for b in biases)


def test_dropout_needs_a_key_and_depends_on_it(model, variables, tokens):
    with pytest.raises(ValueError, match="'dropout' noise in this call and needs a key"):
        model.apply(variables, tokens, train=True)
    drop = jax.jit(lambda key: model.apply(variables, tokens, key=key, train=True)[0])
    first, again, other = (drop(jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_dropout_acts_on_embeddings_and_on_what_is_added_to_the_stream(variables, tokens):
    """With the one silenced, the other still varies with the key; with both, nothing does."""
    model = gpt2(**SMALL, dropout_rate=0.5, tied=False)
    head = {"kernel": jnp.eye(12, 13)}
    drop = jax.jit(
        lambda params, key: model.apply(Variables(params), tokens, key=key, train=True)[0]
    )

    def varies(silent):
        params = jax.tree_util.tree_map_with_path(
            lambda path, x: 0 * x if any(entry.key in silent for entry in path) else x,
            {**variables.params, "head": head},
        )
        outputs = [drop(params, jax.random.key(seed)) for seed in (1, 2)]
        return bool(np.abs(outputs[0] - outputs[1]).max() > 0.01)

    assert varies({"project"})
    assert varies({"embedding", "query_key_value"})
    assert not varies({"project", "embedding"})


def test_dropout_acts_on_attention_weights(key):
    """The values of all tokens alike, attention returns them; with a share 1 / 2 dropped, twice
    the share of the weights that is left."""
    config = Config(13, 8, 4, 1, 1, 0.5, True, "pre", dtypes={}, stack={}, implementation=None)
    part = functional(lambda rngs: CausalSelfAttention(config, rngs=rngs))
    params = jax.tree.map(jnp.zeros_like, part.init(key).params)
    params["query_key_value"]["bias"] = params["query_key_value"]["bias"].at[8:].set(1.0)
    params["project"]["kernel"] = jnp.eye(4)
    attend = jax.jit(functools.partial(part.apply, train=True))
    found, _ = attend(Variables(params), jnp.zeros([50, 8, 4]), key=key)
    kept = found[..., 0] * jnp.arange(1, 9)[None] / 2  # how many of t + 1 equal weights
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-4)
    assert kept.sum() / (50 * 36) == pytest.approx(0.5, abs=0.05)  # four standard deviations


def test_without_dropout_training_needs_no_key(variables, tokens, logits_of):
    model = gpt2(**SMALL, dropout_rate=0.0)
    logits, _ = jax.jit(lambda v, t: model.apply(v, t, train=True))(variables, tokens)
    np.testing.assert_array_equal(logits, logits_of(variables, tokens))


def test_bfloat16_computes_in_bfloat16_on_float32_params(variables, tokens, logits_of):
    model = gpt2(**SMALL, dtype=jnp.bfloat16)
    drawn = jax.eval_shape(model.init, jax.random.key(0)).params
    assert {x.dtype for x in jax.tree.leaves(drawn)} == {jnp.dtype(jnp.float32)}
    logits, _ = jax.jit(model.apply)(variables, tokens)
    assert logits.dtype == jnp.bfloat16
    exact = np.asarray(logits_of(variables, tokens))
    assert np.abs(np.asarray(logits, np.float32) - exact).max() < 0.05 * np.abs(exact).max()
    loss, _ = next_token(model)(variables.params, (), tokens, jax.random.key(0))
    assert loss.dtype == jnp.float32


def test_param_dtype_goes_to_every_param(key):
    params = jax.eval_shape(gpt2(**SMALL, param_dtype=jnp.bfloat16).init, key).params
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype(jnp.bfloat16)}


def test_mistakes_say_what_to_do(model, variables):
    with pytest.raises(ValueError, match="at most 8 tokens, the context; got 9"):
        model.apply(variables, jnp.zeros([1, 9], int))
    with pytest.raises(ValueError, match=r"tokens are integers \[B, T\].*\[8\]"):
        model.apply(variables, jnp.zeros([8], int))
    with pytest.raises(ValueError, match="integer"):
        model.apply(variables, jnp.zeros([1, 8]))
    with pytest.raises(ValueError, match="5 heads share hidden_dim=12 .* 2 left over"):
        gpt2(hidden_dim=12, num_heads=5)


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary(key):
    uniform = Model(None, lambda variables, tokens, **_: (jnp.zeros([*tokens.shape, 50257]), ()))
    loss, (buffers, info) = next_token(uniform)((), (), jnp.zeros([2, 6], int), key)
    assert loss == pytest.approx(np.log(50257), rel=1e-6)
    assert (buffers, info) == ((), {})


def test_each_token_is_predicted_from_those_before_it(key, tokens):
    """A model that knows the successor's rule loses nothing; shifted the other way it loses all."""
    batch = jnp.arange(6)[None]
    for shift, expected in [(1, 0.0), (-1, 100.0)]:
        oracle = Model(
            None,
            lambda variables, t, shift=shift, **_: (100 * jax.nn.one_hot((t + shift) % 13, 13), ()),
        )
        loss, _ = next_token(oracle)((), (), batch, key)
        assert loss == pytest.approx(expected, abs=1e-3)


def test_the_loss_is_the_mean_of_the_negative_log_likelihoods(variables, tokens, key):
    model = gpt2(**SMALL, dropout_rate=0.0)
    loss, _ = jax.jit(lambda p: next_token(model)(p, (), tokens, key))(variables.params)
    logits = _numpy_gpt2(variables.params, np.asarray(tokens[:, :-1]), num_heads=3)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    rows, times = np.indices([3, 7])
    assert loss == pytest.approx(-np.log(chances[rows, times, tokens[:, 1:]]).mean(), rel=1e-5)


def _numpy_gpt2(params, tokens, *, num_heads, wrong=None):
    """The formulas of the module's docstring, one sequence and one head at a time, in float64."""
    from scipy.special import erf

    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)

    def norm(x, p):
        variance = x.var(-1, keepdims=True) + (1e-2 if wrong == "epsilon" else 1e-5)
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(variance) * p["scale"] + p["bias"]

    def linear(x, p):
        return x @ p["kernel"] + p["bias"]

    def gelu(x):
        if wrong == "erf gelu":
            return x * (1 + erf(x / np.sqrt(2))) / 2
        return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2

    def attend(x, p):
        length, width = x.shape
        features = width // num_heads
        joined = linear(x, p["query_key_value"])
        heads = np.zeros([length, width])
        for h in range(num_heads):
            q, k, v = (
                joined[:, part * width + h * features : part * width + (h + 1) * features]
                for part in range(3)
            )
            for t in range(length):
                scores = k[: t + 1] @ q[t] / (1 if wrong == "unscaled" else np.sqrt(features))
                weights = np.exp(scores - scores.max())
                heads[t, h * features : (h + 1) * features] = weights @ v[: t + 1] / weights.sum()
        return linear(heads, p["project"])

    def forward(sequence):
        x = params["tokens"]["embedding"][sequence]
        x = x + params["positions"]["embedding"][: len(sequence)]
        for i in range(len(params["blocks"])):
            p = params["blocks"][str(i)]
            if wrong == "post-norm":
                x = norm(x + attend(x, p["attention"]), p["attention_norm"])
                x = norm(x + linear(gelu(linear(x, p["expand"])), p["project"]), p["mlp_norm"])
                continue
            x = x + attend(norm(x, p["attention_norm"]), p["attention"])
            x = x + linear(gelu(linear(norm(x, p["mlp_norm"]), p["expand"])), p["project"])
        x = norm(x, params["norm"]) if "norm" in params else x
        return x @ params["tokens"]["embedding"].T

    return np.stack([forward(sequence) for sequence in tokens])
