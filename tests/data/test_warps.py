"""Readings between pixels and affine maps against SciPy, closed forms and drawn rectangles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jdl.data.sharpness import blurred
from jdl.data.warps import (
    affine,
    affine_boxes,
    affine_matrix,
    random_affine,
    random_affine_matrices,
    random_elastic,
    warped,
)
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=[2, 7, 9, 3]).astype(np.float32)
SCIPY = {"constant": "grid-constant", "edge": "nearest", "reflect": "mirror"}


@pytest.mark.parametrize("mode", SCIPY)
@pytest.mark.parametrize("order", [0, 1])
def test_readings_are_scipys(order, mode):
    rows, columns = RNG.uniform(-6, 14, [2, 2, 5, 6]).astype(np.float32)
    read = quick(lambda *x: warped(*x, order=order, mode=mode, fill=0.3))
    found = read(IMAGES, rows, columns)
    for b in range(2):
        for c in range(3):
            expected = ndimage.map_coordinates(
                IMAGES[b, ..., c], [rows[b], columns[b]], order=order, mode=SCIPY[mode], cval=0.3
            )
            np.testing.assert_allclose(found[b, ..., c], expected, atol=2e-5)


def test_a_matrix_is_the_product_of_its_parts_and_its_determinant_the_area():
    degrees, zoom = RNG.uniform(-180, 180, 4), RNG.uniform(0.5, 2, [4, 2])
    shear, shift = RNG.uniform(-1, 1, [4, 2]), RNG.normal(size=[4, 2])
    found = affine_matrix(degrees, zoom, shear, shift)
    for i in range(4):
        a = np.deg2rad(degrees[i])
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        sheared = np.array([[1, shear[i, 0]], [shear[i, 1], 1]])
        expected = turn @ sheared @ np.diag(zoom[i])
        np.testing.assert_allclose(found[i, :, :2], expected, atol=1e-5)
        area = zoom[i].prod() * (1 - shear[i].prod())
        np.testing.assert_allclose(np.linalg.det(found[i, :, :2]), area, rtol=1e-4)
    np.testing.assert_allclose(found[..., 2], shift, rtol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
def test_moves_are_scipys_affine_transform(order):
    matrices = affine_matrix(
        jnp.array([25.0, -70.0]), shear=(0.1, -0.3), zoom=(0.8, 1.3), shift=(1.2, -0.7)
    )
    move = quick(lambda x, m: affine(x, m, order=order, fill=-1.0))
    found = move(IMAGES, matrices)
    centre = (np.array([7, 9]) - 1) / 2
    for b in range(2):
        inverse = np.linalg.inv(np.asarray(matrices[b, :, :2], float))
        offset = centre - inverse @ (centre + np.asarray(matrices[b, :, 2]))
        for c in range(3):
            expected = ndimage.affine_transform(
                IMAGES[b, ..., c], inverse, offset, order=order, mode="grid-constant", cval=-1.0
            )
            np.testing.assert_allclose(found[b, ..., c], expected, atol=1e-4)


def test_the_identity_a_flip_and_whole_shifts_are_exact_on_masks():
    masks = RNG.integers(0, 9, [2, 5, 6, 1]).astype(np.uint8)
    move = quick(lambda x, m: affine(x, m, order=0))
    np.testing.assert_array_equal(move(masks, affine_matrix()), masks)
    np.testing.assert_array_equal(move(masks, affine_matrix(zoom=(1, -1))), masks[:, :, ::-1])
    found = move(masks, affine_matrix(shift=(1, -2)))
    assert found.dtype == jnp.uint8
    np.testing.assert_array_equal(found[:, 1:, :-2], masks[:, :-1, 2:])
    assert not found[:, 0].any() and not found[:, :, -2:].any()


def test_boxes_follow_the_rectangles_in_their_images():
    shape, box = (40, 50), (22, 12, 34, 20)  # x, y, x, y
    image = np.zeros([1, *shape, 1], np.float32)
    image[0, box[1] : box[3], box[0] : box[2]] = 1
    move = quick(lambda x, m: (affine(x, m), affine_boxes(jnp.array([[box]], float), m, shape)))
    for options in (
        {"degrees": 90.0},
        {"zoom": (1.5, -0.5)},
        {"shear": (0.0, 0.4)},
        {"degrees": 30.0, "shear": (0.2, 0.0), "shift": (3.0, -4.0)},
    ):
        moved, boxes = move(image, affine_matrix(**options))
        rows, columns = np.nonzero(moved[0, ..., 0] > 0.02)
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(boxes[0, 0], around, atol=1.3)
    gone = move(image, affine_matrix(shift=(0.0, 45.0)))[1][0, 0]
    assert (gone[2] - gone[0]) * (gone[3] - gone[1]) == 0
    cut = move(image, affine_matrix(shift=(0.0, 20.0)))[1][0, 0]
    assert cut.tolist() == [42.0, 12.0, 50.0, 20.0]


def test_draws_fill_their_ranges_evenly(key):
    number = 2000
    options = {"max_zoom": 0.2, "max_shear": 0.3, "max_shift": 0.1}
    both = quick(
        lambda k: (
            random_affine_matrices(number, (20, 40), k, **options),
            random_affine_matrices(number, (20, 40), k, max_degrees=150),
        )
    )
    found, turned = both(key)
    unit = {
        "zoom down": (found[:, 0, 0] - 1) / 0.2,
        "zoom right": (found[:, 1, 1] - 1) / 0.2,
        "shear": found[:, 1, 0] / found[:, 0, 0] / 0.3,
        "shift down": found[:, 0, 2] / 2,
        "shift right": found[:, 1, 2] / 4,
    }
    unit["angle"] = jnp.rad2deg(jnp.arctan2(turned[:, 1, 0], turned[:, 0, 0])) / 150
    for name, draws in unit.items():
        assert jnp.abs(draws).max() < 1 + 1e-4 and jnp.abs(draws).max() > 0.99, name
        assert abs(draws.mean()) < 4 * (1 / 3 / number) ** 0.5, name
        assert abs((draws**2).mean() - 1 / 3) < 4 * (4 / 45 / number) ** 0.5, name
    correlation = np.corrcoef(np.stack(list(unit.values())))
    assert np.abs(correlation - np.eye(6)).max() < 4 / number**0.5


def test_images_and_masks_move_alike_by_one_key(key):
    classes = np.kron(RNG.integers(0, 2, [3, 5, 5]), np.ones([8, 8])).astype(np.float32)[..., None]
    options = {"max_degrees": 30, "max_shift": 0.1, "mode": "edge"}
    soft = quick(lambda x, k: random_affine(x, k, **options))(classes, key)
    hard = quick(lambda x, k: random_affine(x, k, order=0, **options))(classes.astype(int), key)
    assert (jnp.abs(soft - hard) < 0.5).mean() > 0.995
    assert (hard != classes).mean() > 0.05


def test_the_displacement_of_an_elastic_bend_has_the_stated_deviation(key):
    # The bend of two ramps is the field itself, away from the border.
    down, right = np.meshgrid(np.arange(80.0), np.arange(80.0), indexing="ij")
    ramps = np.stack([down, right], -1).astype(np.float32)[None]
    bend = quick(lambda x, k: random_elastic(x, k, alpha=34.0, std=3.0))
    found = np.asarray(bend(np.tile(ramps, (4, 1, 1, 1)), key)) - ramps
    field = found[:, 12:-12, 12:-12]
    expected = 34 / (3 * np.sqrt(12 * np.pi))
    # About 56^2 / (4 pi 3^2) independent places in each of 8 fields.
    places = 8 * 56**2 / (4 * np.pi * 9)
    assert abs(field.std() / expected - 1) < 4 / (2 * places) ** 0.5
    lag = (field[:, 6:] * field[:, :-6]).mean() / field.var()
    assert abs(lag - np.exp(-(6**2) / (4 * 9))) < 0.15


def test_the_blur_of_the_field_is_scipys(key):
    noise = jax.random.uniform(key, [2, 30, 25, 2])
    found = quick(lambda x: blurred(x, 2.0))(noise)
    expected = ndimage.gaussian_filter(noise, (0, 2, 2, 0), mode="mirror")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_wrong_arguments_are_refused(key):
    rows = jnp.zeros([2, 3])
    with pytest.raises(ValueError, match="got 3 and 'constant'"):
        warped(IMAGES, rows, rows, order=3)
    with pytest.raises(ValueError, match="got 1 and 'wrap'"):
        warped(IMAGES, rows, rows, mode="wrap")
    with pytest.raises(ValueError, match=r"rows \[3, 2, 3\]"):
        warped(IMAGES, jnp.zeros([3, 2, 3]), jnp.zeros([3, 2, 3]))
    with pytest.raises(ValueError, match=r"got \[3, 2, 3\]"):
        affine(IMAGES, jnp.zeros([3, 2, 3]))
    with pytest.raises(ValueError, match="max_zoom < 1; got 1.0"):
        random_affine(IMAGES, key, max_zoom=1.0)
    with pytest.raises(ValueError, match=r"\[B, N, 4\]"):
        affine_boxes(jnp.zeros([2, 4]), affine_matrix(), (5, 5))
