"""GPT-3 and LaMDA."""

from functools import partial

import numpy as np

from jdl.models.transformers.gpt3 import gpt3
from jdl.models.transformers.lamda import lamda
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
TOKENS = _random.integers(0, 7, size=[2, 4]).astype(np.int32)

MODELS = {
    "jdl.models.transformers.gpt3.gpt3": ModelCase(
        partial(gpt3, 7, 4, 4, 2, 2, window=2, dropout_rate=0.1), (TOKENS,), slow=True
    ),
    "jdl.models.transformers.lamda.lamda": ModelCase(
        partial(lamda, 7, 4, 1, 2, head_dim=2, num_buckets=4, longest_distance=4), (TOKENS,)
    ),
}
