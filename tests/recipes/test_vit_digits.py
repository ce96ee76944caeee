"""The digits of ViTs: each patch size has its numbers and its picture; weights roll out."""

import jax
import numpy as np
import pytest

from jdl.data import image_set
from jdl.recipes import vit_digits

SHORT = vit_digits.Settings(patch_sizes="4", features=4, blocks=1, epochs=1, batch_size=700)


@pytest.fixture(scope="module")
def report():
    return vit_digits.run(SHORT, jax.random.key(0))


def test_a_patch_size_has_its_row_and_its_numbers(report):
    size, accuracy, larger = report.text.splitlines()[1].split()
    assert size == "4"
    assert float(accuracy) == pytest.approx(report.metrics["accuracy_4"], abs=1e-3)
    assert float(larger) == pytest.approx(report.metrics["accuracy_4_enlarged"], abs=1e-3)
    rows = [axes.get_ylabel() for axes in report.figures["attention"].axes]
    assert [name for name in rows if name] == ["image", "patches of 4"]


def test_of_one_block_the_roll_out_is_half_of_its_weights():
    train, _ = image_set("digits", "")
    model = vit_digits.made(4, 8, train, SHORT)
    variables = model.init(jax.random.key(0))
    found = vit_digits.rolled_out(model, variables, train.images[:2])
    maps, _ = model.apply(variables, train.images[:2], method="attention_maps")
    seen = maps.mean(2)[0, :, 0, 1:].reshape(2, 2, 2)
    expected = seen / seen.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found[:, ::4, ::4, 0], expected, rtol=1e-5)


def test_images_are_enlarged_without_a_change_of_their_mean():
    image = np.ones([1, 2, 2, 1], np.float32) * np.array([0, 1], np.float32)[None, None, :, None]
    found = vit_digits.enlarged(image)
    assert found.shape == (1, 4, 4, 1)
    np.testing.assert_allclose(found[0, 0, :, 0], [0, 0.25, 0.75, 1], atol=1e-6)
