"""Anchors against the table of Faster R-CNN's code and a loop over places."""

import jax
import numpy as np

from jdl.nn.anchors import anchors


def test_the_anchors_at_a_place_are_those_of_torchvision():
    found = anchors((32, 32), (1, 1), [128, 256])
    # AnchorGenerator.generate_anchors([128, 256], [0.5, 1, 2]) of torchvision 0.23.
    expected = [
        [-91, -45, 91, 45],
        [-181, -91, 181, 91],
        [-64, -64, 64, 64],
        [-128, -128, 128, 128],
        [-45, -91, 45, 91],
        [-91, -181, 91, 181],
    ]
    np.testing.assert_array_equal(found, expected)


def test_anchors_lie_around_all_places_by_row_and_column():
    # 40 rows in 3 places are strides of 13, rounded down; 24 columns in 6 are of 4.
    found = anchors((40, 24), (3, 6), [8], [0.5, 2.0])
    expected = []
    for row in range(3):
        for column in range(6):
            for width, height in [(6, 3), (3, 6)]:  # 8 / sqrt(0.5) = 11.3, halved 5.66; 2.83
                x, y = 4 * column, 13 * row
                expected.append([x - width, y - height, x + width, y + height])
    np.testing.assert_array_equal(found, expected)


def test_a_pyramid_of_800_pixels_has_159_882_anchors():
    sizes = [200, 100, 50, 25, 13]
    shapes = [jax.eval_shape(lambda n=n: anchors((800, 800), (n, n), [32])) for n in sizes]
    assert sum(x.shape[0] for x in shapes) == 3 * sum(n * n for n in sizes) == 159_882
