"""Networks that give each pixel a class."""

from functools import partial

import numpy as np

from jdl.models.convnets.unet import unet
from tests.conformance.case import ModelCase

IMAGES = np.random.default_rng(0).normal(size=[2, 4, 4, 1]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.unet.unet": ModelCase(
        partial(unet, widths=(2, 3), padded=True), (IMAGES,)
    ),
}
