"""DALL-E: the autoencoder of its codes and its Transformer."""

from functools import partial

import numpy as np

from jdl.models.multimodal.dalle import dalle
from jdl.models.multimodal.discrete_vae import discrete_vae
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
IMAGES = _random.uniform(size=[2, 4, 4, 1]).astype(np.float32)
TEXT = np.array([[1, 2, 0], [3, 0, 0]], np.int32)
CODES = _random.integers(0, 5, size=[2, 2, 2]).astype(np.int32)

MODELS = {
    "jdl.models.multimodal.discrete_vae.discrete_vae": ModelCase(
        partial(
            discrete_vae, 5, 16, first_features=4, num_groups=2, blocks_per_group=1, channels=1
        ),
        (IMAGES, 1.0),
        noisy=True,
    ),
    "jdl.models.multimodal.dalle.dalle": ModelCase(
        partial(dalle, 6, 5, 3, 2, 4, 2, 2, kernel_size=3), (TEXT, CODES)
    ),
}
