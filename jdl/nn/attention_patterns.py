"""Patterns of sparse attention: which of the past a position sees, told by positions alone.

    pattern(i, j)                   true where the query at i may see the key at j, j <= i

    banded(W)                       i - j < W
    text_and_image(N, S, kind)      of N text positions and then an image of S columns, row by row:
      text                            all of the past
      image                           all of the text; and of the image, with d = i - j,
        "row"                           d <= S                      up to the place above
        "column"                        d = 0, S, 2 S, ...          the places above
        "convolution"                   |d - S r| <= K // 2 for a row 0 <= r <= K // 2
        "dense"                         all

The convolution is the half of a K x K kernel that is not of the future. It and the row wrap around:
they know distances along the stream, not the borders of the image.

A pattern is a function of arrays of positions, so the same one makes the mask of a whole sequence
and that of a token behind a cache. Masks hide, and save no work: the scores of hidden keys are
computed all the same.

Source: Child, Gray, Radford, Sutskever 2019, section 4.3 (the strided form is row and column);
Ramesh et al. 2021, figure 11 and appendix B.1.

Axes: B sequences, I queries, J keys, S columns of an image.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Pattern = Callable[[jax.Array, jax.Array], jax.Array]
KINDS = ("dense", "row", "column", "convolution")


def dense(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """All of the past: the pattern that hides the future alone.

    Args:
        queries: positions i.
        keys: positions j, of a shape that fits.

    Returns:
        Booleans.
    """
    return keys <= queries


def banded(width: int) -> Pattern:
    """The last positions, one's own among them.

    Args:
        width: W, how many.

    Returns:
        The Pattern.

    Raises:
        ValueError: none.

    Example:
        >>> pattern_mask(banded(2), 4)[0, 0].astype(int).tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    """
    if width < 1:
        raise ValueError(f"a band has one position at least; got width={width}")
    return lambda queries, keys: (keys <= queries) & (queries - keys < width)


def text_and_image(num_text: int, columns: int, kind: str, *, kernel_size: int = 11) -> Pattern:
    """A pattern of a text with an image behind it.

    Args:
        num_text: N, positions before the first of the image.
        columns: S, of the image.
        kind: "row", "column", "convolution" or "dense".
        kernel_size: K, odd, of a convolution.

    Returns:
        The Pattern.

    Raises:
        ValueError: another kind; an even kernel.

    Example:
        >>> pattern = text_and_image(2, 3, "row")  # the fifth place of the image sees four of it
        >>> pattern_mask(pattern, 8)[0, 0, 6].astype(int).tolist()
        [1, 1, 0, 1, 1, 1, 1, 0]
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {KINDS}; got {kind!r}")
    if kernel_size % 2 == 0:
        raise ValueError(f"a kernel with a place in its middle is odd; got {kernel_size}")
    half = kernel_size // 2

    def near(distance):
        if kind == "row":
            return distance <= columns
        if kind == "column":
            return distance % columns == 0
        if kind == "dense":
            return distance >= 0
        rows = [abs(distance - columns * row) <= half for row in range(half + 1)]
        return jnp.any(jnp.stack(rows), axis=0)

    def pattern(queries, keys):
        sees = (queries < num_text) | (keys < num_text) | near(queries - keys)
        return (keys <= queries) & sees

    return pattern


def pattern_mask(
    pattern: Pattern, num_keys: int, first: jax.Array | int = 0, num_queries: int | None = None
) -> jax.Array:
    """The mask of consecutive queries.

    Args:
        pattern: of any kind.
        num_keys: J, at the positions from 0 on.
        first: position of the first query, of each sequence, [B], or of all.
        num_queries: I; None is J.

    Returns:
        [B, 1, I, J] of booleans, or [1, 1, I, J], a `mask` of attention.
    """
    places = jnp.arange(num_keys if num_queries is None else num_queries)
    queries = jnp.atleast_1d(first)[:, None] + places[None]
    return pattern(queries[:, None, :, None], jnp.arange(num_keys)[None, None, None])
