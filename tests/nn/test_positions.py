"""Positions: golden numbers, rotations and what only distances change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.attention import attention
from jdl.nn.attention_scores import dot
from jdl.nn.positions import (
    alibi,
    alibi_slopes,
    resized_grid,
    rotary,
    sinusoidal,
    sinusoidal_shift,
)
from tests.nn.test_convolution import EXACT, normal, quick


def test_golden_numbers_of_100_positions_and_512_features():
    table = sinusoidal(jnp.arange(100), 512)
    np.testing.assert_allclose(table[0], np.tile([0, 1], 256), atol=1e-6)
    np.testing.assert_allclose(table[1, :4], [0.84147, 0.54030, 0.82186, 0.56970], atol=1e-5)
    np.testing.assert_allclose(table[50, :4], [-0.26237, 0.96497, -0.89534, -0.44539], atol=1e-5)
    np.testing.assert_allclose(table[99, -2:], [0.010262, 0.999947], atol=1e-6)
    np.testing.assert_allclose((table**2).sum(-1), 256, rtol=1e-5)


def test_golden_numbers_of_four_features():
    expected = [[0, 1, 0, 1], [0.841471, 0.540302, 0.00999983, 0.99995]]
    expected.append([0.909297, -0.416147, 0.0199987, 0.9998])
    np.testing.assert_allclose(sinusoidal(jnp.arange(3), 4), expected, atol=1e-6)


def test_a_shift_is_one_matrix_for_all_positions():
    positions = jnp.arange(20)
    matrix = sinusoidal_shift(7, 6)
    shifted = sinusoidal(positions, 6) @ matrix
    np.testing.assert_allclose(shifted, sinusoidal(positions + 7, 6), atol=1e-5)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-6)


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_products_depend_on_distances_alone(interleaved):
    query, key = (jnp.tile(jnp.asarray(normal(1, 1, 2, 6)), (1, 5, 1, 1)) for _ in range(2))
    scores = [
        dot(*(rotary(x, jnp.arange(5) + start, interleaved=interleaved) for x in (query, key)))
        for start in (0, 31)
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores[0][:, :, 0, 1], scores[0][:, :, 3, 4], rtol=1e-4, atol=1e-4)
    assert np.abs(scores[0][:, :, 0, 1] - scores[0][:, :, 1, 0]).max() > 1e-2


def test_rotary_turns_planes_and_keeps_lengths():
    x = normal(2, 3, 1, 4)
    positions = np.array([[0, 1, 2], [5, 6, 7]])
    found = rotary(x, positions)
    planes = x.view(np.complex64) * np.exp(
        1j * positions[:, :, None, None] * np.array([1, 0.01])[None, None, None]
    )
    np.testing.assert_allclose(np.asarray(found).view(np.complex64), planes, rtol=1e-4, atol=1e-5)
    halves = rotary(x[..., [0, 2, 1, 3]], positions, interleaved=False)
    np.testing.assert_allclose(halves[..., [0, 2, 1, 3]], found, **EXACT)
    assert rotary(x.astype(jnp.bfloat16), positions).dtype == jnp.bfloat16


def test_alibi_has_the_papers_slopes_and_falls_with_the_distance():
    np.testing.assert_allclose(alibi_slopes(8), 0.5 ** np.arange(1, 9))
    np.testing.assert_allclose(alibi_slopes(16), 0.5 ** np.arange(0.5, 8.5, 0.5))
    # The authors' rule for 12: those of 8, then every other one of those of 16.
    np.testing.assert_allclose(alibi_slopes(12)[8:], 0.5 ** np.array([0.5, 1.5, 2.5, 3.5]))
    bias = alibi(2, jnp.array([3, 4]), jnp.arange(5))
    np.testing.assert_allclose(bias[0, 0], -np.array([[3, 2, 1, 0, 1], [4, 3, 2, 1, 0]]) / 16)
    flat = jnp.ones([1, 5, 2, 3])
    value = jnp.arange(5.0)[None, :, None, None] * jnp.ones([1, 1, 2, 3])
    bias = alibi(2, jnp.arange(5), jnp.arange(5))
    found = quick(lambda v: attention(flat, flat, v, bias=bias), value)
    near = np.exp(np.asarray(bias)[0])
    expected = (near / near.sum(-1, keepdims=True)) @ np.arange(5)
    np.testing.assert_allclose(found[0, ..., 0].T, expected, **EXACT)


@pytest.mark.parametrize("method", ["cubic", "linear"])
def test_a_resized_grid_keeps_extra_tokens_and_constants(method):
    table = normal(2 + 12, 3)
    found = resized_grid(table, (3, 4), (6, 8), num_extra=2, method=method)
    assert found.shape == (2 + 48, 3)
    np.testing.assert_array_equal(found[:2], table[:2])
    same = resized_grid(table, (3, 4), (3, 4), num_extra=2, method=method)
    np.testing.assert_allclose(same, table, **EXACT)
    flat = resized_grid(np.ones([12, 3], np.float32), (3, 4), (5, 7), num_extra=0, method=method)
    np.testing.assert_allclose(flat, 1, **EXACT)


def test_the_published_resolutions_have_these_lengths():
    """ViT-L/16 at 512 and ViT-H/14 at 518 pixels: 1024 and 1369 patches (004 sec. 6.6)."""
    for size in (512 // 16, 518 // 14):
        table = jax.ShapeDtypeStruct([197, 8], jnp.float32)
        found = jax.eval_shape(lambda t, s=size: resized_grid(t, (14, 14), (s, s)), table)
        assert len(found.shape) == 2 and found.shape[0] == 1 + size**2


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="even number of features; got 5"):
        sinusoidal(jnp.arange(3), 5)
    with pytest.raises(ValueError, match="have 197 positions; got 196"):
        resized_grid(jnp.zeros([196, 8]), (14, 14), (24, 24))
