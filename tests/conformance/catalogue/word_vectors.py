from functools import partial

import numpy as np

from jdl.models.glove import glove
from jdl.models.word_vectors import word_vectors
from tests.conformance.case import ModelCase

WORDS = np.arange(5, dtype=np.int32)
BAGS = np.array([[0, 1], [2, 3], [4, 4]], np.int32)
TARGETS = np.array([[4, 3], [2, 1], [0, 2]], np.int32)
MASK = np.array([[True, True], [True, False], [False, True]])
TINY = partial(word_vectors, vocab_size=5, features=3)

MODELS = {
    "jdl.models.word_vectors.word_vectors": ModelCase(TINY, (WORDS,)),
    "jdl.models.word_vectors.word_vectors [bags]": ModelCase(TINY, (BAGS, TARGETS, MASK)),
    "jdl.models.glove.glove": ModelCase(
        partial(glove, vocab_size=5, features=3), (WORDS, WORDS[::-1])
    ),
}
