"""Encoders of series."""

from functools import partial

import numpy as np

from jdl.models.transformers.time_series import time_series_transformer
from tests.conformance.case import ModelCase

SERIES = np.random.default_rng(0).normal(size=[2, 4, 2]).astype(np.float32)
SMALL = partial(time_series_transformer, 2, 2, 4, 1, feed_forward_dim=3, dropout_rate=0.1)

MODELS = {
    "jdl.models.transformers.time_series.time_series_transformer": ModelCase(SMALL, (SERIES,)),
    "jdl.models.transformers.time_series.time_series_transformer [pooled]": ModelCase(
        partial(SMALL, head="pooled", mlp_dims=(3,), mlp_dropout_rate=0.1), (SERIES,)
    ),
}
