from functools import partial

import numpy as np

from jdl.models.graph_attention import graph_attention
from jdl.models.transformers.attention_language_model import attention_language_model
from jdl.models.transformers.encoder_decoder import encoder_decoder
from jdl.models.transformers.language_model import language_model
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
TOKENS = _random.integers(1, 7, size=[2, 4]).astype(np.int32)
_MODEL = partial(language_model, 7, 4, 8, 1, 2, feed_forward_dim=6)
NODES = _random.normal(size=[2, 9, 3]).astype(np.float32)
EDGES = _random.random([2, 9, 9]) < 0.6

MODELS = {
    "jdl.models.graph_attention.graph_attention": ModelCase(
        partial(graph_attention, 3, 2, 2, 2, num_last_heads=2), (NODES, EDGES)
    ),
    "jdl.models.transformers.attention_language_model.attention_language_model": ModelCase(
        partial(attention_language_model, 7, 6, 2, 3), (TOKENS,)
    ),
    "jdl.models.transformers.encoder_decoder.encoder_decoder": ModelCase(
        partial(encoder_decoder, 7, 8, 1, 2, feed_forward_dim=6), (TOKENS, TOKENS[:, :3])
    ),
    "jdl.models.transformers.language_model.language_model": ModelCase(_MODEL, (TOKENS,)),
}
