from functools import partial

import numpy as np

from jdl.models.transformers.gpt2 import gpt2
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
TOKENS = _random.integers(0, 7, size=[2, 6]).astype(np.int32)
SMALL_GPT2 = partial(gpt2, vocab_size=7, context=6, hidden_dim=8, num_layers=1, num_heads=2)

MODELS = {
    "jdl.models.transformers.gpt2.gpt2": ModelCase(SMALL_GPT2, (TOKENS,)),
    "jdl.models.transformers.gpt2.gpt2 [untied]": ModelCase(
        partial(SMALL_GPT2, tied=False), (TOKENS,)
    ),
}
