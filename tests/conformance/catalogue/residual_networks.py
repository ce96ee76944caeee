"""Networks of residual blocks and their kin."""

from functools import partial

import numpy as np
from flax import nnx

from jdl.models.convnets.bit import bit
from jdl.models.convnets.cifar_resnet import cifar_preact_resnet, cifar_resnet
from jdl.models.convnets.fractalnet import fractalnet
from jdl.models.convnets.preact_resnet import preact_resnet
from jdl.models.convnets.resnet import resnet
from jdl.models.convnets.wide_resnet import wide_resnet
from jdl.models.convnets.xception import xception
from tests.conformance.case import ModelCase

IMAGES = np.random.default_rng(0).normal(size=[2, 8, 8, 3]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.resnet.resnet": ModelCase(
        partial(resnet, (1, 1), widths=(2, 4), bottleneck=False, small_images=True, num_classes=2),
        (IMAGES,),
    ),
    "jdl.models.convnets.cifar_resnet.cifar_resnet": ModelCase(
        partial(cifar_resnet, 4, widths=(2,), num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.cifar_resnet.cifar_preact_resnet": ModelCase(
        partial(cifar_preact_resnet, 5, widths=(2,), stem_features=2, num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.preact_resnet.preact_resnet": ModelCase(
        partial(preact_resnet, (2,), widths=(2,), num_classes=2), (IMAGES,)
    ),
    "jdl.models.convnets.wide_resnet.wide_resnet": ModelCase(
        partial(wide_resnet, 4, 2, widths=[2], num_classes=2, block_dropout_rate=0.3), (IMAGES,)
    ),
    "jdl.models.convnets.bit.bit": ModelCase(
        partial(bit, (1,), widths=(2,), num_classes=2, norm=partial(nnx.GroupNorm, num_groups=2)),
        (IMAGES,),
    ),
    "jdl.models.convnets.xception.xception": ModelCase(
        partial(xception, 1, stem_maps=(2, 3), entry_maps=(4,), exit_maps=(4, 4, 4), num_classes=2),
        (IMAGES,),
    ),
    # Drop-path would leave the params of some paths without a gradient.
    "jdl.models.convnets.fractalnet.fractalnet": ModelCase(
        partial(
            fractalnet,
            2,
            (2,),
            block_dropout_rates=(0.2,),
            drop_path_rate=0.0,
            global_rate=0.0,
            num_classes=2,
        ),
        (IMAGES,),
    ),
}
