"""Vision Transformers, the pairs of towers and the captioner built of them."""

from functools import partial

import numpy as np
from flax import nnx

from jdl.models.transformers.hybrid_vit import hybrid_vit
from jdl.models.transformers.vit import vit
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
IMAGES = _random.normal(size=[2, 8, 8, 3]).astype(np.float32)
NORM = partial(nnx.GroupNorm, num_groups=2)

MODELS = {
    "jdl.models.transformers.vit.vit": ModelCase(
        partial(vit, 4, 8, 1, 2, feed_forward_dim=8, image_size=8, num_classes=2, dropout_rate=0.1),
        (IMAGES,),
    ),
    "jdl.models.transformers.hybrid_vit.hybrid_vit": ModelCase(
        partial(
            hybrid_vit,
            (1,),
            8,
            1,
            2,
            widths=(2,),
            norm=NORM,
            feed_forward_dim=8,
            image_size=8,
            num_classes=2,
        ),
        (IMAGES,),
    ),
}
