"""Networks of few parameters: inverted residuals, separable convolutions, dense blocks."""

from functools import partial

import numpy as np

from jdl.models.convnets.densenet import cifar_densenet, densenet
from jdl.models.convnets.efficientnet import efficientnet
from jdl.models.convnets.mobilenet import mobilenet_v1, mobilenet_v2
from tests.conformance.case import ModelCase

IMAGES = np.random.default_rng(0).normal(size=[2, 4, 4, 3]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.efficientnet.efficientnet": ModelCase(
        partial(efficientnet, 0.05, stages=[(1, 3, 1, 8, 2)], num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.mobilenet.mobilenet_v1": ModelCase(
        partial(mobilenet_v1, 0.25, stages=[(1, 16, 1)], num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.mobilenet.mobilenet_v2": ModelCase(
        partial(mobilenet_v2, 0.25, stages=[(2, 1, 16, 1)], num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.densenet.densenet": ModelCase(
        partial(densenet, [1], 4, stem_features=4, num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.densenet.cifar_densenet": ModelCase(
        partial(cifar_densenet, 7, 4, bottleneck=None, num_classes=2), (IMAGES,)
    ),
}
