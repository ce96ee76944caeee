"""Heat of networks whose heat is known: linear ones, and by the chain rule written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Model, Variables
from jdl.explain import (
    class_activation_map,
    deconvolution_relu,
    grad_cam,
    grad_cam_of,
    guided_relu,
    kernel_images,
    most_activating,
    occlusion,
    over_pixels,
    resized,
    saliency,
    smooth_grad,
)
from jdl.functional import functional
from tests.conformance.case import quick

_random = np.random.default_rng(0)
IMAGES = _random.normal(size=[3, 6, 5, 2]).astype(np.float32)
KERNEL = _random.normal(size=[6, 5, 2, 4]).astype(np.float32)
# A linear model: the logit of class c is the sum of image times kernel.
LINEAR = Model(
    lambda key: Variables(KERNEL),
    lambda variables, images: (jnp.einsum("bhwc,hwck->bk", images, variables.params), ()),
)
CLASSES = np.array([3, 0, 2], np.int32)


class Pooled(nnx.Module):
    """One convolution, the means of its maps, a linear head."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 3, (3, 3), rngs=rngs)
        self.head = nnx.Linear(3, 4, rngs=rngs)

    def features(self, images):
        return images, nnx.relu(self.conv(images))

    def classify(self, maps):
        return self.head(maps.mean((1, 2)))

    def __call__(self, images):
        return self.classify(self.features(images)[-1])


@pytest.fixture(scope="module")
def pooled():
    model = functional(Pooled)
    variables = model.init(jax.random.key(0))
    return model, variables, np.asarray(model.apply(variables, IMAGES, method="features")[0][-1])


def test_on_pooled_linear_heads_grad_cam_is_cam_over_the_number_of_places(pooled):
    model, variables, maps = pooled
    head = variables.params["head"]
    evidence = class_activation_map(maps, head["kernel"], CLASSES)
    found = grad_cam(model, variables, IMAGES, CLASSES)
    np.testing.assert_allclose(found, np.maximum(evidence, 0) / 30, rtol=1e-4, atol=1e-6)
    assert found.max() > 1e-3 and (np.asarray(evidence) < -1e-3).any()
    logits, _ = model.apply(variables, IMAGES)
    own = evidence.mean((1, 2)) + head["bias"][CLASSES]
    np.testing.assert_allclose(own, np.asarray(logits)[range(3), CLASSES], rtol=1e-4, atol=1e-5)


