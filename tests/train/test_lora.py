"""Adapters of low rank: the same network at the start, counts, and merging."""

import jax
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.models.transformers.bert import SIZES
from jdl.train.lora import lora, merged
from tests.conformance.case import quick

MODEL = mlp([3, 5, 2])
INPUTS = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)


@pytest.fixture(scope="module")
def base():
    like = jax.eval_shape(MODEL.init, jax.random.key(0))
    random = np.random.default_rng(1)
    return jax.tree.map(lambda x: random.normal(size=x.shape).astype(np.float32), like)


def test_at_the_start_the_network_is_as_it_was_and_then_only_adapters_move(base):
    model = lora(MODEL, base, "layers.*.kernel", rank=2, alpha=3.0)
    variables = model.init(jax.random.key(0))
    run = quick(lambda v, x: model.apply(v, x)[0])
    expected = quick(lambda v, x: MODEL.apply(v, x)[0])(base, INPUTS)
    np.testing.assert_allclose(run(variables, INPUTS), expected, rtol=1e-5, atol=1e-6)

    random = np.random.default_rng(2)
    params = jax.tree.map(
        lambda x: random.normal(size=x.shape).astype(np.float32), variables.params
    )
    moved = Variables(params, variables.buffers)
    by_hand = jax.tree.map(np.array, base.params)
    for i in ("0", "1"):
        adapter = params[f"layers.{i}.kernel"]
        by_hand["layers"][i]["kernel"] += 3.0 / 2 * adapter["down"] @ adapter["up"]
    found = merged(moved, alpha=3.0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found.params, by_hand)
    expected, _ = MODEL.apply(Variables(by_hand, base.buffers), INPUTS)
    np.testing.assert_allclose(run(moved, INPUTS), expected, rtol=1e-4, atol=1e-4)


def test_an_optimizer_holds_nothing_for_what_stays():
    bert = SIZES["bert-base-uncased"](num_layers=2, pooler=False)
    base = jax.eval_shape(bert.init, jax.random.key(0))
    patterns = ["*.attention.query.kernel", "*.attention.value.kernel"]
    params = jax.eval_shape(
        lambda b: lora(bert, b, patterns, rank=4).init(jax.random.key(0)).params, base
    )
    count = sum(x.size for x in jax.tree.leaves(params))
    assert count == 2 * 2 * 4 * (768 + 768)
    held = jax.eval_shape(optax.adam(1e-3).init, params)
    assert sum(x.size for x in jax.tree.leaves(held)) == 2 * count + 1


def test_patterns_that_fit_nothing_or_no_matrix_are_told(base):
    with pytest.raises(ValueError, match=r"no parameter matches 'head.\*'; they are layers.0.bias"):
        lora(MODEL, base, ["*.kernel", "head.*"])
    with pytest.raises(ValueError, match=r"matrices; got layers.0.bias \(5,\)"):
        lora(MODEL, base, "layers.0.*")
