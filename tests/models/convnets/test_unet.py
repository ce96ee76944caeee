"""U-Net: the sizes of figure 1, counts, and the network written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.convnets.unet import unet, unet_rows
from jdl.nn.residual import BATCH_NORM
from tests.conformance.case import quick
from tests.models.convnets.test_efficientnet import size
from tests.nn.test_convolution import EXACT, normal


def test_the_network_has_the_maps_of_figure_1():
    model = unet()
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([1, 572, 572, 1], jnp.float32)
    apply = functools.partial(model.apply, method="features")
    maps, _ = jax.eval_shape(apply, variables, images)
    down = [(568, 64), (280, 128), (136, 256), (64, 512), (28, 1024)]
    up = [(52, 512), (100, 256), (196, 128), (388, 64)]
    assert [x.shape[2:] for x in maps] == [*down, *up]
    assert jax.eval_shape(model.apply, variables, images)[0].shape == (1, 388, 388, 2)
    widths = [1, 64, 128, 256, 512, 1024]
    pairs = zip(widths[:-1], widths[1:], strict=True)
    counted = sum(9 * c * d + d + 9 * d * d + d for c, d in pairs)
    pairs = zip(widths[:1:-1], widths[-2:0:-1], strict=True)
    counted += sum(4 * c * d + d + 9 * c * d + d + 9 * d * d + d for c, d in pairs)
    assert size(variables.params) == counted + 2 * 64 + 2 == 31_030_658


def test_the_padded_form_has_the_count_and_the_size_that_people_know():
    model = unet(in_channels=3, padded=True, norm=BATCH_NORM)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert size(variables.params) == 31_037_698
    images = jax.ShapeDtypeStruct([1, 64, 48, 3], jnp.float32)
    assert jax.eval_shape(model.apply, variables, images)[0].shape == (1, 64, 48, 2)


def numpy_unet(p, x, padding, skips):
    """Two levels."""

    def conv(p, x, pad=0):
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        kernel = np.asarray(p["kernel"])
        seen = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
        return np.einsum("bhwcij,ijcd->bhwd", seen, kernel) + p["bias"]

    def pair(p, x):
        for layer in ("0", "1"):
            x = np.maximum(conv(p["layers"][layer]["conv"], x, padding), 0)
        return x

    first = pair(p["down"]["0"], x)
    b, h, w, c = first.shape
    pooled = first.reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))
    second = pair(p["down"]["1"], pooled)
    kernel = np.asarray(p["up"]["0"]["kernel"])[::-1, ::-1]  # the last tap meets the first place
    up = np.einsum("bhwc,ijcd->bhiwjd", second, kernel)
    b, h, _, w, _, c = up.shape
    up = up.reshape(b, 2 * h, 2 * w, c) + p["up"]["0"]["bias"]
    if skips:
        off = (first.shape[1] - 2 * h) // 2, (first.shape[2] - 2 * w) // 2
        crop = first[:, off[0] : off[0] + 2 * h, off[1] : off[1] + 2 * w]
        up = np.concatenate([crop, up], -1)
    return conv(p["head"], pair(p["join"]["0"], up))


@pytest.mark.parametrize(("padded", "skips"), [(False, True), (True, False)])
def test_the_network_is_written_out_in_numpy(padded, skips):
    model = unet(3, in_channels=2, widths=(3, 5), padded=padded, skips=skips)
    variables = model.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), variables.params)
    images = normal(2, 20, 24, 2)
    found, _ = quick(lambda p, x: model.apply(variables._replace(params=p), x))(params, images)
    expected = numpy_unet(params, images, 1 if padded else 0, skips)
    assert found.shape == (2, unet_rows(20, 2, padded=padded), unet_rows(24, 2, padded=padded), 3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_a_tile_of_a_larger_image_gets_the_logits_of_its_middle():
    model = unet(widths=(2, 3), dropout_rate=0.0)
    variables = model.init(jax.random.key(0))
    whole, part = 28, slice(4, 24)
    images = normal(1, whole, whole, 1)
    logits, tile = quick(
        lambda x: (model.apply(variables, x)[0], model.apply(variables, x[:, part, part])[0])
    )(images)
    # 28 -> 12 + 4 = 12 rows of logits from row 8 on, the tile's from row 4 + 8 on
    assert logits.shape[1:3] == (12, 12) and tile.shape[1:3] == (4, 4)
    np.testing.assert_allclose(tile, logits[:, 4:8, 4:8], **EXACT)


def test_sizes_that_are_not_halved_evenly_are_refused_with_the_next_that_is():
    model = unet(widths=(2, 2, 2, 2, 2))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    with pytest.raises(ValueError, match="Pad the images to 572"):
        jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct([1, 572, 560, 1], jnp.float32))


def test_half_precision_goes_through():
    model = unet(widths=(2, 2), dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 20, 20, 1], jnp.float32)
    assert jax.eval_shape(model.apply, variables, images)[0].dtype == jnp.bfloat16
