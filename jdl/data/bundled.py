"""The small data sets that scikit-learn carries with it: nothing is downloaded.

| function | examples | features | to predict |
|---|---|---|---|
| `digits` | 1797 | 8 x 8 grey pixels | 10 digits |
| `iris` | 150 | 4 lengths in cm | 3 species |
| `wine` | 178 | 13 measurements | 3 growers |
| `breast_cancer` | 569 | 30 measurements | malignant, benign |
| `diabetes` | 442 | 10 standardised measurements | a progression score |
| `photographs` | 2 | 427 x 640 colour pixels | |

All arrays are NumPy's: `fit` keeps those on the host, `jnp.asarray` puts them on the device.
Needs the extra `data`.
"""

import pathlib
from typing import NamedTuple

import numpy as np


class LabelledImages(NamedTuple):
    """Images of classes.

    Attributes:
        images: [N, H, W, C] float32 in [0, 1].
        labels: [N] int32, an index into `names`.
        names: of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


class ClassTable(NamedTuple):
    """Rows of measurements, each of a class.

    Attributes:
        inputs: [N, D] float32, in the units of the source: standardise them with the training part.
        labels: [N] int32, an index into `names`.
        names: of the classes.
        features: names of the D columns.
    """

    inputs: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    features: tuple[str, ...]


class ValueTable(NamedTuple):
    """Rows of measurements, each with a number to predict.

    Attributes:
        inputs: [N, D] float32.
        targets: [N] float32.
        features: names of the D columns.
    """

    inputs: np.ndarray
    targets: np.ndarray
    features: tuple[str, ...]


class NamedImages(NamedTuple):
    """Images without classes.

    Attributes:
        images: [N, H, W, C] float32 in [0, 1].
        names: of the images.
    """

    images: np.ndarray
    names: tuple[str, ...]


def digits() -> LabelledImages:
    """Handwritten digits of 43 writers: 1797 images [8, 8, 1].

    A pixel is a count of 0 to 16 dots in a 4 x 4 cell, divided by 16 here.

    Returns:
        images [1797, 8, 8, 1], labels [1797], and the names "0" to "9".

    Raises:
        ImportError: scikit-learn is missing.

    Source: Alpaydin and Kaynak 1998, the test part of "Optical Recognition of Handwritten Digits",
    UCI machine learning repository.
    """
    source = _scikit_learn().load_digits()
    images = (source.images / 16).astype(np.float32)[..., None]
    return LabelledImages(images, source.target.astype(np.int32), tuple("0123456789"))


def iris() -> ClassTable:
    """Lengths and widths, in cm, of the sepals and petals of three species: inputs [150, 4].

    Raises:
        ImportError: scikit-learn is missing.

    Source: Fisher 1936, with scikit-learn's corrections of two rows of the UCI copy.
    """
    return _class_table(_scikit_learn().load_iris())


def wine() -> ClassTable:
    """Chemical analyses of wines of three growers: inputs [178, 13].

    Raises:
        ImportError: scikit-learn is missing.

    Source: Forina and others 1991, UCI machine learning repository.
    """
    return _class_table(_scikit_learn().load_wine())


def breast_cancer() -> ClassTable:
    """Shapes of cell nuclei in breast tumours: inputs [569, 30]; label 0 malignant, 1 benign.

    Raises:
        ImportError: scikit-learn is missing.

    Source: Wolberg, Street and Mangasarian 1995, UCI machine learning repository.
    """
    return _class_table(_scikit_learn().load_breast_cancer())


def diabetes() -> ValueTable:
    """Progression of diabetes after a year from ten measurements: inputs [442, 10].

    The columns are centred, and scaled to a sum of squares of 1; the target is a score of 25 to
    346 without a unit.

    Raises:
        ImportError: scikit-learn is missing.

    Source: Efron, Hastie, Johnstone and Tibshirani 2004, "Least Angle Regression".
    """
    source = _scikit_learn().load_diabetes()
    return ValueTable(
        source.data.astype(np.float32),
        source.target.astype(np.float32),
        tuple(map(str, source.feature_names)),
    )


def photographs() -> NamedImages:
    """Two colour photographs, a temple in China and a flower: images [2, 427, 640, 3].

    Raises:
        ImportError: scikit-learn, or Pillow which reads them, is missing.
    """
    source = _scikit_learn().load_sample_images()
    images = np.stack(source.images).astype(np.float32) / 255
    return NamedImages(images, tuple(pathlib.Path(path).stem for path in source.filenames))


def _scikit_learn():
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "the bundled data sets are scikit-learn's: pip install scikit-learn"
        ) from error
    return datasets


def _class_table(source):
    return ClassTable(
        source.data.astype(np.float32),
        source.target.astype(np.int32),
        tuple(map(str, source.target_names)),
        tuple(map(str, source.feature_names)),
    )
