"""Networks of residual blocks and their kin."""

from functools import partial

import numpy as np

from jdl.models.convnets.resnet import resnet
from tests.conformance.case import ModelCase

IMAGES = np.random.default_rng(0).normal(size=[2, 8, 8, 3]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.resnet.resnet": ModelCase(
        partial(resnet, (1, 1), widths=(2, 4), bottleneck=False, small_images=True, num_classes=2),
        (IMAGES,),
    ),
}
