"""Networks that Keras makes, with random weights and statistics: the same logits here.

Keras runs on PyTorch, which compiles nothing; the layers are the same on every backend.
"""

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.models.pretrained import PRETRAINED
from jdl.models.pretrained.key_map import convert
from jdl.models.pretrained.readers import keras_model, tensors
from jdl.nn.residual import BATCH_NORM
from tests.conformance.case import quick

# The warning is Keras's own, about NumPy 2 and tensors of PyTorch.
KERAS_WARNING = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings(KERAS_WARNING)]
CLASSES = 7


@pytest.fixture(scope="module")
def keras(oracle):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    oracle("torch")
    return oracle("keras")


def stirred(network):
    """Weights that keep the size of what they are given, none at the value it starts from."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if "kernel" in weight.name:
                inputs = 1 if "depthwise" in weight.path or "dw" in weight.path else shape[-2]
                value = rng.normal(size=shape) / np.sqrt(inputs)
            elif weight.name == "count":
                continue
            else:
                middle = float(weight.name in ("gamma", "moving_variance", "variance"))
                value = middle + rng.uniform(-0.1, 0.1, shape)
            weight.assign(value)
    return network


def error(make, name, network, images, expected):
    """Largest difference of the logits, relative to the largest: theirs are in single precision."""
    with jax.enable_x64(True):
        model = make(num_classes=CLASSES, param_dtype=jnp.float64)
        like = jax.eval_shape(model.init, jax.random.key(0))
        variables = convert(keras_model(network), PRETRAINED[name].key_map, like)
        found = np.asarray(quick(lambda v, x: model.apply(v, x)[0])(variables, images))
    return np.abs(found - expected).max() / np.abs(expected).max()


WRONG_EPSILON = partial(nnx.BatchNorm, epsilon=1e-3)
slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("theirs", "name", "size", "wrong"),
    [
        ("ResNet50", "keras/resnet50", 32, {"stride_first": False}),
        ("MobileNet", "keras/mobilenet_v1_100", 32, {"padding": "symmetric"}),
        slow("MobileNetV2", "keras/mobilenet_v2_100", 32, {"norm": BATCH_NORM}),
        slow("EfficientNetB0", "keras/efficientnet_b0", 32, {"padding": "symmetric"}),
        slow("ResNet50V2", "keras/resnet50v2", 32, {"stride_last": False}),
        slow("DenseNet121", "keras/densenet121", 32, {"norm": WRONG_EPSILON}),
        slow("InceptionV3", "keras/inception_v3", 75, {"count_padding": True}),
        slow("Xception", "keras/xception", 71, {"norm": BATCH_NORM}),
    ],
)
def test_network_of_keras(keras, theirs, name, size, wrong):
    network = stirred(
        getattr(keras.applications, theirs)(
            weights=None, classes=CLASSES, input_shape=(size, size, 3), classifier_activation=None
        )
    )
    images = np.random.default_rng(1).normal(size=[2, size, size, 3])
    seen = images
    if theirs.startswith("EfficientNet"):  # it standardises by itself: that is preprocessing here
        mean, variance = statistics(network)
        seen = (images / 255 - mean) / np.sqrt(variance)
    expected = keras.ops.convert_to_numpy(network(images))
    make = PRETRAINED[name].make
    assert error(make, name, network, seen, expected) < 1e-5
    assert error(partial(make, **wrong), name, network, seen, expected) > 1e-4


def statistics(network):
    layer = next(layer for layer in network.layers if layer.name.startswith("normalization"))
    found = keras_model(network)
    return (found.read(f"{layer.name}/{i}").reshape(3) for i in (0, 1))


def test_a_file_of_keras_has_the_names_of_the_model(keras, tmp_path):
    layers = keras.layers
    network = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv1"), layers.BatchNormalization()]
    )
    in_process = keras_model(network)
    for name in ("net.weights.h5", "net.keras"):
        save = network.save if name.endswith(".keras") else network.save_weights
        save(tmp_path / name)
        with tensors(tmp_path / name) as found:
            assert sorted(found.names) == sorted(in_process.names)
            for key in found.names:
                np.testing.assert_array_equal(found.read(key), in_process.read(key))
