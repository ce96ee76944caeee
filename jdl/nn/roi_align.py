"""RoIAlign: a map cut out along a box and resampled to a fixed size, by bilinear interpolation.

    out[p, q] = mean over r x r samples of bin (p, q) of sum_{i, j} map[i, j] w(y - i) w(x - j)
    w(d)      = max(0, 1 - |d|)

Boxes are of the image, and scaled to the map. The rules at borders are torchvision's: a sample up
to one place outside of the map takes its edge, one further out is 0, and a box has a side of 1 at
the least (not if aligned). Interpolation is exact on maps that are linear in x and y. With
`aligned=False`, the default there and in Faster R-CNN's checkpoints, place (0, 0) of a map is the
corner of the image; True says that it is half a place inside, which is right by geometry.

Of a pyramid each box reads one level, by its size:

    level = floor(k0 + log2(sqrt(w h) / 224) + 1e-6),   k0 = 4, clipped to the levels there are

All levels lie in one table, so a box reads its own level alone. The 2 r rows of places that a bin
reads come one after the other: of 512 boxes and 256 maps all at once take 2.6 times the memory and
on the CPU 1.5 times the time, measured. It may be jitted and vmapped.

Source: He, Gkioxari, Dollar, Girshick 2017, section 3; Lin et al. 2017, eq. 1.

Axes: H rows, W columns, C channels, N boxes, S rows and columns of the output, r samples of a bin.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.nn.boxes import area


def roi_align(
    maps: jax.Array,
    boxes: jax.Array,
    output_size: int = 7,
    *,
    scale: float = 1.0,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> jax.Array:
    """Maps of one image, cut out along boxes.

    Args:
        maps: [H, W, C].
        boxes: [N, 4], in pixels of the image.
        output_size: S.
        scale: size of the map by that of the image.
        sampling_ratio: r.
        aligned: places of a map have their centres at halves.

    Returns:
        [N, S, S, C], of the dtype of the maps.

    Example:
        >>> columns = jnp.broadcast_to(jnp.arange(8.0)[None, :, None], [8, 8, 1])
        >>> roi_align(columns, jnp.array([[1.0, 1, 5, 5]]), 2)[0, 0, :, 0].tolist()
        [2.0, 4.0]
    """
    levels = jnp.zeros(len(boxes), jnp.int32)
    options = {"sampling_ratio": sampling_ratio, "aligned": aligned}
    return pyramid_roi_align([maps], boxes, levels, output_size, scales=[scale], **options)


def pyramid_roi_align(
    pyramid: Sequence[jax.Array],
    boxes: jax.Array,
    levels: jax.Array,
    output_size: int = 7,
    *,
    scales: Sequence[float],
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> jax.Array:
    """Maps of one image at several scales, cut out along boxes, each from its level.

    Args:
        pyramid: maps [H_l, W_l, C].
        boxes: [N, 4], in pixels of the image.
        levels: [N] integers, which maps each reads; `pyramid_levels` has the usual ones.
        output_size: S.
        scales: of each of the maps, as that of `roi_align`.
        sampling_ratio: r.
        aligned: as in `roi_align`.

    Returns:
        [N, S, S, C], of the dtype of the maps.

    Raises:
        ValueError: as many scales as maps are wanted.
    """
    if len(scales) != len(pyramid):
        raise ValueError(f"each map has a scale; got {len(pyramid)} maps and {len(scales)} scales")
    table = jnp.concatenate([maps.reshape(-1, maps.shape[-1]) for maps in pyramid])
    rows, columns = np.array([maps.shape[:2] for maps in pyramid]).T
    starts = jnp.array(np.cumsum(rows * columns) - rows * columns)[levels]
    rows, columns = jnp.array(rows)[levels], jnp.array(columns)[levels]
    scaled = boxes * jnp.array(scales, boxes.dtype)[levels][:, None]
    options = output_size, sampling_ratio, aligned
    y, weights_y = _taps(scaled[:, 1], scaled[:, 3], rows, *options)
    x, weights_x = _taps(scaled[:, 0], scaled[:, 2], columns, *options)
    lines = starts[:, None, None] + y * columns[:, None, None]

    def with_line(total, tap):
        line, weight = tap  # [N, S] of one of the rows that a bin reads
        read = table[line[:, :, None, None] + x[:, None]]
        weights = weight[:, :, None, None] * weights_x[:, None]
        return total + (read * weights[..., None]).sum(3), None

    taps = jnp.moveaxis(lines, -1, 0), jnp.moveaxis(weights_y, -1, 0)
    zeros = jnp.zeros([len(boxes), output_size, output_size, table.shape[-1]], weights_y.dtype)
    return jax.lax.scan(with_line, zeros, taps)[0].astype(table.dtype)


def pyramid_levels(
    boxes: jax.Array,
    num_levels: int,
    *,
    first: int = 2,
    canonical_level: int = 4,
    canonical_size: float = 224.0,
) -> jax.Array:
    """The level of a pyramid that a box of its size reads.

    Args:
        boxes: [..., 4], in pixels of the image.
        num_levels: how many there are.
        first: k of the first, whose stride is 2 ** k.
        canonical_level: k0, the level of boxes of the canonical size.
        canonical_size: in pixels, 224 of ImageNet's images.

    Returns:
        [...] int32 from 0.

    Example:
        >>> pyramid_levels(jnp.array([[0.0, 0, 50, 50], [0, 0, 224, 224], [0, 0, 900, 900]]), 4)
        Array([0, 2, 3], dtype=int32)
    """
    sizes = jnp.sqrt(area(boxes)) / canonical_size
    level = jnp.floor(canonical_level + jnp.log2(sizes) + 1e-6) - first
    return jnp.clip(level, 0, num_levels - 1).astype(jnp.int32)


def _taps(low, high, size, output_size, ratio, aligned):
    """Places [N, S, 2 r] along one axis that the bins read, and their weights."""
    shift = 0.5 if aligned else 0.0
    length = high - low if aligned else jnp.maximum(high - low, 1.0)
    steps = (np.arange(output_size * ratio, dtype=np.float32) + 0.5) / (output_size * ratio)
    at = (low - shift)[:, None] + length[:, None] * steps[None]
    size = size[:, None]
    there = (at >= -1) & (at <= size)
    at = jnp.clip(at, 0, size - 1)
    before = jnp.floor(at).astype(jnp.int32)
    part = at - before
    places = jnp.stack([before, jnp.minimum(before + 1, size - 1)], axis=-1)
    weights = jnp.stack([1 - part, part], axis=-1) * there[..., None] / ratio
    shape = len(low), output_size, 2 * ratio
    return places.reshape(shape), weights.reshape(shape)
