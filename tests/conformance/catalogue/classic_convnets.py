"""The convolutional networks of 1998 to 2016, with tables of a layer or two a stage."""

from functools import partial

import numpy as np

from jdl.models.convnets.vgg import vgg
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)


def _images(size, channels=3):
    return _random.normal(size=[2, size, size, channels]).astype(np.float32)


MODELS = {
    "jdl.models.convnets.vgg.vgg": ModelCase(
        partial(vgg, ((3,), (3,)), (4, 4), num_classes=3, hidden_dim=5, grid=2), (_images(8),)
    ),
}
