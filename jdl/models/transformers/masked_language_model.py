"""BERT's pre-training: guess the words that were masked, and whether two sentences follow.

    15 % of the tokens are chosen; of those
        80 %  become [MASK]           my dog is hairy -> my dog is [MASK]
        10 %  become a random token   my dog is hairy -> my dog is apple
        10 %  stay as they are        my dog is hairy -> my dog is hairy

    words    = - mean_{chosen} log softmax(words)[token]
    pairs    = - mean_b log softmax(is_next)[not_next],      half of the pairs are of two documents
    loss     = words + pairs

Source: Devlin, Chang, Lee, Toutanova 2019, section 3.1 and appendix A.1, A.2; 001; 004 sec. 6.4.
Each token is chosen by itself, and anew at each step, as in RoBERTa (Liu and others 2019, section
4.1), which leaves the pairs out; BERT's code chooses a fixed number once.

Departs from 004, which calls all chosen tokens masked: a fifth of them is not.

Axes: B sequences, T tokens, V words, N sentences, P pairs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Key, Model, Objective, Variables
from jdl.models.transformers.bert_heads import PretrainingLogits
from jdl.nn.token_ids import check_special


class Masked(NamedTuple):
    """A text with some tokens to guess.

    Attributes:
        inputs: what the model reads, [B, T].
        labels: the tokens, [B, T].
        mask: the places to guess, [B, T] of booleans.
    """

    inputs: jax.Array
    labels: jax.Array
    mask: jax.Array


class TextPairs(NamedTuple):
    """A batch to pre-train on.

    Attributes:
        tokens: [B, T], "[CLS] first [SEP] second [SEP] [PAD] ...".
        segments: [B, T], 0 to the first [SEP], 1 behind it.
        is_token: [B, T], false for padding.
        not_next: [B], 1 if the second sentence does not follow the first.
    """

    tokens: jax.Array
    segments: jax.Array
    is_token: jax.Array
    not_next: jax.Array


def masked_tokens(
    key: Key,
    tokens: jax.Array,
    special: jax.Array,
    *,
    mask_token: int,
    vocab_size: int,
    rate: float = 0.15,
    masked_share: float = 0.8,
    random_share: float = 0.1,
) -> Masked:
    """Chooses tokens to guess, and hides most of them.

    Args:
        key: split in three.
        tokens: integers [B, T].
        special: [B, T], true for [CLS], [SEP] and padding, which are never chosen.
        mask_token: id of [MASK].
        vocab_size: V; a random token is any of them, the true one too.
        rate: probability of being chosen.
        masked_share: of the chosen ones, that become [MASK].
        random_share: of the chosen ones, that become random; the rest stays.

    Returns:
        Masked.

    Raises:
        ValueError: shares that are more than 1 together, or special places of another shape.

    Example:
        >>> tokens = jnp.array([[1, 7, 8, 9, 2]])
        >>> found = masked_tokens(
        ...     jax.random.key(0), tokens, tokens < 3, mask_token=4, vocab_size=10, rate=1.0,
        ...     masked_share=1.0, random_share=0.0
        ... )
        >>> found.inputs.tolist(), found.mask[0].tolist()
        ([[1, 4, 4, 4, 2]], [False, True, True, True, False])
    """
    if masked_share + random_share > 1:
        raise ValueError(
            f"shares are at most 1 together; got {masked_share} masked and {random_share} random"
        )
    check_special(vocab_size, mask_token=mask_token)
    if special.shape != tokens.shape:
        raise ValueError(
            f"special says of each token {list(tokens.shape)} whether it is; "
            f"got {list(special.shape)}"
        )
    choice, fate, words = jax.random.split(key, 3)
    mask = jax.random.bernoulli(choice, rate, tokens.shape) & ~special
    fates = jax.random.uniform(fate, tokens.shape)
    random = jax.random.randint(words, tokens.shape, 0, vocab_size, tokens.dtype)
    replaced = jnp.where(fates < masked_share + random_share, random, tokens)
    replaced = jnp.where(fates < masked_share, mask_token, replaced)
    return Masked(jnp.where(mask, replaced, tokens), tokens, mask)


def masked_cross_entropy(logits: jax.Array, masked: Masked) -> jax.Array:
    """The mean negative log-likelihood of the tokens at the chosen places; 0 if there are none.

    Args:
        logits: [B, T, V].
        masked: of `masked_tokens`.

    Returns:
        A number in float32, in nats.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits.astype(jnp.float32), masked.labels
    )
    return jnp.sum(losses, where=masked.mask) / jnp.maximum(masked.mask.sum(), 1)


