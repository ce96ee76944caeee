"""How close a generated text comes to reference texts, and how well a model foresees a text.

    BLEU       = BP * exp(sum_n w_n log p_n),    p_n = clipped matches / n-grams of the candidates
                 BP = 1 if c > r else exp(1 - r / c)           c, r: lengths; corpus sums throughout
    ROUGE-N    recall = clipped matches / n-grams of the references
    ROUGE-L    the same of the longest common subsequence
    WER        = word edits / words of the references
    perplexity = exp(mean NLL of a unit),        bits per unit = NLL / (ln 2 * units)

All but the last work on tokens, so they depend on how a text was cut: say it beside the number.

Departs from 001 (2145), which counts the matches of ROUGE unclipped, and (2151), which calls lower
perplexity more perplexed: it is less.

Source: Papineni, Roukos, Ward, Zhu 2002; Lin 2004; Chen and Cherry 2014 for smoothing, under the
names of sacreBLEU.
"""

import collections
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.text.bag_of_words import ngram_counts, ngrams

Tokens = Sequence[str]
SMOOTHING = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}  # and the usual amount of each


class Bleu(NamedTuple):
    """A BLEU score and its parts.

    Attributes:
        score: in [0, 1]; papers print 100 times it.
        precisions: p_1 .. p_n, smoothed.
        brevity_penalty: BP.
        candidate_length: c, tokens.
        reference_length: r, tokens of the references closest in length.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    candidate_length: int
    reference_length: int


class Rouge(NamedTuple):
    """Overlap with references.

    Attributes:
        precision: share of the candidate that is in the reference.
        recall: share of the reference that is in the candidate.
        f1: their harmonic mean.
    """

    precision: float
    recall: float
    f1: float


def bleu(
    candidates: Sequence[Tokens],
    references: Sequence[Sequence[Tokens]],
    *,
    max_order: int = 4,
    smoothing: str = "none",
    amount: float | None = None,
) -> Bleu:
    """BLEU of a corpus: matches and lengths are summed before they are divided.

    Args:
        candidates: a text of tokens for each sentence.
        references: one or more texts of tokens for each sentence.
        max_order: of the n-grams; their weights are equal.
        smoothing: of orders without a match: "none", "floor" (that many matches), "exp" (half a
            match, a quarter at the next such order, ...), or "add-k" to the matches and n-grams of
            all orders above 1.
        amount: of "floor" (0.1 by default) and "add-k" (1).

    Returns:
        A Bleu; 0 if there is no match at all, or none of an order that is not smoothed.

    Raises:
        ValueError: no sentences, other numbers of candidates and references, a sentence without a
            reference, strings for tokens, or an unknown smoothing.

    Example:
        >>> found = bleu([["the", "cat", "sat"]], [[["the", "cat", "ran"]]], max_order=2)
        >>> [round(p, 3) for p in found.precisions], round(found.score, 3)
        ([0.667, 0.5], 0.577)
    """
    _check(candidates, references, smoothing)
    return _bleu(candidates, references, max_order, smoothing, amount, effective=False)


def sentence_bleu(
    candidate: Tokens,
    references: Sequence[Tokens],
    *,
    max_order: int = 4,
    smoothing: str = "exp",
    amount: float | None = None,
) -> Bleu:
    """BLEU of one sentence, over the orders that it has n-grams of.

    Args:
        candidate: tokens.
        references: one or more texts of tokens.
        max_order: of the n-grams.
        smoothing: see `bleu`; a sentence mostly needs some.
        amount: see `bleu`.

    Returns:
        A Bleu.

    Raises:
        ValueError: as `bleu`.
    """
    _check([candidate], [references], smoothing)
    return _bleu([candidate], [references], max_order, smoothing, amount, effective=True)


def rouge_n(candidate: Tokens, references: Sequence[Tokens], order: int = 1) -> Rouge:
    """ROUGE-N: clipped matches of n-grams, summed over the references.

    Args:
        candidate: tokens.
        references: one or more texts of tokens. Precision divides by the candidate's n-grams, once
            for each reference.
        order: n.

    Returns:
        A Rouge, 0 where there are no n-grams.

    Raises:
        ValueError: no reference, strings for tokens, or an order below 1.

    Example:
        >>> rouge_n(["a", "b", "b"], [["a", "b", "c", "d"]]).recall
        0.5
    """
    _check([candidate], [references])
    ours = ngram_counts(candidate, [order])
    theirs = [ngram_counts(reference, [order]) for reference in references]
    matches = sum((ours & counts).total() for counts in theirs)
    return _rouge(matches, len(theirs) * ours.total(), sum(counts.total() for counts in theirs))


def rouge_l(candidate: Tokens, references: Sequence[Tokens]) -> Rouge:
    """ROUGE-L of a sentence: the longest common subsequence, with the best of the references.

    Args:
        candidate: tokens.
        references: one or more texts of tokens.

    Returns:
        The Rouge of the largest f1.

    Raises:
        ValueError: no reference, or strings for tokens.

    Example:
        >>> rouge_l(["a", "x", "b"], [["a", "b"]]).recall
        1.0
    """
    _check([candidate], [references])
    scores = [
        _rouge(common_subsequence(candidate, reference), len(candidate), len(reference))
        for reference in references
    ]
    return max(scores, key=lambda score: score.f1)


def common_subsequence(first: Tokens, second: Tokens) -> int:
    """The length of the longest sequence that both have in this order, gaps allowed.

    Args:
        first: tokens.
        second: tokens.

    Returns:
        Its number of tokens.
    """
    row = [0] * (len(second) + 1)
    for token in first:
        before, row = row, [0]
        for j, other in enumerate(second):
            row.append(before[j] + 1 if token == other else max(before[j + 1], row[j]))
    return row[-1]


def edit_distance(first: Tokens, second: Tokens) -> int:
    """The fewest insertions, deletions and substitutions that make one text the other.

    Args:
        first: tokens, or a string for characters.
        second: tokens, or a string for characters.

    Returns:
        Their number.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    row = list(range(len(second) + 1))
    for i, token in enumerate(first):
        before, row = row, [i + 1]
        for j, other in enumerate(second):
            row.append(min(before[j] + (token != other), before[j + 1] + 1, row[j] + 1))
    return row[-1]


