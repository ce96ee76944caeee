"""The bundled sets against the published counts of examples, features and classes."""

import sys

import numpy as np
import pytest
from sklearn import datasets

from jdl import data


@pytest.mark.parametrize(
    ("load", "shape", "counts", "names"),
    [
        (data.iris, (150, 4), [50, 50, 50], ("setosa", "versicolor", "virginica")),
        (data.wine, (178, 13), [59, 71, 48], ("class_0", "class_1", "class_2")),
        # UCI: 212 malignant and 357 benign.
        (data.breast_cancer, (569, 30), [212, 357], ("malignant", "benign")),
    ],
)
def test_tables_have_the_published_counts(load, shape, counts, names):
    table = load()
    assert table.inputs.shape == shape and table.inputs.dtype == np.float32
    assert table.labels.dtype == np.int32
    assert np.bincount(table.labels).tolist() == counts
    assert table.names == names
    assert len(table.features) == shape[1] and len(set(table.features)) == shape[1]


def test_first_iris_of_fisher():
    # Fisher 1936, table I, the first plant: 5.1, 3.5, 1.4, 0.2 cm.
    np.testing.assert_array_equal(data.iris().inputs[0], np.float32([5.1, 3.5, 1.4, 0.2]))


def test_digits_are_sixteenths_in_the_unit_interval():
    digits = data.digits()
    assert digits.images.shape == (1797, 8, 8, 1) and digits.images.dtype == np.float32
    assert digits.images.min() == 0 and digits.images.max() == 1
    np.testing.assert_array_equal(digits.images[..., 0] * 16, datasets.load_digits().images)
    assert [digits.names[label] for label in digits.labels[:3]] == ["0", "1", "2"]


def test_columns_of_diabetes_are_centred_with_unit_sums_of_squares():
    table = data.diabetes()
    assert table.inputs.shape == (442, 10)
    np.testing.assert_allclose(table.inputs.sum(0), np.zeros(10), atol=1e-5)
    np.testing.assert_allclose((table.inputs**2).sum(0), np.ones(10), rtol=1e-5)
    assert (table.targets.min(), table.targets.max()) == (25, 346)


def test_photographs_are_colour_images_in_the_unit_interval():
    images, names = data.photographs()
    assert images.shape == (2, 427, 640, 3) and images.dtype == np.float32
    assert names == ("china", "flower")
    assert 0 <= images.min() < images.max() <= 1
    china = datasets.load_sample_image("china.jpg")
    np.testing.assert_array_equal(np.round(images[0] * 255), china)


def test_missing_scikit_learn_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        data.iris()
