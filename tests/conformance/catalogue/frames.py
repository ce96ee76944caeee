from functools import partial

import numpy as np

from jdl.models.convnets.frames import each_frame
from jdl.models.convnets.small_cnns import small_cnn
from tests.conformance.case import ModelCase

FILM = np.random.default_rng(0).normal(size=[2, 3, 8, 8, 1]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.frames.each_frame": ModelCase(
        partial(each_frame, small_cnn((3,), (4,), image_size=8, num_classes=2)), (FILM,)
    ),
}
