"""Networks made of the blocks around convolutions: the highway network."""

from functools import partial

import numpy as np

from jdl.models.highway import highway_network
from tests.conformance.case import ModelCase

ROWS = np.random.default_rng(0).normal(size=[3, 4]).astype(np.float32)

MODELS = {
    "jdl.models.highway.highway_network": ModelCase(
        partial(highway_network, 4, 3, num_layers=2, num_classes=2), (ROWS,)
    ),
}
