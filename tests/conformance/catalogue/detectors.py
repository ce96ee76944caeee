"""Networks that find boxes."""

from functools import partial

import numpy as np

from jdl.models.convnets.faster_rcnn import faster_rcnn
from jdl.models.convnets.resnet import resnet
from tests.conformance.case import ModelCase

IMAGES = np.random.default_rng(0).normal(size=[2, 16, 16, 3]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.faster_rcnn.faster_rcnn": ModelCase(
        partial(
            faster_rcnn,
            partial(resnet, (1,), widths=(2,), bottleneck=False),
            3,
            num_maps=1,
            pyramid_dim=3,
            hidden_dim=4,
            anchor_sizes=(8, 16),
            anchor_ratios=(1.0,),
            pool_size=2,
            num_proposals=4,
        ),
        (IMAGES,),
        half=False,  # scores and boxes are of float32
    ),
}
