"""LaMDA: published counts, the past alone, the cache."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.transformers.gpt2 import next_token
from jdl.models.transformers.lamda import SIZES, lamda
from tests.conformance.case import quick

SMALL = functools.partial(lamda, 13, 8, 2, 2, head_dim=3, num_buckets=4, longest_distance=4)
# Thoppilan et al. 2022, table 27 in billions; D, L, H
PUBLISHED = {
    "lamda-2b": (2, 2560, 10, 40),
    "lamda-8b": (8, 4096, 16, 64),
    "lamda-137b": (137, 8192, 64, 128),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_params_without_embeddings_are_the_published_ones(name):
    billions, width, depth, heads = PUBLISHED[name]

    def count(layers):
        model = SIZES[name](num_layers=layers)
        params = jax.eval_shape(model.init, jax.random.key(0)).params
        assert params.pop("tokens")["embedding"].shape == (32000, width)
        return sum(x.size for x in jax.tree.leaves(params))

    one, two = count(1), count(2)
    total = one + (depth - 1) * (two - one)
    matrices = depth * (4 * width * heads * 128 + 3 * width * 8 * width)
    assert total == matrices + (2 * depth + 1) * width + 32 * heads
    assert total // 10**9 == billions


def test_the_future_is_hidden_and_token_by_token_it_has_the_same_logits():
    model = SMALL()
    like = jax.eval_shape(model.init, jax.random.key(0))
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)
    tokens = random.integers(0, 13, [2, 6]).astype(np.int32)

    @quick
    def both(variables, tokens):
        def step(carry, token):
            return model.apply(variables, carry, token, method="decode")[0][::-1]

        carry, _ = model.apply(variables, 2, 6, method="start")
        (first, carry), _ = model.apply(variables, carry, tokens[:, :3], method="prefill")
        _, stepped = jax.lax.scan(step, carry, tokens[:, 3:].T)
        stepped = jnp.concatenate([first[:, None], stepped.swapaxes(0, 1)], axis=1)
        return model.apply(variables, tokens)[0], stepped

    whole, stepped = both(variables, tokens)
    np.testing.assert_allclose(stepped, whole[:, 2:], rtol=1e-4, atol=1e-5)
    other, _ = both(variables, np.where(np.arange(6)[None] == 3, (tokens + 1) % 13, tokens))
    moved = np.abs(np.asarray(other) - whole).max(axis=2) > 1e-6
    assert moved.tolist() == [[False] * 3 + [True] * 3] * 2


def test_it_has_an_objective_and_half_precision():
    model = SMALL(dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jnp.ones([2, 5], int)
    assert jax.eval_shape(model.apply, variables, tokens)[0].dtype == jnp.bfloat16
    loss, _ = jax.eval_shape(next_token(model), *variables, tokens, jax.random.key(0))
    assert loss.shape == ()
