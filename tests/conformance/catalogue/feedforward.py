from functools import partial

import numpy as np

from jdl.models.column_mlp import column_mlp
from jdl.models.convnets.lenet import lenet5
from jdl.models.mlp import mlp
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
ROWS = _random.normal(size=[3, 4]).astype(np.float32)
DIGITS = _random.uniform(-1, 1, size=[2, 32, 32, 1]).astype(np.float32)

MODELS = {
    "jdl.models.column_mlp.column_mlp": ModelCase(
        partial(column_mlp, [4, 5, 2]), (ROWS.T,), half=False
    ),
    "jdl.models.mlp.mlp": ModelCase(partial(mlp, [4, 5, 2], dropout_rate=0.5), (ROWS,)),
    "jdl.models.convnets.lenet.lenet5": ModelCase(partial(lenet5, num_classes=3), (DIGITS,)),
}
