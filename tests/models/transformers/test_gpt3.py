"""GPT-3: its eight counts, and what a band lets through."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.transformers.gpt2 import gpt2, next_token
from jdl.models.transformers.gpt3 import SIZES, gpt3
from jdl.stacks import stacked
from tests.conformance.case import quick

SMALL = functools.partial(gpt3, 13, 8, 8, 2, 2)
# Brown et al. 2020, table D.1, in millions; D, L
PUBLISHED = {
    "gpt3-small": (125, 768, 12),
    "gpt3-medium": (356, 1024, 24),
    "gpt3-large": (760, 1536, 24),
    "gpt3-xl": (1_320, 2048, 24),
    "gpt3-2.7b": (2_650, 2560, 32),
    "gpt3-6.7b": (6_660, 4096, 32),
    "gpt3-13b": (12_850, 5120, 40),
    "gpt3-175b": (174_600, 12288, 96),
}
TOKENS = np.array([[1, 2, 3, 4, 5, 6]], np.int32)


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


@pytest.mark.parametrize("name", PUBLISHED)
def test_params_are_the_formula_and_round_to_the_published_counts(name):
    published, width, depth = PUBLISHED[name]
    one, two = (count(SIZES[name](num_layers=layers)) for layers in (1, 2))
    total = one + (depth - 1) * (two - one)
    assert total == (50257 + 2048 + 2) * width + depth * (12 * width**2 + 13 * width)
    assert abs(total / 1e6 - published) < 0.004 * published  # three digits


@pytest.fixture(scope="module")
def variables():
    like = jax.eval_shape(SMALL(window=2).init, jax.random.key(0))
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)


def test_a_band_hides_what_lies_behind_it(variables):
    run = quick(SMALL(window=2).apply)

    def moved(variables):
        other = np.where(np.arange(6)[None] == 1, 9, TOKENS)
        found = [np.asarray(run(variables, tokens)[0]) for tokens in (TOKENS, other)]
        return (np.abs(found[0] - found[1]).max(axis=2)[0] > 1e-6).tolist()

    assert moved(variables) == [False] + [True] * 5
    # Silence the dense layer, and what is left is the band.
    project = variables.params["body"]["blocks"]["0"]["attention"]["project"]
    silent = jax.tree.map(jnp.zeros_like, project)
    params = jax.tree.map(lambda x: x, variables.params)
    params["body"]["blocks"]["0"]["attention"]["project"] = silent
    assert moved(variables._replace(params=params)) == [False, True, True, False, False, False]


def test_without_a_band_it_is_gpt_2_and_token_by_token_it_has_the_same_logits(variables):
    params = dict(variables.params)
    body = params.pop("body")

    def as_gpt2(block):
        attention, perceptron = block["attention"], block["feed_forward"]
        parts = [attention[name] for name in ("query", "key", "value")]
        joined = {name: np.concatenate([x[name] for x in parts], -1) for name in parts[0]}
        return {
            "attention": {"query_key_value": joined, "project": attention["project"]},
            "attention_norm": block["attention_norm"],
            "mlp_norm": block["feed_forward_norm"],
            "expand": perceptron["expand"],
            "project": perceptron["project"],
        }

    blocks = {number: as_gpt2(block) for number, block in body["blocks"].items()}
    params |= {"norm": body["norm"], "blocks": blocks}
    expected, _ = quick(gpt2(13, 8, 8, 2, 2).apply)(variables._replace(params=params), TOKENS)
    found, _ = quick(SMALL(window=None).apply)(variables, TOKENS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    model = SMALL(window=2)

    def read(variables, tokens):
        carry, _ = model.apply(variables, 1, method="start")
        (first, carry), _ = model.apply(variables, carry, tokens[:, :3], method="prefill")
        (next_, carry), _ = model.apply(variables, carry, tokens[:, 3], method="decode")
        (rest, _), _ = model.apply(variables, carry, tokens[:, 4:], method="extend")
        pieces = jnp.concatenate([first[:, None], next_[:, None], rest], axis=1)
        return pieces, model.apply(variables, tokens)[0][:, 2:]

    np.testing.assert_allclose(*quick(read)(variables, TOKENS), rtol=1e-4, atol=1e-5)


def test_it_has_an_objective_and_bad_input_is_told(variables):
    model = SMALL()
    loss, _ = jax.eval_shape(next_token(model), *variables, TOKENS, jax.random.key(0))
    assert loss.shape == ()
    half = SMALL(dtype=jnp.bfloat16)
    assert jax.eval_shape(half.apply, variables, TOKENS)[0].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="at most 8 tokens"):
        jax.eval_shape(model.apply, variables, jnp.ones([1, 9], int))
    with pytest.raises(ValueError, match="1 to 8 places"):
        model.apply(variables, 1, length=9, method="start")


def test_a_scan_has_the_pattern_of_each_layer_and_decodes_what_it_reads_at_once(variables):
    deep = SMALL(window=2, scan_layers=True)
    params = stacked(variables.params, "body.blocks")

    @quick
    def found(params):
        own = Variables(params)
        carry, _ = deep.apply(own, 1, length=6, method="start")
        return deep.apply(own, TOKENS)[0], deep.apply(own, carry, TOKENS, method="extend")[0][0]

    expected = quick(SMALL(window=2).apply)(variables, TOKENS)[0]
    for logits in found(params):
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