def test_grad_cam_of_a_head_that_is_not_linear_is_the_chain_rule(pooled):
    _, _, maps = pooled
    weight = _random.normal(size=[3, 4]).astype(np.float32)

    def classify(maps):
        return jnp.square(maps.mean((1, 2))) @ weight

    found = grad_cam_of(lambda x: x, classify, jnp.asarray(maps), CLASSES)
    slopes = 2 * maps.mean((1, 2)) * weight[:, CLASSES].T / 30
    wanted = np.maximum((slopes[:, None, None] * maps).sum(-1), 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_without_classes_it_explains_the_predicted_ones(pooled):
    model, variables, _ = pooled
    said = model.apply(variables, IMAGES)[0].argmax(-1)
    for explain in (grad_cam, saliency):
        np.testing.assert_array_equal(
            explain(model, variables, IMAGES), explain(model, variables, IMAGES, said)
        )


def test_heat_is_resized_by_interpolation():
    heat = resized(jnp.array([[[0.0, 1.0]]]), (2, 4))
    np.testing.assert_allclose(heat[0], [[0, 0.25, 0.75, 1]] * 2)


@pytest.mark.parametrize("chunk", [None, 4])
def test_occlusion_of_a_linear_model_is_what_the_patch_contributed(chunk):
    asked = functools.partial(
        occlusion, LINEAR, patch=(2, 3), strides=(2, 1), fill=0.5, score=lambda x: x, chunk=chunk
    )
    found = quick(asked)(Variables(KERNEL), IMAGES, CLASSES)
    terms = (IMAGES - 0.5) * np.moveaxis(KERNEL[..., CLASSES], -1, 0)
    wanted = [[[t[i : i + 2, j : j + 3].sum() for j in range(3)] for i in (0, 2, 4)] for t in terms]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_occlusion_is_of_probabilities_unless_asked_otherwise():
    asked = functools.partial(occlusion, LINEAR, patch=(6, 5))
    found = quick(asked)(Variables(KERNEL), IMAGES, CLASSES)
    own = jax.nn.softmax(LINEAR.apply(Variables(KERNEL), IMAGES)[0])[jnp.arange(3), CLASSES]
    np.testing.assert_allclose(found[:, 0, 0], own - 0.25, rtol=1e-4, atol=1e-6)


def test_a_pixel_has_the_mean_of_the_patches_that_cover_it():
    drops = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    found = over_pixels(drops, (5, 3), patch=2, strides=(2, 1))
    upper, lower = [1, 1.5, 2], [3, 3.5, 4]
    np.testing.assert_allclose(found[0], [upper, upper, lower, lower, [0, 0, 0]])


def test_saliency_of_a_linear_model_is_its_kernel_with_and_without_noise(key):
    wanted = np.abs(np.moveaxis(KERNEL[..., CLASSES], -1, 0)).max(-1)

    def heats(images, key):
        arguments = LINEAR, Variables(KERNEL), images
        smooth = [
            smooth_grad(*arguments, key, CLASSES, draws=3, chunk=chunk) for chunk in (None, 2)
        ]
        return [saliency(*arguments, CLASSES), *smooth]

    for found in quick(heats)(IMAGES, key):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_smooth_grad_is_the_gradient_of_the_smoothed_logit(key):
    # y = sum of x^3: the mean over the noise of its gradient is 3 x^2 + 3 std^2.
    cubic = Model(None, lambda variables, x: ((x**3).sum((1, 2)), ()))
    x = jnp.array([-1.0, 0.0, 0.5, 1.0]).reshape(1, 2, 2, 1)
    found = quick(lambda x, key: smooth_grad(cubic, None, x, key, 0, noise=0.1, draws=4000))(x, key)
    np.testing.assert_allclose(found, 3 * x[..., 0] ** 2 + 3 * 0.2**2, atol=0.05)


@pytest.mark.parametrize(
    ("relu", "wanted"),
    [(jax.nn.relu, [2, -3, 0, 0]), (guided_relu, [2, 0, 0, 0]), (deconvolution_relu, [2, 0, 2, 0])],
)
def test_what_a_relu_passes_back(relu, wanted):
    x, slope = jnp.array([1.0, 1, -1, -1]), jnp.array([2.0, -3, 2, -3])
    y, pullback = jax.vjp(relu, x)
    np.testing.assert_array_equal(y, [1, 1, 0, 0])
    np.testing.assert_array_equal(pullback(slope)[0], wanted)


def test_filters_and_the_images_that_excite_them():
    assert kernel_images(jnp.zeros([5, 4, 3, 2])).shape == (2, 5, 4, 3)
    maps = _random.normal(size=[7, 4, 3, 2])
    images, places = most_activating(jnp.asarray(maps, jnp.float32), 3)
    for channel in range(2):
        peaks = maps[..., channel].max((1, 2))
        order = np.argsort(-peaks)[:3]
        np.testing.assert_array_equal(images[channel], order)
        for number, (i, j) in zip(order, np.asarray(places[channel]), strict=True):
            assert maps[number, i, j, channel] == peaks[number]


def test_what_does_not_fit_is_named(pooled):
    model, variables, _ = pooled
    with pytest.raises(ValueError, match=r"integers \[3\], or one for all images; got int32\[2\]"):
        grad_cam(model, variables, IMAGES, CLASSES[:2])
    with pytest.raises(ValueError, match=r"needs maps \[B, H, W, C\]; got \[3, 4\]"):
        grad_cam_of(lambda x: jnp.zeros([3, 4]), lambda x: x, IMAGES)
    with pytest.raises(ValueError, match=r"\[6, 5\]; got \(7, 7\)"):
        occlusion(LINEAR, Variables(KERNEL), IMAGES, CLASSES, patch=7)
    with pytest.raises(ValueError, match=r"got \[3, 3\]"):
        kernel_images(jnp.zeros([3, 3]))
