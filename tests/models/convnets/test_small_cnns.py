"""The books' networks: counts, sizes, and the formula against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.convnets.small_cnns import cifar_cnn, mnist_cnn, small_cnn
from tests.conformance.case import quick
from tests.models.convnets.abstract import abstract, count, map_shapes, output, random_variables
from tests.nn.test_convolution import normal
from tests.nn.test_residual import conv, relu


def test_counts_and_sizes_of_the_books():
    layers = abstract(mnist_cnn()).params
    counts = [sum(x.size for x in jax.tree.leaves(p)) for n in layers for p in layers[n].values()]
    assert counts == [320, 18_496, 204_928, 1_290] and sum(counts) == 225_034  # 000
    assert count(cifar_cnn()) == 160_202  # 004
    assert count(cifar_cnn(hidden_dims=(512, 128))) == 422_858
    assert map_shapes(mnist_cnn(), 28, 28, 1) == [(13, 13, 32), (5, 5, 64)]
    assert map_shapes(cifar_cnn(), 32, 32, 3) == [(15, 15, 32), (6, 6, 64), (2, 2, 128)]


def test_the_network_is_its_formula():
    model = small_cnn((2, 3), (4, 5), image_size=11, in_channels=2, num_classes=3)
    variables = random_variables(model)
    p, images = variables.params, normal(2, 11, 11, 2)
    x = images
    for layer in p["convs"].values():
        x = relu(conv(layer, x)[:, 1:-1, 1:-1] + layer["bias"])
        half = x.shape[1] // 2
        x = x[:, : 2 * half, : 2 * half].reshape(2, half, 2, half, 2, -1).max((2, 4))
    x = x.reshape(2, -1)
    for i in "01":
        x = relu(x @ p["layers"][i]["kernel"] + p["layers"][i]["bias"])
    expected = x @ p["layers"]["2"]["kernel"] + p["layers"]["2"]["bias"]
    logits = quick(lambda v, x: model.apply(v, x)[0])(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_no_head_and_wrong_images():
    assert output(mnist_cnn(dtype=jnp.bfloat16), 28, 28, 1).dtype == jnp.bfloat16
    assert output(mnist_cnn(num_classes=None), 28, 28, 1).shape == (2, 1600)
    with pytest.raises(ValueError, match="image_size"):
        output(mnist_cnn(), 32, 32, 1)
    with pytest.raises(ValueError, match="leave nothing"):
        small_cnn((2, 2, 2, 2))