def word_error_rate(candidates: Sequence[Tokens], references: Sequence[Tokens]) -> float:
    """Edits that a transcript needs, over the words of the truth; above 1 where it is too long.

    Args:
        candidates: texts of tokens.
        references: the true text of each.

    Returns:
        Edits of all over words of all.

    Raises:
        ValueError: other numbers of texts, strings for tokens, or no words.
    """
    _check(candidates, [[reference] for reference in references])
    words = sum(map(len, references))
    if words == 0:
        raise ValueError("the references have no words, so a rate of errors is not defined")
    return sum(map(edit_distance, candidates, references)) / words


def perplexity(losses: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The exponential of the mean loss: the number of equally likely tokens that are as uncertain.

    Args:
        losses: negative log-likelihood of each token in nats, of any shape.
        mask: of the same shape, true where a token counts.

    Returns:
        At least 1; V for a uniform model of V tokens; NaN if no token counts.

    Raises:
        ValueError: a mask of another shape.

    Example:
        >>> round(float(perplexity(jnp.log(jnp.full([2, 3], 7.0)))), 4)
        7.0
    """
    losses = losses.astype(jnp.float32)
    if mask is None:
        return jnp.exp(losses.mean())
    if mask.shape != losses.shape:
        raise ValueError(f"mask and losses have one shape; got {mask.shape} and {losses.shape}")
    return jnp.exp(jnp.where(mask, losses, 0.0).sum() / mask.sum())


def unit_perplexity(total_loss: float, units: int) -> float:
    """Perplexity over units that need not be the model's tokens, so that tokenizers compare.

    Args:
        total_loss: negative log-likelihood of the whole text, in nats.
        units: words, characters or bytes of the text.

    Returns:
        exp(total_loss / units).

    Raises:
        ValueError: no units.
    """
    return math.exp(total_loss / _positive(units))


def bits_per_unit(total_loss: float, units: int) -> float:
    """Bits per character, byte or word: the code length of a text under a model.

    Args:
        total_loss: negative log-likelihood of the whole text, in nats.
        units: characters (bpc), bytes (bpb) or words of the text.

    Returns:
        total_loss / (ln 2 * units).

    Raises:
        ValueError: no units.

    Example:
        >>> bits_per_unit(10 * math.log(8), units=10)
        3.0
    """
    return total_loss / (math.log(2) * _positive(units))


def _positive(units):
    if units < 1:
        raise ValueError(f"a text has at least one unit; got {units}")
    return units


def _check(candidates, references, smoothing="none"):
    if smoothing not in SMOOTHING:
        raise ValueError(f"smoothing is one of {list(SMOOTHING)}; got {smoothing!r}")
    if len(candidates) != len(references) or not candidates:
        raise ValueError(
            "each sentence has a candidate and a list of references, and there is one at least; "
            f"got {len(candidates)} and {len(references)}"
        )
    if not all(references):
        raise ValueError("a sentence has no reference")
    if any(isinstance(text, str) for texts in [candidates, *references] for text in texts):
        raise ValueError("texts are sequences of tokens; cut strings with jdl.text.tokens")


def _bleu(candidates, references, max_order, smoothing, amount, effective):
    amount = SMOOTHING[smoothing] if amount is None else amount
    lengths = collections.Counter()
    matches, totals = [0.0] * max_order, [0.0] * max_order
    for candidate, texts in zip(candidates, references, strict=True):
        lengths["candidate"] += len(candidate)
        # The closest in length, of two as close the shorter.
        gap = min((abs(len(text) - len(candidate)), len(text)) for text in texts)
        lengths["reference"] += gap[1]
        for n in range(max_order):
            ours, most = collections.Counter(ngrams(candidate, n + 1)), collections.Counter()
            for text in texts:
                most |= collections.Counter(ngrams(text, n + 1))
            matches[n] += (ours & most).total()
            totals[n] += ours.total()
    c, r = lengths["candidate"], lengths["reference"]
    penalty = 1.0 if c >= r else math.exp(1 - r / c) if c else 0.0
    precisions, orders = _precisions(matches, totals, smoothing, amount)
    used = precisions[:orders] if effective else precisions
    score = 0.0
    if used and min(used) > 0:
        score = penalty * math.exp(sum(map(math.log, used)) / len(used))
    return Bleu(score, tuple(precisions), penalty, c, r)


def _precisions(matches, totals, smoothing, amount):
    """p_1 .. p_n, and the number of orders that there are n-grams of."""
    precisions, orders, half = [0.0] * len(matches), 0, 1.0
    for n, (match, total) in enumerate(zip(matches, totals, strict=True)):
        if smoothing == "add-k" and n > 0:
            match, total = match + amount, total + amount
        if not any(matches) or total == 0:
            break
        orders = n + 1
        if match == 0 and smoothing == "exp":
            half /= 2
            match = half
        elif match == 0 and smoothing == "floor":
            match = amount
        precisions[n] = match / total
    return precisions, orders


def _rouge(matches, candidate, reference):
    precision = matches / candidate if candidate else 0.0
    recall = matches / reference if reference else 0.0
    f1 = 2 * precision * recall / (precision + recall) if matches else 0.0
    return Rouge(precision, recall, f1)
