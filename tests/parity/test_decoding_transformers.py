"""GPT-2 and its decoders against `generate` of transformers, on the same random weights.

Weights are drawn with standard deviation 0.3 (1 for the positions), so that words change along a
sentence, and some sentences end.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.decoding import (
    beam_search,
    bound,
    filled_behind,
    generate,
    min_p,
    nucleus,
    per_token,
    pooled_beam_search,
    top_k,
)
from jdl.models.transformers.gpt2 import gpt2
from tests.conformance.case import quick

pytestmark = pytest.mark.parity
# Their beams are filled up with the end token where the padding is 0.
VOCABULARY, CONTEXT, NEW, END, PAD = 17, 16, 6, 15, 1
SIZES = {"vocab_size": VOCABULARY, "context": CONTEXT, "hidden_dim": 12}
MODEL = gpt2(**SIZES, num_layers=2, num_heads=3)
PROMPT = np.random.default_rng(0).integers(4, VOCABULARY, size=[4, 5])
MASK = np.arange(5)[None] >= np.array([0, 2, 1, 4])[:, None]  # filled up in front


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


@pytest.fixture(scope="module")
def theirs(torch, oracle):
    transformers = oracle("transformers")
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=12,
        n_layer=2,
        n_head=3,
        bos_token_id=1,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    torch.manual_seed(0)
    network = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
        network.transformer.wpe.weight.normal_(0.0, 1.0)
    return network


@pytest.fixture(scope="module")
def variables(theirs):
    weights = {k.removeprefix("transformer."): v.numpy() for k, v in theirs.state_dict().items()}

    def norm(name):
        return {"scale": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}

    def linear(name):
        return {"kernel": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}

    blocks = {
        str(i): {
            "attention_norm": norm(f"h.{i}.ln_1"),
            "attention": {
                "query_key_value": linear(f"h.{i}.attn.c_attn"),
                "project": linear(f"h.{i}.attn.c_proj"),
            },
            "mlp_norm": norm(f"h.{i}.ln_2"),
            "expand": linear(f"h.{i}.mlp.c_fc"),
            "project": linear(f"h.{i}.mlp.c_proj"),
        }
        for i in range(2)
    }
    params = {
        "tokens": {"embedding": weights["wte.weight"]},
        "positions": {"embedding": weights["wpe.weight"]},
        "blocks": blocks,
        "norm": norm("ln_f"),
    }
    return Variables(jax.tree.map(jnp.asarray, params))


def ours(decode, variables, **options):
    """The decoder behind the prompts, that are filled up behind."""

    @quick
    def run(variables, prompt, mask):
        prompt, lengths = filled_behind(prompt, mask)
        carry, _ = MODEL.apply(variables, len(prompt), method="start")
        parts = {"prefill": bound(MODEL, variables, "prefill"), "context": CONTEXT}
        asked = {"length": NEW, "lengths": lengths, **parts, **options}
        return decode(bound(MODEL, variables), carry, prompt, **asked)

    return jax.tree.map(np.asarray, run(variables, PROMPT, MASK))


def generated(torch, theirs, **options):
    prompt, mask = torch.tensor(PROMPT), torch.tensor(MASK.astype(int))
    asked = {"max_new_tokens": NEW, "do_sample": False, "return_dict_in_generate": True}
    found = theirs.generate(prompt, attention_mask=mask, output_scores=True, **{**asked, **options})
    words = found.sequences[:, 5:].numpy()
    return np.pad(words, [(0, 0), (0, NEW - words.shape[1])], constant_values=PAD), found


def test_logits_are_theirs(torch, theirs, variables):
    with torch.no_grad():
        expected = theirs(torch.tensor(PROMPT)).logits.numpy()
    found, _ = quick(lambda v, tokens: MODEL.apply(v, tokens))(variables, PROMPT)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    @quick
    def stepwise(variables, tokens):
        carry, _ = MODEL.apply(variables, len(tokens), method="start")
        logits = []
        for time in range(tokens.shape[1]):
            new, carry = bound(MODEL, variables)(carry, tokens[:, time])
            logits.append(new)
        return jnp.stack(logits, axis=1)

    np.testing.assert_allclose(stepwise(variables, PROMPT), expected, rtol=1e-5, atol=1e-5)


def test_greedy_words_are_theirs(torch, theirs, variables):
    expected, _ = generated(torch, theirs)
    found = ours(generate, variables, end_token=END, pad_token=PAD)
    np.testing.assert_array_equal(found.tokens, expected)
    assert len(set(expected.ravel().tolist())) > 4  # not one word over and over


def test_beams_that_run_on_are_theirs(torch, theirs, variables):
    expected, scored = generated(
        torch, theirs, num_beams=3, num_return_sequences=3, eos_token_id=None
    )
    found = ours(beam_search, variables, width=3, divisor=per_token())
    np.testing.assert_array_equal(found.tokens.reshape(12, NEW), expected)
    scores = scored.sequences_scores.numpy()
    np.testing.assert_allclose(found.scores.ravel(), scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_beams_that_end_are_theirs(torch, theirs, variables, alpha):
    expected, scored = generated(
        torch,
        theirs,
        num_beams=3,
        num_return_sequences=3,
        early_stopping="never",
        length_penalty=alpha,
    )
    asked = {"width": 3, "divisor": per_token(alpha), "end_token": END, "pad_token": PAD}
    found = ours(pooled_beam_search, variables, **asked)
    np.testing.assert_array_equal(found.tokens.reshape(12, NEW), expected)
    assert found.finished.any() and not found.finished.all()
    scores = scored.sequences_scores.numpy()
    np.testing.assert_allclose(found.scores.ravel(), scores, rtol=1e-4, atol=1e-5)


def test_filters_are_theirs(torch, oracle):
    process = oracle("transformers").generation.logits_process
    logits = np.random.default_rng(1).normal(size=[20, 30]).astype(np.float32) * 3
    for filter_, warp in [
        (top_k(4), process.TopKLogitsWarper(4)),
        (nucleus(0.9), process.TopPLogitsWarper(0.9)),
        (min_p(0.1), process.MinPLogitsWarper(0.1)),
    ]:
        expected = warp(None, torch.tensor(logits)).numpy()
        np.testing.assert_array_equal(filter_(jnp.asarray(logits)), expected)