def masked_language_modelling(
    model: Model, *, vocab_size: int, mask_token: int, special_tokens: Sequence[int], **shares
) -> Objective:
    """Masked words, and next sentences if the model guesses them.

    Args:
        model: BERT with the head `pretraining`, or `masked_words`, which leaves the pairs out.
        vocab_size: V.
        mask_token: id of [MASK].
        special_tokens: ids of [CLS], [SEP] and the like, which are never chosen.
        shares: rate, masked_share and random_share of `masked_tokens`.

    Returns:
        An Objective of TextPairs; the info has "words" and "pairs", 0 without these.
    """
    special_tokens = np.asarray(special_tokens)

    def objective(params, buffers, batch, key):
        choice, noise = jax.random.split(key)
        special = jnp.isin(batch.tokens, special_tokens) | ~batch.is_token
        options = {"mask_token": mask_token, "vocab_size": vocab_size, **shares}
        masked = masked_tokens(choice, batch.tokens, special, **options)
        inputs = (masked.inputs, batch.segments, batch.is_token)
        outputs, buffers = model.apply(Variables(params, buffers), *inputs, key=noise, train=True)
        pairs = jnp.zeros([])
        if isinstance(outputs, PretrainingLogits):
            outputs, is_next = outputs
            pairs = optax.softmax_cross_entropy_with_integer_labels(
                is_next.astype(jnp.float32), batch.not_next
            ).mean()
        words = masked_cross_entropy(outputs, masked)
        return words + pairs, (buffers, {"words": words, "pairs": pairs})

    return objective


def sentence_pairs(key: Key, documents: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of sentences, half of which follow each other; the others are of two documents.

    Args:
        key: split in two.
        documents: the document of each sentence, [N], the sentences of one side by side.

    Returns:
        Indices of the first sentences [P], all that have a next one; of the second ones [P]; and
        whether they do not follow [P], 0 or 1.

    Raises:
        ValueError: fewer than two documents, or one whose sentences lie apart.

    Example:
        >>> first, second, not_next = sentence_pairs(jax.random.key(0), [0, 0, 0, 1, 1])
        >>> first.tolist()
        [0, 1, 3]
    """
    documents = np.asarray(documents)
    _, starts, sizes = np.unique(documents, return_index=True, return_counts=True)
    if len(starts) < 2:
        raise ValueError("a sentence that does not follow is of another document; got one")
    changes = np.flatnonzero(documents[1:] != documents[:-1])
    if len(changes) != len(starts) - 1:
        raise ValueError("the sentences of a document lie side by side; got them apart")
    document_of = np.searchsorted(np.sort(starts), np.arange(len(documents)), "right") - 1
    order = np.argsort(starts)
    first = np.flatnonzero(documents[:-1] == documents[1:])
    start, size = starts[order][document_of[first]], sizes[order][document_of[first]]
    coin, other = jax.random.split(key)
    not_next = np.asarray(jax.random.bernoulli(coin, 0.5, [len(first)])).astype(np.int32)
    drawn = np.asarray(jax.random.randint(other, [len(first)], 0, len(documents) - size))
    elsewhere = np.where(drawn >= start, drawn + size, drawn)
    return first, np.where(not_next == 1, elsewhere, first + 1), not_next


def packed_pair(
    first: Sequence[int],
    second: Sequence[int] = (),
    *,
    length: int,
    cls_token: int,
    sep_token: int,
    pad_token: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[CLS] first [SEP] second [SEP], filled up; the longer sentence is cut until all fits.

    Args:
        first: ids of a sentence.
        second: of another; none gives [CLS] first [SEP].
        length: T.
        cls_token: id of [CLS].
        sep_token: id of [SEP].
        pad_token: id of what fills up.

    Returns:
        tokens, segments, is_token, each [T].

    Raises:
        ValueError: a length that the marks alone exceed.

    Example:
        >>> tokens, segments, _ = packed_pair([7, 8], [9], length=8, cls_token=1, sep_token=2)
        >>> tokens.tolist(), segments.tolist()
        ([1, 7, 8, 2, 9, 2, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0])
    """
    room = length - (3 if len(second) else 2)
    if room < 0:
        raise ValueError(f"[CLS] and [SEP] need more than {length} places")
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    tokens = [cls_token, *first, sep_token, *(second + [sep_token] if second else [])]
    segments = [0] * (len(first) + 2) + [1] * (len(tokens) - len(first) - 2)
    filling = length - len(tokens)
    return (
        np.array(tokens + [pad_token] * filling, np.int32),
        np.array(segments + [0] * filling, np.int32),
        np.arange(length) < len(tokens),
    )
