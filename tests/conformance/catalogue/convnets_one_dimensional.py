"""Convolutional networks of sentences and of sounds."""

from functools import partial

import numpy as np

from jdl.models.convnets.audio_cnn import audio_cnn
from jdl.models.convnets.text_cnn import text_cnn
from tests.conformance.case import ModelCase

RNG = np.random.default_rng(0)
TOKENS = np.array([[1, 2, 3, 4], [5, 4, 2, 1]])
WAVES = RNG.normal(size=[2, 64, 1]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.text_cnn.text_cnn": ModelCase(
        partial(text_cnn, 6, embedding_dim=3, features=4, window_sizes=(2, 3)), (TOKENS,)
    ),
    "jdl.models.convnets.audio_cnn.audio_cnn": ModelCase(
        partial(audio_cnn, 3, ((4, 1),), num_classes=2), (WAVES,)
    ),
}
