"""Sequences of ids cut and filled to the shapes that a network takes.

    padded             ragged sequences -> [N, L]
    prefix_examples    w1 w2 w3 w4 -> (0 0 w1 -> w2), (0 w1 w2 -> w3), (w1 w2 w3 -> w4)
    token_windows      one long sequence -> [N, T + 1], for a model of the next token

Source: `keras.utils.pad_sequences`, whose defaults are kept; 004 example 5.7.2. Arrays are NumPy's.

Axes: N sequences, L or T tokens.
"""

from collections.abc import Sequence

import numpy as np

SIDES = ("pre", "post")


def padded(
    sequences: Sequence[Sequence[int]],
    length: int | None = None,
    *,
    padding: str = "pre",
    truncating: str = "pre",
    value: int = 0,
    dtype=np.int32,
) -> np.ndarray:
    """Sequences of one length, cut or filled.

    Args:
        sequences: of any lengths.
        length: L; None takes the longest.
        padding: the side that is filled, "pre" or "post". A recurrent network that reads its last
            state takes "pre"; attention with a mask takes either.
        truncating: the side of too long a sequence that is cut.
        value: of the filling.
        dtype: of the result.

    Returns:
        [N, L].

    Raises:
        ValueError: no sequences and no length, a sequence of sequences, numbers that `dtype` would
            cut, or another side.

    Example:
        >>> padded([[1, 2, 3], [4]], 2).tolist(), padded([[4]], 2, padding="post").tolist()
        ([[2, 3], [0, 4]], [[4, 0]])
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in SIDES:
            raise ValueError(f"{name} is 'pre' or 'post'; got {side!r}")
    if length is None and len(sequences) == 0:
        raise ValueError("without sequences the length is not known; pass it")
    length = max(map(len, sequences)) if length is None else length
    if length < 0:
        raise ValueError(f"length counts tokens; got {length}")
    out = np.full([len(sequences), length], value, dtype)
    for row, sequence in zip(out, sequences, strict=True):
        if np.ndim(sequence) != 1:
            raise ValueError(f"a sequence has one axis; got {np.ndim(sequence)}")
        if len(sequence) and not np.can_cast(np.asarray(sequence).dtype, dtype, "same_kind"):
            raise ValueError(f"{np.asarray(sequence).dtype} would be cut to {np.dtype(dtype)}")
        kept = sequence[max(len(sequence) - length, 0) :]
        kept = kept if truncating == "pre" else sequence[:length]
        row[length - len(kept) if padding == "pre" else 0 :][: len(kept)] = kept
    return out


def token_mask(sequences: Sequence[Sequence[int]], length: int, *, padding: str = "pre"):
    """Where `padded` has tokens rather than filling.

    Args:
        sequences: of any lengths.
        length: L.
        padding: the side that is filled.

    Returns:
        [N, L] of booleans.

    Raises:
        ValueError: another side.
    """
    ones = [[True] * len(sequence) for sequence in sequences]
    return padded(ones, length, padding=padding, dtype=bool)


def prefixes(tokens: Sequence[int]) -> list[Sequence[int]]:
    """The beginnings of a sequence, of two tokens up to all.

    Args:
        tokens: T of them.

    Returns:
        T - 1 sequences; the last token of each is the one to predict.

    Example:
        >>> prefixes([7, 8, 9])
        [[7, 8], [7, 8, 9]]
    """
    return [tokens[:end] for end in range(2, len(tokens) + 1)]


def prefix_examples(
    sequences: Sequence[Sequence[int]], length: int | None = None, *, value: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Examples for a model that predicts the token after a prefix, filled on the left.

    Args:
        sequences: of ids, phrases or lines.
        length: tokens that a prediction sees, L; None takes all of the longest phrase.
        value: of the filling, an id that no token has.

    Returns:
        Inputs [N, L] and the next tokens [N].

    Raises:
        ValueError: no sequence of two tokens or more.

    Example:
        >>> inputs, labels = prefix_examples([[7, 8, 9]])
        >>> inputs.tolist(), labels.tolist()
        ([[0, 7], [7, 8]], [8, 9])
    """
    found = [prefix for sequence in sequences for prefix in prefixes(sequence)]
    if not found:
        raise ValueError("a prefix and a next token take a sequence of two tokens or more")
    rows = padded(found, None if length is None else length + 1, value=value)
    return rows[:, :-1], rows[:, -1]


def token_windows(ids: Sequence[int], context: int, *, stride: int | None = None) -> np.ndarray:
    """Windows of a long sequence, each a batch row of `next_token`.

    Args:
        ids: [L].
        context: T, the tokens that a model sees.
        stride: tokens from one window to the next; None takes T, so that each token after the
            first is predicted once. What is left at the end is dropped.

    Returns:
        [N, T + 1]: inputs are all but the last column, labels all but the first.

    Raises:
        ValueError: fewer than T + 1 ids, or a context or stride below 1.

    Example:
        >>> token_windows([0, 1, 2, 3, 4, 5, 6], 3).tolist()
        [[0, 1, 2, 3], [3, 4, 5, 6]]
    """
    stride = context if stride is None else stride
    ids = np.asarray(ids)
    if context < 1 or stride < 1:
        raise ValueError(f"context and stride are positive; got {context} and {stride}")
    if ids.ndim != 1 or len(ids) <= context:
        raise ValueError(
            f"a window takes {context + 1} ids; got {list(ids.shape)}. Take a shorter context"
        )
    return np.lib.stride_tricks.sliding_window_view(ids, context + 1)[::stride].copy()
