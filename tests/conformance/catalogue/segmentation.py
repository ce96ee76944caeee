"""Networks that give each pixel a class, and a head behind any network."""

from functools import partial

import numpy as np

from jdl.models.convnets.backbone import with_head
from jdl.models.convnets.fcn import fcn
from jdl.models.convnets.resnet import resnet
from jdl.models.convnets.unet import unet
from jdl.models.mlp import mlp
from tests.conformance.case import ModelCase

IMAGES = np.random.default_rng(0).normal(size=[2, 4, 4, 1]).astype(np.float32)
BODY = partial(resnet, (1,), bottleneck=False, widths=(4,), small_images=True)


def behind_a_network():
    return with_head(BODY(num_classes=None, in_channels=1), mlp([4, 2]))


MODELS = {
    "jdl.models.convnets.unet.unet": ModelCase(
        partial(unet, widths=(2, 3), padded=True), (IMAGES,)
    ),
    "jdl.models.convnets.backbone.with_head": ModelCase(behind_a_network, (IMAGES,)),
    "jdl.models.convnets.fcn.fcn": ModelCase(
        partial(fcn, 3, backbone=BODY, in_channels=1, auxiliary=True), (IMAGES,)
    ),
}
