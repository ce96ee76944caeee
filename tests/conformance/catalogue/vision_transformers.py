"""Vision Transformers, the pairs of towers and the captioner built of them."""

from functools import partial

import numpy as np
from flax import nnx

from jdl.models.mlp import mlp
from jdl.models.multimodal.captioner import captioner
from jdl.models.multimodal.clip import clip, clip_text
from jdl.models.multimodal.two_towers import two_towers
from jdl.models.transformers.hybrid_vit import hybrid_vit
from jdl.models.transformers.vit import ViTConfig, vit
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)
IMAGES = _random.normal(size=[2, 8, 8, 3]).astype(np.float32)
TOKENS = _random.integers(0, 7, size=[2, 4]).astype(np.int32)
ENCODER = ViTConfig(4, 4, 1, 2, feed_forward_dim=4, image_size=8)
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
        slow=True,
    ),
    "jdl.models.multimodal.two_towers.two_towers": ModelCase(
        lambda: two_towers(mlp([3, 2]), mlp([4, 2])),
        (IMAGES[:, 0, 0], IMAGES[:, 0, :4, 0]),
    ),
    "jdl.models.multimodal.clip.clip": ModelCase(
        partial(
            clip,
            4,
            4,
            1,
            2,
            image_size=8,
            vocab_size=7,
            context=4,
            text_hidden_dim=4,
            text_num_layers=1,
            text_num_heads=2,
            embedding_dim=3,
        ),
        (IMAGES, TOKENS),
        half=False,  # the logits of a batch are in single precision
    ),
    "jdl.models.multimodal.clip.clip_text": ModelCase(
        partial(clip_text, 7, 4, 4, 1, 2, embedding_dim=3), (TOKENS,)
    ),
    "jdl.models.multimodal.captioner.captioner": ModelCase(
        partial(captioner, 7, 4, 4, 1, 2, encoder=ENCODER), (IMAGES, TOKENS)
    ),
}
