"""As many weights as were asked for are zero, the smallest, and stay zero in training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.models.mlp import mlp
from jdl.train import descent, gradient, regression
from jdl.train.pruning import (
    cubic_sparsity,
    gradual_pruning,
    keep_zeros,
    magnitude_masks,
    masked,
    zero_share,
)
from tests.conformance.case import quick

MODEL = mlp([3, 5, 2])
PARAMS = jax.tree.map(lambda x: x + 0.01, MODEL.init(jax.random.key(0)).params)  # no zero biases
_random = np.random.default_rng(0)
BATCH = tuple(_random.normal(size=[8, n]).astype(np.float32) for n in (3, 2))


def kernels(params):
    return [params["layers"][i]["kernel"] for i in ("0", "1")]


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 1.0])
def test_over_all_layers_the_smallest_go_and_their_number_is_exact(sparsity):
    masks = magnitude_masks(PARAMS, sparsity)
    stay = np.concatenate([x.ravel() for x in kernels(masks)])
    sizes = np.abs(np.concatenate([x.ravel() for x in kernels(PARAMS)]))
    assert (~stay).sum() == round(sparsity * 25)
    if 0 < sparsity < 1:
        assert sizes[~stay].max() < sizes[stay].min()
    assert all(masks["layers"][i]["bias"].all() for i in ("0", "1"))
    np.testing.assert_allclose(zero_share(masked(PARAMS, masks)), round(sparsity * 25) / 25)


def test_by_layer_each_loses_its_share():
    scaled = jax.tree.map(lambda x: x, PARAMS)
    scaled["layers"]["1"] = {k: 100 * x for k, x in scaled["layers"]["1"].items()}
    together, apart = (
        [int((~x).sum()) for x in kernels(magnitude_masks(scaled, 0.6, per_layer=each))]
        for each in (False, True)
    )
    assert together == [15, 0] and apart == [9, 6]


def test_ties_do_not_prune_too_much():
    masks = magnitude_masks({"kernel": jnp.ones([4, 5])}, 0.35)
    assert int((~masks["kernel"]).sum()) == 7


def test_zeros_stay_while_the_rest_learns_as_it_would():
    params = masked(PARAMS, magnitude_masks(PARAMS, 0.4))
    algorithm = descent(gradient(regression(MODEL)), optax.chain(optax.adam(0.1), keep_zeros()))
    plain = descent(gradient(regression(MODEL)), optax.adam(0.1))
    start = MODEL.init(jax.random.key(0))._replace(params=params)
    state, free = algorithm.init(start), plain.init(start)
    step = quick(algorithm.step)
    one, other = step(state, BATCH, jax.random.key(0))[0], quick(plain.step)(free, BATCH, None)[0]
    for a, b, before in zip(
        *(kernels(s.variables.params) for s in (one, other)), kernels(params), strict=True
    ):
        np.testing.assert_array_equal(a == 0, before == 0)
        np.testing.assert_allclose(a[before != 0], b[before != 0], rtol=1e-6)
    for _ in range(3):
        one, _ = step(one, BATCH, jax.random.key(0))
    assert zero_share(one.variables.params) == np.float32(0.4)
    assert step._cache_size() == 1


def test_the_schedule_is_the_papers():
    schedule, t = cubic_sparsity(0.9, 4, 24, initial=0.1), np.arange(40)
    inside = 0.9 + (0.1 - 0.9) * (1 - (t - 4) / 20) ** 3
    wanted = np.where(t < 4, 0.1, np.where(t > 24, 0.9, inside))
    np.testing.assert_allclose(jax.vmap(schedule)(t), wanted, rtol=1e-5)


def test_gradual_pruning_follows_its_schedule_and_brings_nothing_back():
    schedule = cubic_sparsity(0.84, 0, 8)
    optimizer = optax.chain(optax.sgd(0.05), gradual_pruning(schedule, 2))
    algorithm = descent(gradient(regression(MODEL)), optimizer)
    state = algorithm.init(MODEL.init(jax.random.key(0))._replace(params=PARAMS))
    step, zeros = quick(algorithm.step), []
    for _ in range(11):
        state, _ = step(state, BATCH, jax.random.key(0))
        zeros.append(np.concatenate([np.ravel(x == 0) for x in kernels(state.variables.params)]))
    renewed = [t - t % 2 for t in range(11)]
    assert [int(z.sum()) for z in zeros] == [round(25 * float(schedule(t))) for t in renewed]
    assert all(np.all(later >= earlier) for earlier, later in zip(zeros, zeros[1:], strict=False))
    assert step._cache_size() == 1


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]; got 90"):
        magnitude_masks(PARAMS, 90)
    with pytest.raises(ValueError, match="no parameter is a weight"):
        magnitude_masks({"bias": jnp.ones(3)}, 0.5)
    with pytest.raises(ValueError, match="begin < end; got 0.0, 0.5, 9, 9"):
        cubic_sparsity(0.5, 9, 9)
    with pytest.raises(ValueError, match="at least 1; got 0"):
        gradual_pruning(lambda t: 0.5, 0)
    with pytest.raises(ValueError, match="call update"):
        keep_zeros().update(PARAMS, keep_zeros().init(PARAMS))
