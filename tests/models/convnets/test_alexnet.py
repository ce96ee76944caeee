"""AlexNet against published counts, the shapes of figure 2, and its formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.convnets.alexnet import alexnet, alexnet_2012
from jdl.nn.normalization import local_response_norm
from jdl.nn.pooling import max_pool
from tests.conformance.case import quick
from tests.models.convnets.abstract import abstract, count, map_shapes, output, random_variables
from tests.nn.test_convolution import normal
from tests.nn.test_residual import conv, relu

TINY = functools.partial(alexnet, (2, 4, 3, 2, 4), num_classes=3, hidden_dim=5, grid=1)
GROUPED = functools.partial(TINY, groups=(1, 2, 1, 1, 2), response_norm=local_response_norm)


def test_counts_of_two_groups_and_of_one_tower():
    assert count(alexnet_2012()) == 60_965_224  # 62,378,344 if all saw all
    assert count(alexnet_2012(groups=(1,) * 5)) == 62_378_344
    assert count(alexnet()) == 61_100_840  # torchvision
    assert count(alexnet(num_classes=None)) == 2_469_696


def test_kernels_and_maps_of_figure_2():
    kernels = [x["kernel"].shape for x in abstract(alexnet_2012()).params["convs"].values()]
    assert kernels == [
        (11, 11, 3, 96),
        (5, 5, 48, 256),
        (3, 3, 256, 384),
        (3, 3, 192, 384),
        (3, 3, 192, 256),
    ]
    maps = [(55, 55, 96), (27, 27, 256), (13, 13, 256), (6, 6, 256)]
    assert map_shapes(alexnet_2012(), 224, 224, 3) == maps
    assert output(alexnet(), 63, 100, 3).shape == (2, 1000)


def test_the_network_is_its_formula():
    """Each group by itself, and the norm after the first two rectifiers alone."""
    model = GROUPED()
    variables = random_variables(model, 0.3)
    p, images = variables.params, normal(2, 63, 63, 3)

    def layer(number, x, strides=1, pad=1, groups=1):
        whole, bias = p["convs"][str(number)]["kernel"], p["convs"][str(number)]["bias"]
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        cut = whole.shape[0] // 2  # `conv` pads by that much, which is taken off
        parts = []
        for inputs, kernel in zip(
            np.split(x, groups, -1), np.split(whole, groups, -1), strict=True
        ):
            y = conv({"kernel": kernel}, inputs)[:, cut:-cut:strides, cut:-cut:strides]
            parts.append(y)
        return relu(np.concatenate(parts, -1) + bias)

    def pool(x):
        return np.asarray(quick(lambda x: max_pool(x, 3, 2))(x))

    x = pool(response(layer(0, images, 4, 2)))
    x = pool(response(layer(1, x, 1, 2, 2)))
    for number, groups in [(2, 1), (3, 1), (4, 2)]:
        x = layer(number, x, groups=groups)
    x = pool(x).reshape(2, -1)
    for name in ("dense1", "dense2"):
        x = relu(x @ p["head"][name]["kernel"] + p["head"][name]["bias"])
    expected = x @ p["head"]["head"]["kernel"] + p["head"]["head"]["bias"]
    logits = quick(lambda v, x: model.apply(v, x)[0])(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def response(x):
    """The formula of section 3.3, channel by channel."""
    channels = x.shape[-1]
    sums = [(x[..., max(0, c - 2) : c + 3] ** 2).sum(-1) for c in range(channels)]
    return x / (2 + 1e-4 * np.stack(sums, -1)) ** 0.75


def test_the_first_biases_are_those_of_section_5():
    params = TINY().init(jax.random.key(0)).params
    assert [float(x["bias"][0]) for x in params["convs"].values()] == [0, 1, 0, 1, 1]
    biases = [float(params["head"][n]["bias"][0]) for n in ("dense1", "dense2", "head")]
    assert biases == [1, 1, 0]


@pytest.mark.parametrize("drop_inputs", [True, False])
def test_dropout_is_of_inputs_or_of_outputs(drop_inputs):
    """A last layer of the identity shows zeros among positive units if these are dropped."""
    model = TINY(num_classes=5, drop_inputs=drop_inputs)
    params, buffers = random_variables(model, 0.0)
    head = params["head"]
    head["dense1"]["bias"], head["dense2"]["bias"] = jnp.ones(5), jnp.ones(5)
    head["head"]["kernel"] = jnp.eye(5)
    maps, key = jnp.ones([20, 1, 1, 4]), jax.random.key(0)
    classify = functools.partial(model.apply, train=True, method="classify")
    units = quick(lambda v, key: classify(v, maps, key=key)[0])(Variables(params, buffers), key)
    assert bool((units == 0).any()) != drop_inputs
    assert set(np.unique(units)) <= {0.0, 1.0, 2.0}


def test_half_precision_goes_through_and_small_images_are_refused():
    assert output(GROUPED(dtype=jnp.bfloat16), 63, 63, 3).dtype == jnp.bfloat16
    model = TINY()
    with pytest.raises(ValueError, match="63 rows"):
        jax.eval_shape(model.apply, abstract(model), jnp.zeros([1, 62, 62, 3]))
