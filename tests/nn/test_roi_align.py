"""RoIAlign against loops over samples, and where it is exact: on linear maps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.roi_align import pyramid_levels, pyramid_roi_align, roi_align
from tests.nn.test_convolution import normal, quick


def interpolated(maps, y, x):
    """A sample by the rules of torchvision's kernel."""
    height, width, channels = maps.shape
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(channels)
    y, x = max(y, 0), max(x, 0)
    top, left = int(y), int(x)
    if top >= height - 1:
        top = bottom = height - 1
        y = top
    else:
        bottom = top + 1
    if left >= width - 1:
        left = right = width - 1
        x = left
    else:
        right = left + 1
    down, across = y - top, x - left
    return (
        (1 - down) * (1 - across) * maps[top, left]
        + (1 - down) * across * maps[top, right]
        + down * (1 - across) * maps[bottom, left]
        + down * across * maps[bottom, right]
    )


def looped(maps, box, size, scale, ratio, aligned):
    x0, y0, x1, y1 = np.float64(box) * scale - (0.5 if aligned else 0)
    width, height = (x1 - x0, y1 - y0) if aligned else (max(x1 - x0, 1), max(y1 - y0, 1))
    out = np.zeros([size, size, maps.shape[-1]])
    for p in range(size):
        for q in range(size):
            for i in range(ratio):
                for j in range(ratio):
                    y = y0 + height / size * (p + (i + 0.5) / ratio)
                    x = x0 + width / size * (q + (j + 0.5) / ratio)
                    out[p, q] += interpolated(maps, y, x) / ratio**2
    return out


BOXES = np.array(
    [
        [3.0, 2.0, 20.0, 29.0],
        [-9.0, -7.0, 60.0, 50.0],  # leaves the map by more than a place
        [5.0, 5.0, 5.5, 6.0],  # smaller than a place
        [20.0, 10.0, 31.9, 39.9],
    ],
    np.float32,
)


@pytest.mark.parametrize(("aligned", "ratio"), [(False, 2), (True, 3)])
def test_bins_are_means_of_samples(aligned, ratio):
    maps = normal(10, 8, 3)
    options = {"scale": 0.25, "sampling_ratio": ratio, "aligned": aligned}
    found = quick(lambda m: roi_align(m, jnp.array(BOXES), 3, **options), maps)
    expected = [looped(maps, box, 3, 0.25, ratio, aligned) for box in BOXES]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-4, atol=1e-4)
    assert (expected[1] == 0).any()


def test_linear_maps_are_read_exactly():
    y, x = np.mgrid[:12, :16].astype(np.float32)
    maps = jnp.array(np.stack([y, x, 2 * y - 3 * x + 1], axis=-1))
    box = jnp.array([[2.0, 4.0, 26.0, 18.0]])
    found = quick(lambda m: roi_align(m, box, 4, scale=0.5)[0], maps)
    rows = 2 + 7 / 4 * (np.arange(4) + 0.5)  # centres of the bins, on the map
    columns = 1 + 12 / 4 * (np.arange(4) + 0.5)
    rows, columns = np.meshgrid(rows, columns, indexing="ij")
    expected = np.stack([rows, columns, 2 * rows - 3 * columns + 1], axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_each_box_reads_its_level_and_the_gradient_goes_there():
    pyramid = [normal(16, 12, 2), normal(8, 6, 2), normal(4, 3, 2)]
    scales, levels = [1.0, 0.5, 0.25], np.array([2, 0, 1, 0])
    boxes = jnp.array(BOXES / 3)

    def cut(pyramid):
        return pyramid_roi_align(pyramid, boxes, levels, 2, scales=scales)

    def both(pyramid):
        out, pull = jax.vjp(cut, pyramid)
        return out, pull(jnp.ones_like(out).at[1:].set(0))[0]

    found, slopes = quick(both, pyramid)
    for row, box, level in zip(found, boxes, levels, strict=True):
        alone = looped(pyramid[level], box, 2, scales[level], 2, False)
        np.testing.assert_allclose(row, alone, rtol=1e-4, atol=1e-4)
    assert [bool(np.any(slope)) for slope in slopes] == [False, False, True]
    np.testing.assert_allclose(
        slopes[2].sum((0, 1)), [4, 4], rtol=1e-5
    )  # weights of a bin add to 1


def test_levels_are_equation_1_of_the_pyramids_paper():
    sides = np.array([1, 111, 112, 223, 224, 447, 448, 5000, 0])
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=-1).astype(np.float32)
    expected = [
        min(max(math.floor(4 + math.log2(max(s, 1e-9) / 224) + 1e-6), 2), 5) - 2 for s in sides
    ]
    assert pyramid_levels(jnp.array(boxes), 4).tolist() == expected == [0, 0, 1, 1, 2, 2, 3, 3, 0]


def test_a_scale_is_missing_and_half_precision_stays():
    with pytest.raises(ValueError, match="2 maps and 1 scales"):
        pyramid_roi_align([X, X], jnp.array(BOXES), jnp.zeros(4, int), scales=[1.0])
    half = jax.eval_shape(lambda: roi_align(X.astype(jnp.bfloat16), jnp.array(BOXES)))
    assert half.dtype == jnp.bfloat16


X = jnp.zeros([4, 4, 1])
