"""Encoders of sentences."""

from functools import partial

import numpy as np

from jdl.core import Model
from jdl.models.transformers.bert import bert
from jdl.models.transformers.sentence_bert import Texts, pair_classifier, sentence_encoder
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
FIRST, SECOND = _random.integers(0, 7, size=[2, 2, 4]).astype(np.int32)
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
BERT = partial(bert, 7, 4, 4, 1, 2, feed_forward_dim=3, pooler=False)


def classifier() -> Model:
    return pair_classifier(sentence_encoder(BERT(), unit_length=True), 4)


MODELS = {
    "jdl.models.transformers.sentence_bert.sentence_encoder": ModelCase(
        lambda: sentence_encoder(BERT(num_segments=0)), (FIRST, None, MASK), slow=True
    ),
    "jdl.models.transformers.sentence_bert.pair_classifier": ModelCase(
        classifier, (Texts(FIRST, MASK), Texts(SECOND)), slow=True
    ),
}
