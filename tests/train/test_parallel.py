"""A step on four devices against the step on one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType

from jdl.core import Variables
from jdl.functional import functional
from jdl.train import Player, classification, descent, fit, game, gradient, run
from jdl.train.parallel import (
    average_over,
    data_mesh,
    global_batch,
    pmapped,
    replicate,
    sharded,
)

STEPS, BATCH = 6, 16
OPTIMIZERS = {
    "sgd": optax.sgd(0.3),
    "adam": optax.adam(1e-2, eps=1e-4),
    "clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(1.0)),
}


class Net(nnx.Module):
    """Convolution, batch norm, dropout, a linear head."""

    def __init__(self, axis_name, dropout_rate, *, rngs):
        self.conv = nnx.Conv(1, 4, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(4, axis_name=axis_name, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(dropout_rate)
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, images, *, rngs=None):
        x = jnp.tanh(self.norm(self.conv(images)))
        return self.head(self.dropout(x.mean((1, 2)), rngs=rngs))


def network(axis_name=None, dropout_rate=0.0):
    return functional(lambda rngs: Net(axis_name, dropout_rate, rngs=rngs))


def learner(optimizer, **options):
    return descent(gradient(classification(network(**options))), optimizer)


def on_devices(optimizer, *, named):
    """The pmapped learner; `named` tells its BatchNorm the axis."""

    def build(axis):
        chain = optax.chain(average_over(axis), optimizer)
        return learner(chain, axis_name=axis if named else None)

    return pmapped(build)


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(STEPS, BATCH, 5, 5, 1)) + rng.normal(size=(1, BATCH, 1, 1, 1))
    return images.astype(np.float32), rng.integers(0, 3, (STEPS, BATCH))


@pytest.fixture(scope="module")
def variables():
    return network().init(jax.random.key(1))


def scanned(algorithm, variables, batches):
    drive = jax.jit(lambda state, key: run(algorithm, state, batches, key))
    state, info = drive(algorithm.init(variables), jax.random.key(2))
    return state.variables, info


def stepped(algorithm, variables, batches):
    state, infos = algorithm.init(variables), []
    for t, key in enumerate(jax.random.split(jax.random.key(2), STEPS)):
        state, info = algorithm.step(state, jax.tree.map(lambda x, t=t: x[t], batches), key)
        infos.append(info)
    return state.variables, jax.tree.map(lambda *x: np.stack(x), *infos)


@pytest.fixture(scope="module")
def one_device(variables, batches):
    return {
        name: scanned(learner(optimizer), variables, batches)
        for name, optimizer in OPTIMIZERS.items()
    }


def assert_same(came, expected, atol=1e-6):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=atol), came, expected
    )


def distance(a, b):
    return max(np.abs(x - y).max() for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_sharded_steps_equal_those_of_one_device(optimizer, variables, batches, one_device):
    algorithm = sharded(learner(OPTIMIZERS[optimizer]), data_mesh())
    assert_same(scanned(algorithm, variables, batches), one_device[optimizer])
    assert distance(one_device[optimizer][0].params, variables.params) > 0.05


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pmapped_steps_equal_those_of_one_device(optimizer, variables, batches, one_device):
    algorithm = on_devices(OPTIMIZERS[optimizer], named=True)
    assert_same(stepped(algorithm, variables, batches), one_device[optimizer])


def test_pmapped_steps_may_be_scanned_under_jit(variables, batches, one_device):
    algorithm = on_devices(OPTIMIZERS["sgd"], named=True)
    assert_same(scanned(algorithm, variables, batches), one_device["sgd"])


@pytest.mark.parametrize("drive", ["sharded", "pmapped"])
@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
def test_fit_takes_them_unchanged(drive, place, variables, batches):
    data = jax.tree.map(lambda x: place(x.reshape(-1, *x.shape[2:])), batches)
    plain = learner(OPTIMIZERS["sgd"])
    algorithm = (
        sharded(plain, data_mesh())
        if drive == "sharded"
        else on_devices(OPTIMIZERS["sgd"], named=True)
    )
    one, four = (
        fit(a, a.init(variables), data, jax.random.key(3), steps=STEPS, batch_size=BATCH)
        for a in (plain, algorithm)
    )
    assert_same(four.state.variables, one.state.variables)
    assert_same(four.history, one.history)


def test_batch_norm_without_the_axis_uses_the_statistics_of_each_part(
    variables, batches, one_device
):
    algorithm = on_devices(OPTIMIZERS["sgd"], named=False)
    assert distance(stepped(algorithm, variables, batches), one_device["sgd"]) > 1e-3
    batch = jax.tree.map(lambda x: x[0], batches)
    state, _ = algorithm.step(algorithm.init(variables), batch, jax.random.key(0))
    kernel, pixels = variables.params["conv"]["kernel"], batch[0]
    maps = jax.lax.conv_general_dilated(
        pixels, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    parts = maps.reshape(4, -1, 4)  # [devices, pixels, channels]
    running = state.variables.buffers["norm"]
    np.testing.assert_allclose(running["mean"], 0.1 * parts.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * parts.var(1).mean(0), rtol=1e-5)
    whole = 0.9 + 0.1 * maps.var((0, 1, 2))
    assert np.all(whole > 1.001 * running["var"])


def test_a_clip_before_the_average_is_another_step(variables, batches, one_device):
    def build(axis):
        late = optax.chain(optax.clip_by_global_norm(0.1), average_over(axis), optax.sgd(1.0))
        return learner(late, axis_name=axis)

    assert distance(stepped(pmapped(build), variables, batches), one_device["clipped"]) > 1e-3


def test_a_sum_over_the_devices_is_not_the_step(variables, batches, one_device):
    def build(axis):
        total = optax.stateless(lambda updates, params: jax.lax.psum(updates, axis))
        optimizer = optax.chain(average_over(axis), total, OPTIMIZERS["sgd"])
        return learner(optimizer, axis_name=axis)

    assert distance(stepped(pmapped(build), variables, batches), one_device["sgd"]) > 0.05


def test_sharded_noise_is_that_of_one_device(variables, batches):
    noisy = learner(OPTIMIZERS["sgd"], dropout_rate=0.5)
    expected = scanned(noisy, variables, batches)
    assert_same(scanned(sharded(noisy, data_mesh()), variables, batches), expected)
    assert distance(expected, scanned(learner(OPTIMIZERS["sgd"]), variables, batches)) > 1e-3


def test_pmapped_devices_draw_noise_of_their_own():
    def noise(params, buffers, batch, key):
        return params * jax.random.normal(key), (buffers, {})

    def build(axis):
        return descent(gradient(noise), optax.chain(average_over(axis), optax.sgd(1.0)))

    algorithm, key = pmapped(build), jax.random.key(3)
    state, _ = algorithm.step(algorithm.init(Variables(jnp.zeros([]))), np.zeros(4), key)
    draws = jax.vmap(jax.random.normal)(jax.random.split(key, 4))
    assert_same(state.variables.params, -draws.mean())


def test_a_sharded_step_divides_the_batch_and_keeps_the_state_whole(variables, batches):
    algorithm = sharded(learner(OPTIMIZERS["adam"]), data_mesh())
    state, batch = algorithm.init(variables), jax.tree.map(lambda x: x[0], batches)
    compiled = jax.jit(algorithm.step).lower(state, batch, jax.random.key(0)).compile()
    program = compiled.as_text()
    assert "all-reduce" in program
    assert "f32[4,5,5,4]" in program and "f32[16,5,5,4]" not in program  # maps of 16 / 4 images
    after, info = compiled(state, batch, jax.random.key(0))
    for leaf in jax.tree.leaves((state, after, info)):
        assert leaf.sharding.is_fully_replicated and len(leaf.sharding.device_set) == 4


def test_a_sharded_game_of_several_moves_equals_that_on_one_device():
    def seek(name, other):
        def objective(params, buffers, batch, key):
            noise = jax.random.normal(key, batch.shape)
            pull = jnp.mean((params[name] - batch - 0.1 * noise) ** 2)
            return pull + params[name] * params[other], (buffers, {})

        return objective

    players = {
        "a": Player(seek("a", "b"), optax.sgd(0.1), repeats=3),
        "b": Player(seek("b", "a"), optax.sgd(0.2)),
    }
    variables = Variables({"a": jnp.ones([]), "b": jnp.zeros([])})
    batch, key = jnp.arange(24.0).reshape(3, 8), jax.random.key(0)
    plain = game(players)
    expected = plain.step(plain.init(variables), batch, key)
    algorithm = sharded(plain, data_mesh(), batch_axis=1)
    assert_same(jax.jit(algorithm.step)(algorithm.init(variables), batch, key), expected)


def test_info_that_counts_is_averaged_and_integer_buffers_are_kept():
    def objective(params, buffers, batch, key):
        info = {"above": (batch > 2.5).sum(), "all": jnp.all(batch > 2.5)}
        return jnp.mean(params * batch), ({"calls": buffers["calls"] + 1}, info)

    def build(axis):
        return descent(gradient(objective), optax.chain(average_over(axis), optax.sgd(1.0)))

    algorithm = pmapped(build)
    state = algorithm.init(Variables(jnp.zeros([]), {"calls": jnp.array(0)}))
    state, info = algorithm.step(state, jnp.arange(8.0), jax.random.key(0))
    assert state.variables.buffers["calls"] == 1
    assert state.variables.buffers["calls"].dtype == jnp.int32
    assert info["above"] == 5 / 4 and info["all"] == 2 / 4
    assert state.variables.params == -3.5


def test_a_subset_of_the_devices_may_be_taken(variables, batches, one_device):
    def build(axis):
        chain = optax.chain(average_over(axis), OPTIMIZERS["sgd"])
        return learner(chain, axis_name=axis)

    pair = jax.devices()[:2]
    assert_same(stepped(pmapped(build, devices=pair), variables, batches), one_device["sgd"])
    algorithm = sharded(learner(OPTIMIZERS["sgd"]), data_mesh(pair))
    assert_same(scanned(algorithm, variables, batches), one_device["sgd"])


def test_a_global_batch_of_one_process_is_the_batch_divided_over_its_devices():
    mesh = data_mesh()
    batch = {"x": np.arange(24.0, dtype=np.float32).reshape(8, 3), "y": jnp.arange(8)}
    came = global_batch(batch, mesh)
    assert_same(came, batch, atol=0)
    assert [s.data.shape for s in came["x"].addressable_shards] == [(2, 3)] * 4
    steps = global_batch(np.zeros([3, 8]), mesh, batch_axis=1)
    assert [s.data.shape for s in steps.addressable_shards] == [(3, 2)] * 4
    assert replicate(np.zeros(3), mesh).sharding.is_fully_replicated


@pytest.mark.parametrize("drive", ["sharded", "pmapped", "global_batch"])
def test_a_batch_that_does_not_divide_is_refused(drive, variables):
    batch, key = (np.zeros([6, 5, 5, 1], np.float32), np.zeros([6], int)), jax.random.key(0)
    said = r"divided over 4 devices.*multiple of 4; got 0 of shape \(6, 5, 5, 1\).*batch size"
    with pytest.raises(ValueError, match=said):
        if drive == "global_batch":
            global_batch(batch, data_mesh())
        elif drive == "sharded":
            algorithm = sharded(learner(OPTIMIZERS["sgd"]), data_mesh())
            jax.jit(algorithm.step)(algorithm.init(variables), batch, key)
        else:
            algorithm = on_devices(OPTIMIZERS["sgd"], named=True)
            algorithm.step(algorithm.init(variables), batch, key)


def test_a_batch_without_the_axis_of_examples_is_refused():
    with pytest.raises(ValueError, match=r"got rate of shape \(\)"):
        global_batch({"rate": np.zeros([])}, data_mesh())
    with pytest.raises(ValueError, match=r"axis 1.*got batch of shape \(8,\)"):
        global_batch(np.zeros(8), data_mesh(), batch_axis=1)


def test_a_pmapped_algorithm_that_averages_nothing_is_refused(variables):
    algorithm = pmapped(lambda axis: learner(OPTIMIZERS["adam"]))
    with pytest.raises(ValueError, match=r"chain\(average_over\(axis\), \.\.\.\)"):
        algorithm.init(variables)


def test_a_mesh_of_explicit_axes_is_refused():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    with pytest.raises(ValueError, match="data_mesh"):
        sharded(learner(OPTIMIZERS["sgd"]), mesh)
