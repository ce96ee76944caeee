"""The discrete VAE: the released counts, the bound, the limit of a low temperature."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.models.multimodal.discrete_vae import (
    discrete_vae,
    divergence_of_uniform,
    evidence_bound,
    temperature_schedule,
    weight_schedule,
)
from jdl.train.descent import descent, gradient
from tests.conformance.case import quick

SMALL = partial(discrete_vae, 5, 4, first_features=3, num_groups=2, blocks_per_group=1, channels=1)
IMAGES = np.random.default_rng(0).uniform(size=[2, 4, 6, 1]).astype(np.float32)


def released(features, first, sizes, kernels, last):
    """Parameters of a tower, from the table of the released code."""
    total, width = 0, first
    for wide in sizes:
        for _ in range(2):
            inner = [width, *[features * wide // 4] * 3, features * wide]
            total += sum(
                (a * k * k + 1) * b for a, b, k in zip(inner[:-1], inner[1:], kernels, strict=True)
            )
            total += (width + 1) * features * wide if width != features * wide else 0
            width = features * wide
    return total + (width + 1) * last


def test_the_released_towers_have_these_counts():
    params = jax.eval_shape(discrete_vae().init, jax.random.key(0)).params
    found = {name: sum(x.size for x in jax.tree.leaves(params[name])) for name in params}
    encoder = (3 * 49 + 1) * 256 + released(256, 256, (1, 2, 4, 8), (3, 3, 3, 1), 8192)
    decoder = (8192 + 1) * 128 + released(256, 128, (8, 4, 2, 1), (1, 3, 3, 3), 6)
    assert found == {"encoder": encoder, "decoder": decoder}
    assert (encoder, decoder) == (53_786_240, 43_829_766)


def test_a_tower_is_its_formula_in_numpy():
    """A block whose convolutions are 1x1 at each place, but for one."""
    model = discrete_vae(3, 4, first_features=3, num_groups=1, blocks_per_group=1, channels=1)
    variables = quick(model.init)(jax.random.key(0))
    tower = jax.tree.map(np.asarray, variables.params["encoder"])
    image = IMAGES[:1, :1, :1]  # a single pixel: of a kernel, its middle alone

    def conv(layer, x):
        kernel = layer["kernel"]
        middle = kernel[kernel.shape[0] // 2, kernel.shape[1] // 2]
        return x @ middle + layer["bias"]

    x = conv(tower["first"], 0.8 * image[0, 0, 0] + 0.1)
    block = tower["groups"]["0"]["0"]
    hidden = x
    for number in range(4):
        hidden = conv(block["convs"][str(number)], np.maximum(hidden, 0))
    logits = conv(tower["last"], np.maximum(x + hidden, 0))
    found, _ = quick(model.apply)(variables, image)
    np.testing.assert_allclose(found.logits[0, 0, 0], logits, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def variables():
    like = jax.eval_shape(SMALL().init, jax.random.key(0))
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: random.normal(0, 0.4, x.shape).astype(np.float32), like.params)
    return Variables(params, {"updates": np.int32(0)})


def test_cold_codes_are_the_drawn_ones_and_without_noise_the_most_probable(variables):
    model = SMALL()

    @quick
    def found(variables, temperature):
        sharp = jax.tree.map(lambda x: x, variables.params)
        last = {name: 1e3 * x for name, x in sharp["encoder"]["last"].items()}
        sharp["encoder"] = sharp["encoder"] | {"last": last}
        sharp = variables._replace(params=sharp)  # the noise of a draw is small beside its logits
        relaxed, _ = model.apply(sharp, IMAGES, temperature, key=jax.random.key(0))
        certain, _ = model.apply(sharp, IMAGES)
        codes, _ = model.apply(sharp, IMAGES, method="encode")
        images, _ = model.apply(sharp, codes, method="decode")
        return relaxed.means, certain, codes, images

    relaxed, certain, codes, images = found(variables, 1e-3)
    np.testing.assert_allclose(relaxed, certain.means, rtol=1e-3, atol=1e-4)
    assert codes.shape == (2, 2, 3) and images.shape == IMAGES.shape
    np.testing.assert_array_equal(codes, np.argmax(certain.logits, -1))
    pixels = np.clip((1 / (1 + np.exp(-np.asarray(certain.means))) - 0.1) / 0.8, 0, 1)
    np.testing.assert_allclose(images, pixels, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found(variables, 1e4)[0], certain.means, atol=1e-2)


def test_trained_by_its_bound_images_become_codes_that_become_the_images_again():
    """Two images of two tones. From one of four first weights, both tones end in the same codes."""
    images = np.full([2, 4, 6, 1], 0.1, np.float32)
    images[0, :, 3:] = images[1, 2:] = 0.9
    model = discrete_vae(4, 16, first_features=8, num_groups=1, blocks_per_group=1, channels=1)
    objective = evidence_bound(model, temperature_schedule(150, 0.2), lambda t: 0.1)
    algorithm = descent(gradient(objective), optax.adam(0.005))
    step = quick(algorithm.step)
    state = algorithm.init(quick(model.init)(jax.random.key(2)))
    for number in range(150):
        state, info = step(state, images, jax.random.key(number))
    bound = info["reconstruction"] + 0.1 * info["divergence"]  # a position is a pixel here
    assert float(info["loss"]) == pytest.approx(float(bound), rel=1e-5)
    assert 0.2 < float(info["temperature"]) < 0.21
    assert int(state.variables.buffers["updates"]) == 150

    encode, decode = (quick(partial(model.apply, method=name)) for name in ("encode", "decode"))
    codes, _ = encode(state.variables, images)
    again, _ = decode(state.variables, codes)
    np.testing.assert_allclose(again, images, atol=0.1)
    np.testing.assert_array_equal(encode(state.variables, again)[0], codes)


def test_a_position_weighs_as_many_pixels_as_it_stands_for(variables):
    model = SMALL()
    objective = evidence_bound(model, lambda t: 1.0, lambda t: 3.0)
    loss, (_, info) = quick(objective)(*variables, IMAGES, jax.random.key(0))
    bound = info["reconstruction"] + 3 * 6 / 24 * info["divergence"]
    assert float(loss) == pytest.approx(float(bound), rel=1e-5)


def test_the_divergence_is_zero_of_the_uniform_and_log_k_of_a_certain_code():
    logits = jnp.array([[0.0, 0.0, 0.0, 0.0], [200.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(divergence_of_uniform(logits), [0, np.log(4)], atol=1e-6)


def test_the_schedules_are_the_published_ones_and_bad_input_is_told(variables):
    tau, beta = temperature_schedule(), weight_schedule()
    ends = [float(f(t)) for f, last in ((tau, 150_000), (beta, 5_000)) for t in (0, last, 10**6)]
    assert ends == pytest.approx([1, 1 / 16, 1 / 16, 0, 6.6, 6.6], abs=1e-6)
    assert float(beta(2_500)) == pytest.approx(3.3) and float(tau(75_000)) == pytest.approx(17 / 32)
    with pytest.raises(ValueError, match="sizes that 2 divides"):
        jax.eval_shape(SMALL().apply, variables, jnp.ones([1, 3, 4, 1]))
    with pytest.raises(ValueError, match="codes are integers"):
        SMALL().apply(variables, jnp.ones([1, 2, 2]), method="decode")
    with pytest.raises(ValueError, match="needs a key"):
        jax.eval_shape(SMALL().apply, variables, IMAGES, 1.0)
    with pytest.raises(ValueError, match="a quarter"):
        discrete_vae(features=6)
