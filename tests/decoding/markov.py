"""A model whose sequences can all be listed: the next word depends on the last two."""

import itertools

import jax
import numpy as np

VOCABULARY = 4


def table(seed=0, scale=1.5):
    """Logits [V, V, V] of the word after two words."""
    return scale * np.random.default_rng(seed).normal(size=[VOCABULARY] * 3).astype(np.float32)


def markov(logits):
    """The step of the model; its carry [B] is the word before the last."""
    logits = jax.numpy.asarray(logits)
    return lambda carry, tokens: (logits[carry, tokens], tokens)


def log_chances(logits):
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def listed(logits, before, last, length, end=None):
    """All sequences behind two words -> their log-probabilities; those with `end` stop there."""
    chances, found = log_chances(logits), {}
    for words in itertools.product(range(VOCABULARY), repeat=length):
        if end in words:
            words = words[: words.index(end) + 1]
        pairs = zip((before, last, *words), (last, *words), words, strict=False)
        found[words] = sum(chances[triple] for triple in pairs)
    return found
