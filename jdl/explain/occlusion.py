"""Occlusion: how much a class loses when a patch of the image is covered.

    drop_p = s_c(x) - s_c(x with `fill` in patch p),      s = softmax(logits) unless asked otherwise

The patch slides over the image. Nothing of the network need be differentiable or known.

Source: Zeiler and Fergus 2014, section 4.2 and figure 6; 004 problem 4.6.

Axes: B images, H rows, W columns, C channels, K classes, P positions of the patch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Model, Variables
from jdl.explain.class_scores import classes_or_best, scores_of

Pair = int | tuple[int, int]


def occlusion(
    model: Model,
    variables: Variables,
    images: jax.Array,
    classes: jax.Array | None = None,
    *,
    patch: Pair,
    strides: Pair = 1,
    fill: float = 0.0,
    score: Callable[[jax.Array], jax.Array] = jax.nn.softmax,
    chunk: int | None = None,
) -> jax.Array:
    """The drop of the score of each image's class at each position of the patch.

    Args:
        model: images -> logits [B, K].
        variables: of the model.
        images: [B, H, W, C].
        classes: integers [B], or one for all; None takes the predicted ones.
        patch: rows and columns that are covered.
        strides: from one position to the next.
        fill: what is seen in the patch; grey is the mean of the data.
        score: logits [B, K] -> scores [B, K]; `lambda logits: logits` for the logits.
        chunk: positions at once, each of B images; None takes all, fastest and largest.

    Returns:
        Drops [B, P_rows, P_columns], negative where covering helps the class. Position (i, j)
        covers the rows from i * strides on; a rest at the end that no patch fits is not covered.

    Raises:
        ValueError: a patch larger than the images, sizes below 1, or classes of another shape.

    Example:
        >>> from jdl.core import Model
        >>> count = Model(None, lambda variables, x: (x.sum((1, 2)), ()))
        >>> occlusion(count, None, jnp.ones([1, 3, 3, 1]), 0, patch=2, score=lambda s: s).tolist()
        [[[4.0, 4.0], [4.0, 4.0]]]
    """
    height, width = images.shape[1:3]
    rows, columns = _covers((height, width), patch, strides)

    def scores(images):
        return model.apply(variables, images)[0]

    logits = scores(images)
    classes = classes_or_best(logits, classes)
    before = scores_of(score(logits), classes)

    def drop(place):
        covered = rows[place[0]][:, None] & columns[place[1]][None]
        seen = jnp.where(covered[None, :, :, None], jnp.asarray(fill, images.dtype), images)
        return before - scores_of(score(scores(seen)), classes)

    shape = len(rows), len(columns)
    places = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape), indexing="ij"), -1).reshape(-1, 2)
    drops = jax.vmap(drop)(places) if chunk is None else jax.lax.map(drop, places, batch_size=chunk)
    return jnp.moveaxis(drops.reshape(*shape, -1), -1, 0)


def over_pixels(
    drops: jax.Array, shape: tuple[int, int], *, patch: Pair, strides: Pair = 1
) -> jax.Array:
    """Drops of patches as heat of pixels: the mean over the patches that cover a pixel.

    Args:
        drops: of `occlusion` [B, P_rows, P_columns].
        shape: (H, W) of the images.
        patch: as there.
        strides: as there.

    Returns:
        Heat [B, H, W]; 0 where no patch comes.
    """
    rows, columns = (
        cover / jnp.maximum(cover.sum(0, keepdims=True), 1)
        for cover in _covers(shape, patch, strides)
    )
    return jnp.einsum("bij,ih,jw->bhw", drops, rows, columns)


def _covers(shape, patch, strides):
    """Which rows [P_rows, H] and columns [P_columns, W] each position covers."""
    patch, strides = (x if isinstance(x, tuple) else (x, x) for x in (patch, strides))
    if min(*patch, *strides) < 1 or any(p > s for p, s in zip(patch, shape, strict=True)):
        raise ValueError(
            "a patch and its strides are at least 1 and the patch fits into the images "
            f"{list(shape)}; got {patch} and {strides}"
        )
    found = []
    for size, length, stride in zip(shape, patch, strides, strict=True):
        start = jnp.arange(0, size - length + 1, stride)[:, None]
        place = jnp.arange(size)[None]
        found.append((place >= start) & (place < start + length))
    return found
