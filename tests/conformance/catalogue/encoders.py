from functools import partial

import numpy as np

from jdl.models.transformers.bert import bert
from jdl.models.transformers.bert_heads import pretraining
from jdl.models.transformers.t5 import t5
from jdl.models.transformers.xlnet import xlnet
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
TOKENS = _random.integers(0, 7, size=[2, 4]).astype(np.int32)
SEGMENTS = np.array([[0, 0, 1, 1], [0, 1, 1, 1]], np.int32)

MODELS = {
    "jdl.models.transformers.bert.bert": ModelCase(
        partial(bert, 7, 4, 8, 1, 2, feed_forward_dim=6, head=pretraining()), (TOKENS, SEGMENTS)
    ),
    "jdl.models.transformers.t5.t5": ModelCase(
        partial(t5, 7, 4, 1, 2, head_dim=2, feed_forward_dim=3, num_buckets=4, longest_distance=4),
        (np.maximum(TOKENS, 1), TOKENS),
    ),
    "jdl.models.transformers.xlnet.xlnet": ModelCase(
        partial(xlnet, 7, 4, 1, 2, feed_forward_dim=3),
        (TOKENS, np.array([[0, 2, 1, 3], [3, 1, 0, 2]]), SEGMENTS),
        {"method": "permuted"},
    ),
}
