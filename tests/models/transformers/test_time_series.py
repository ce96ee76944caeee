"""The encoder of series: counts by arithmetic, its parts in order, time, padding, mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.models.transformers.time_series import time_series_transformer
from jdl.nn.lstm_cells import LSTMCell
from jdl.nn.positions import sinusoidal
from jdl.nn.recurrent_layers import RecurrentLayer
from jdl.nn.transformer_block import TransformerBlock
from tests.models.convnets.abstract import abstract, count, random_variables
from tests.nn.test_convolution import normal, quick

SMALL = functools.partial(time_series_transformer, 2, 3, 4, 1, feed_forward_dim=5)
POOLED = functools.partial(SMALL, head="pooled", mlp_dims=(6,))
SERIES = normal(2, 6, 2)


def block(features, width, hidden, kernel_size=1):
    attention = 4 * features * width + 3 * width + features
    return attention + 2 * kernel_size * features * hidden + hidden + features + 4 * features


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 2 * 32 + 2 * 32 + 4 * block(32, 32, 128) + 4 * (32 + 1 + 1)),
        ({"kernel_size": 3}, 2 * 32 + 2 * 32 + 4 * block(32, 32, 128, 3) + 4 * (32 + 1 + 1)),
        (
            # Keras's recipe, behind an embedding
            {
                "num_outputs": 2,
                "num_heads": 4,
                "head_dim": 256,
                "feed_forward_dim": 4,
                "head": "pooled",
            },
            4 * 32 + 4 * block(32, 1024, 4) + 33 * 128 + 129 * 2,
        ),
    ],
)
def test_it_has_these_counts(options, expected):
    assert count(time_series_transformer(**options)) == expected


def test_the_count_of_the_default_is_that_of_its_file():
    assert count(time_series_transformer()) == 51_080


def test_the_norm_of_a_single_feature_sees_nothing_so_that_it_is_embedded():
    norm = nnx.LayerNorm(1, epsilon=1e-6, rngs=nnx.Rngs(0))
    assert not norm(SERIES[..., :1]).any()


def test_an_embedding_blocks_a_norm_and_an_lstm_follow():
    model = SMALL()
    variables = random_variables(model)
    parts = (
        lambda rngs: TransformerBlock(
            4, 2, 5, norm_placement="pre", dropout_rate=0, epsilon=1e-6, rngs=rngs
        ),
        lambda rngs: RecurrentLayer(LSTMCell(4, 3, rngs=rngs)),
    )
    encoder, lstm = map(functional, parts)

    def dense(tree):
        """Kernels of one step, as of dense layers."""
        return {name: layer | {"kernel": layer["kernel"][0]} for name, layer in tree.items()}

    def both(variables):
        params = variables.params
        x = SERIES @ params["embed"]["kernel"] + params["embed"]["bias"][None, None]
        x = x + sinusoidal(jnp.arange(6), 4)[None]
        own = params["blocks"]["0"]
        own = own | {"feed_forward": dense(own["feed_forward"])}
        x, _ = encoder.apply(variables._replace(params=own), x)
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = x * params["norm"]["scale"][None, None] + params["norm"]["bias"][None, None]
        expected = lstm.apply(variables._replace(params=params["head"]["lstm"]), x)[0].last
        return model.apply(variables, SERIES)[0], expected

    found, expected = quick(both, variables)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found).max() < 1


def test_without_positions_a_mean_over_time_knows_no_order():
    def gap(positions):
        model = POOLED(positions=positions)
        variables = random_variables(model)
        found, other = quick(
            lambda v: [model.apply(v, x)[0] for x in (SERIES, SERIES[:, ::-1])], variables
        )
        return np.abs(found - other).max()

    assert gap("none") < 1e-5 < 1e-3 < gap("sinusoidal")


@pytest.mark.parametrize("make", [SMALL, POOLED])
def test_what_stands_behind_a_series_does_not_count(make):
    model = make()
    variables = random_variables(model)
    is_step = np.arange(6)[None] < np.array([[6], [4]])
    other = np.where(is_step[..., None], SERIES, 9.0).astype(np.float32)

    def outputs(variables):
        masked = [model.apply(variables, x, is_step=is_step)[0] for x in (SERIES, other)]
        return *masked, model.apply(variables, SERIES[1:, :4])[0]

    first, second, short = quick(outputs, variables)
    np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first[1:], short, rtol=1e-4, atol=1e-5)


def test_bfloat16_goes_through():
    for make in (SMALL, POOLED):
        model = make(dtype=jnp.bfloat16)
        outputs = jax.eval_shape(model.apply, abstract(model), SERIES)[0]
        assert outputs.dtype == jnp.bfloat16


def test_mistakes_say_what_to_do():
    model = SMALL()
    with pytest.raises(ValueError, match=r"series are \[B, T, 2\].*got \[2, 6\]"):
        model.apply(random_variables(model), SERIES[..., 0])
    with pytest.raises(ValueError, match="head is one of"):
        SMALL(head="flat")
    with pytest.raises(ValueError, match="positions is one of"):
        SMALL(positions="learned")
