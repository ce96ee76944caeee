"""The window: what a text of the last tokens alone would give, and that it can outgrow it."""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.decoding import generate
from jdl.decoding.sliding import empty_window, sliding
from tests.conformance.case import quick


def read(tokens):
    """Causal logits in which place and order count."""
    weights = jnp.arange(1.0, tokens.shape[1] + 1)[None, :, None]
    return jnp.cumsum(jax.nn.one_hot(tokens, 5) * weights**1.5, axis=1)


def test_each_step_reads_the_last_tokens_and_no_others():
    tokens = np.random.default_rng(0).integers(0, 5, [2, 7])
    carry, step = empty_window(2, 3), quick(sliding(read))
    for time in range(7):
        logits, carry = step(carry, jnp.asarray(tokens[:, time]))
        seen = tokens[:, max(0, time - 2) : time + 1]
        expected = np.zeros([2, 5])
        for place in range(seen.shape[1]):
            expected[[0, 1], seen[:, place]] += (place + 1) ** 1.5
        np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_prompts_of_several_lengths_outgrow_the_window():
    prompt = jnp.array([[1, 2], [3, 0]])
    generated = quick(
        lambda: generate(
            sliding(read), empty_window(2, 3), prompt, length=5, lengths=jnp.array([2, 1])
        )
    )()
    alone = [3]
    for _ in range(5):
        alone.append(int(read(jnp.array([alone[-3:]]))[0, -1].argmax()))
    assert generated.tokens[1].tolist() == alone[1:]
