"""Networks of waveforms: counts, the times of table 1, and the layers one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.convnets.audio_cnn import AUDIO_CNNS, audio_cnn
from jdl.nn.pooling import max_pool
from tests.conformance.case import quick
from tests.models.convnets.test_efficientnet import size
from tests.nn.test_convolution import EXACT, normal
from tests.nn.test_residual import SHRUNK

COUNTS = {"m3": 221_194, "m5": 559_114, "m11": 1_786_442, "m18": 3_683_786}
ROUNDED = {"m3": 0.2, "m5": 0.6, "m11": 1.8, "m18": 3.7}  # millions


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_of_the_layers_and_round_to_the_published(name):
    variables = jax.eval_shape(AUDIO_CNNS[name]().init, jax.random.key(0))
    first, groups = AUDIO_CNNS[name].args
    total, channels = 80 * first + 3 * first, first
    for maps, layers in groups:
        for _ in range(layers):
            total, channels = total + 3 * channels * maps + 3 * maps, maps
    assert size(variables.params) == total + 10 * channels + 10 == COUNTS[name]
    assert round(total / 1e6, 1) == ROUNDED[name]


def test_times_are_those_of_table_1():
    for name, times in [("m3", (2000, 500)), ("m11", (2000, 500, 125, 32, 32))]:
        model = AUDIO_CNNS[name]()
        variables = jax.eval_shape(model.init, jax.random.key(0))
        waves = jax.ShapeDtypeStruct([1, 32_000, 1], jnp.float32)
        apply = functools.partial(model.apply, method="features")
        assert tuple(x.shape[1] for x in jax.eval_shape(apply, variables, waves)[0]) == times


def test_the_network_is_its_layers_one_by_one():
    model = audio_cnn(3, ((4, 2),), num_classes=2)
    variables = model.init(jax.random.key(0))
    waves = normal(2, 250, 1)

    def unit(p, x, stride):
        x = jax.lax.conv_general_dilated(
            x, p["conv"]["kernel"], (stride,), "SAME", dimension_numbers=("NTC", "TIO", "NTC")
        )
        x = (x + p["conv"]["bias"][None, None]) * SHRUNK * p["norm"]["scale"][None, None]
        return jax.nn.relu(x + p["norm"]["bias"][None, None])

    def by_hand(waves):
        groups = variables.params["groups"]
        x = max_pool(unit(groups["0"]["0"], waves, 4), 4, padding="SAME")
        x = unit(groups["1"]["1"], unit(groups["1"]["0"], x, 1), 1)
        x = max_pool(x, 4, padding="SAME").mean(1)
        head = variables.params["head"]["linear"]
        return x @ head["kernel"] + head["bias"][None]

    found, expected = quick(lambda x: (model.apply(variables, x)[0], by_hand(x)))(waves)
    np.testing.assert_allclose(found, expected, **EXACT)


def test_half_precision_goes_through_and_waves_without_channels_do_not():
    model = audio_cnn(3, ((4, 1),), num_classes=None, dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    apply = functools.partial(jax.eval_shape, model.apply, variables)
    outputs, _ = apply(jax.ShapeDtypeStruct([2, 100, 1], jnp.float32))
    assert outputs.shape == (2, 4) and outputs.dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="waves\\[..., None\\]"):
        apply(jax.ShapeDtypeStruct([2, 100], jnp.float32))
