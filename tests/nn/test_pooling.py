"""Pooling by slices against Flax's windows: values, gradients, ties, borders; the sparsifier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.nn.pooling import adaptive_avg_pool, avg_pool, max_pool, sparsified
from tests.nn.test_convolution import quick

RNG = np.random.default_rng(0)
TIED = np.maximum(RNG.integers(-3, 3, size=(2, 7, 6, 2)), 0).astype(np.float32)
DISTINCT = RNG.permutation(2 * 7 * 6 * 2).reshape(2, 7, 6, 2).astype(np.float32) / 50 - 1
CASES = [(2, 2, "VALID"), (3, 2, "SAME"), (3, 1, 1)]
EXACT = {"rtol": 1e-6, "atol": 1e-6}


def flax_arguments(window, strides, padding):
    pads = padding if isinstance(padding, str) else [(padding, padding)] * 2
    return (window, window), (strides, strides), pads


def same(ours, theirs, x):
    def both(x, noise):
        y, pull = jax.vjp(ours, x)
        expected, back = jax.vjp(theirs, x)
        errors = noise[:, : y.shape[1], : y.shape[2]]
        return (y, pull(errors)[0]), (expected, back(errors)[0])

    found, wanted = quick(both, x, RNG.normal(size=x.shape).astype(np.float32))
    np.testing.assert_allclose(found[0], wanted[0], **EXACT)
    np.testing.assert_allclose(found[1], wanted[1], **EXACT)


@pytest.mark.parametrize("case", CASES)
def test_the_maximum_and_its_gradient_are_flax_s_at_ties_too(case):
    same(
        lambda x: max_pool(x, *case),
        lambda x: nnx.max_pool(x, *flax_arguments(*case)),
        np.concatenate([TIED, DISTINCT]),
    )


@pytest.mark.parametrize("inside_only", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_mean_and_its_gradient_are_flax_s(case, inside_only):
    count = not inside_only
    same(
        lambda x: avg_pool(x, *case, count_padding=count),
        lambda x: nnx.avg_pool(x, *flax_arguments(*case), count_include_pad=count),
        DISTINCT,
    )


def test_shared_maxima_by_jnp_maximum_would_share_the_gradient():
    x = jnp.zeros([1, 2, 1])
    first = jax.grad(lambda x: max_pool(x, 2).sum())(x)
    halves = jax.grad(lambda x: jnp.maximum(x[:, ::2], x[:, 1::2]).sum())(x)
    assert first.ravel().tolist() == [1, 0] and halves.ravel().tolist() == [0.5, 0.5]


def test_a_not_a_number_is_passed_on_wherever_it_stands():
    x = np.where(np.eye(3, dtype=bool), np.nan, 0).astype(np.float32)
    assert np.isnan(quick(lambda x: max_pool(x[..., None], 3), x)).all()


def test_a_map_by_hand():
    x = jnp.array([[1.0, 6, 2, 5], [3, 4, 0, 1], [7, 2, 9, 8], [8, 0, 3, 4]])[None, :, :, None]
    assert max_pool(x, 2)[0, ..., 0].tolist() == [[6, 5], [8, 9]]
    assert avg_pool(x, 2)[0, ..., 0].tolist() == [[3.5, 2.0], [4.25, 6.0]]


def test_over_time_and_over_everything():
    x = DISTINCT[:, :, 0]
    np.testing.assert_array_equal(max_pool(x, 3)[:, 0], x[:, :3].max(1))
    np.testing.assert_allclose(avg_pool(DISTINCT, (7, 6))[:, 0, 0], DISTINCT.mean((1, 2)), **EXACT)
    np.testing.assert_array_equal(max_pool(DISTINCT, (7, 6))[:, 0, 0], DISTINCT.max((1, 2)))


@pytest.mark.parametrize("size", [(7, 6), (3, 4), (1, 2), (9, 5)])
def test_adaptive_means_are_those_of_their_windows(size):
    def window(places, wanted, o):
        return slice(o * places // wanted, -(-(o + 1) * places // wanted))

    expected = [
        [
            DISTINCT[:, window(7, size[0], o), window(6, size[1], p)].mean((1, 2))
            for p in range(size[1])
        ]
        for o in range(size[0])
    ]
    found = quick(lambda x: adaptive_avg_pool(x, size), DISTINCT)
    np.testing.assert_allclose(found, np.moveaxis(expected, 2, 0), **EXACT)
    time = quick(lambda x: adaptive_avg_pool(x, size[0]), DISTINCT[:, :, 0])
    assert time.shape == (2, size[0], 2)


def test_forward_mode_and_vmap_work():
    def both(x):
        slopes = jax.jvp(lambda x: max_pool(x, 2), (x,), (jnp.ones_like(x),))[1]
        return slopes, jax.vmap(lambda x: max_pool(x[None], 2)[0])(x), max_pool(x, 2)

    slopes, one_by_one, together = quick(both, DISTINCT)
    np.testing.assert_array_equal(slopes, np.ones([2, 3, 3, 2]))
    np.testing.assert_array_equal(one_by_one, together)


@pytest.mark.parametrize(("platform", "windows"), [("cpu", False), ("cuda", True)])
def test_slices_on_the_cpu_and_windows_elsewhere(platform, windows):
    program = jax.jit(jax.grad(lambda x: max_pool(x, 2).sum()))
    text = jax.export.export(program, platforms=[platform])(DISTINCT).mlir_module()
    assert ("select_and_scatter" in text) == windows


def test_integers_are_refused():
    with pytest.raises(ValueError, match="takes floats"):
        max_pool(jnp.zeros([1, 4, 1], jnp.int32), 2)


def test_the_sparsifier_keeps_one_place_of_each_region_and_its_value():
    x = DISTINCT[:, :6]
    found = np.asarray(sparsified(x, 2))
    assert found.shape == x.shape
    regions = found.reshape(2, 3, 2, 3, 2, 2)
    assert ((regions != 0).sum((2, 4)) == 1).all()
    np.testing.assert_allclose(regions.sum((2, 4)), max_pool(x, 2), rtol=1e-6)
    np.testing.assert_array_equal(found[found != 0], x[found != 0])


def test_of_equal_values_the_sparsifier_keeps_the_first_and_erases_what_no_region_covers():
    x = jnp.array([2.0, 2.0, -1.0, -1.0, 5.0])[None, :, None]
    assert sparsified(x, 2).ravel().tolist() == [2, 0, -1, 0, 0]
    slope = jax.grad(lambda x: (sparsified(x, 2) ** 2).sum())(x)
    assert slope.ravel().tolist() == [4, 0, -2, 0, 0]
