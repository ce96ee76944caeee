"""The convolutional networks of 1998 to 2016, with tables of a layer or two a stage."""

from functools import partial

import numpy as np

from jdl.models.convnets.alexnet import alexnet
from jdl.models.convnets.bn_inception import bn_inception
from jdl.models.convnets.googlenet import inception_v1
from jdl.models.convnets.inception_v3 import inception_v3
from jdl.models.convnets.inception_v4 import inception_v4
from jdl.models.convnets.lenet_1998 import lenet5_1998
from jdl.models.convnets.small_cnns import small_cnn
from jdl.models.convnets.vgg import vgg
from jdl.nn.inception import naive_widths
from jdl.nn.normalization import local_response_norm
from tests.conformance.case import ModelCase

_random = np.random.default_rng(0)


def _images(size, channels=3):
    return _random.normal(size=[2, size, size, channels]).astype(np.float32)


MODELS = {
    "jdl.models.convnets.alexnet.alexnet": ModelCase(
        partial(
            alexnet,
            (4, 4, 4, 4, 4),
            (1, 2, 1, 2, 2),
            response_norm=local_response_norm,
            num_classes=3,
            hidden_dim=5,
            grid=1,
        ),
        (_images(63),),
    ),
    "jdl.models.convnets.bn_inception.bn_inception": ModelCase(
        partial(bn_inception, ((), ((8, 8, 8, 8, 8, "mean", 8),), ()), (8, 8, 8), num_classes=3),
        (_images(32),),
    ),
    "jdl.models.convnets.googlenet.inception_v1": ModelCase(
        partial(
            inception_v1,
            [[], [naive_widths(4, 4, 4)], []],
            (8, 8, 8),
            num_classes=3,
            auxiliary=True,
            auxiliary_size=None,
            auxiliary_features=(8, 8),
        ),
        (_images(32),),
        slow=True,
    ),
    # The stem and the reductions alone, without the norms, whose gradients compile slowly.
    "jdl.models.convnets.inception_v3.inception_v3": ModelCase(
        partial(inception_v3, (), (), 0, width=1 / 16, norm=None, num_classes=3),
        (_images(75),),
        slow=True,
    ),
    "jdl.models.convnets.inception_v4.inception_v4": ModelCase(
        partial(inception_v4, 0, 0, 0, width=1 / 16, norm=None, num_classes=3),
        (_images(75),),
        slow=True,
    ),
    "jdl.models.convnets.lenet_1998.lenet5_1998": ModelCase(
        lenet5_1998, (_images(32, 1),), tolerance=1e-3
    ),
    "jdl.models.convnets.small_cnns.small_cnn": ModelCase(
        partial(small_cnn, (4, 4), (5,), image_size=10, num_classes=3), (_images(10, 1),)
    ),
    "jdl.models.convnets.vgg.vgg": ModelCase(
        partial(vgg, ((3,), (3,)), (4, 4), num_classes=3, hidden_dim=5, grid=2), (_images(8),)
    ),
}
