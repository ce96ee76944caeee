"""What every algorithm must do, whatever it is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.conformance.case import quick
from tests.conformance.catalogue import ALGORITHMS

DEVICES = 4


class Prepared:
    """A case, its step compiled once, and what three calls of it gave."""

    def __init__(self, case):
        self.case, self.traces = case, 0
        self.algorithm, variables = case.make()
        self.start = self.algorithm.init(variables, jax.random.key(1))
        step = quick(self.counted)
        with jax.debug_key_reuse(case.keys_followed):
            self.first, self.info = step(self.start, case.batch, jax.random.key(0))
            self.second, self.later = step(self.first, case.batch, jax.random.key(2))
            self.again = step(self.start, case.batch, jax.random.key(0))

    def counted(self, *arguments):
        self.traces += 1
        return self.algorithm.step(*arguments)


@functools.cache
def _prepared(name):
    return Prepared(ALGORITHMS[name])


@pytest.fixture(params=ALGORITHMS)
def prepared(request):
    return _prepared(request.param)


@pytest.fixture(params=[name for name, case in ALGORITHMS.items() if case.vmaps])
def vmappable(request):
    return _prepared(request.param)


@pytest.fixture(params=[name for name, case in ALGORITHMS.items() if case.rows is not None])
def divisible(request):
    return _prepared(request.param)


def test_a_step_keeps_the_type_of_the_state(prepared):
    for after in (prepared.first, prepared.second):
        assert jax.tree.structure(after) == jax.tree.structure(prepared.start)
        for x, y in zip(jax.tree.leaves(after), jax.tree.leaves(prepared.start), strict=True):
            assert (x.shape, x.dtype) == (jnp.shape(y), jnp.result_type(y))
    assert prepared.first.variables._fields == ("params", "buffers")


def test_a_step_is_traced_once_and_uses_each_key_once(prepared):
    assert prepared.traces == prepared.case.traces


def test_a_step_depends_on_its_arguments_alone(prepared):
    assert jax.tree.all(jax.tree.map(_same, prepared.again, (prepared.first, prepared.info)))


def test_a_step_changes_params_and_keeps_them_finite(prepared):
    params = [state.variables.params for state in (prepared.start, prepared.second)]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params[1]))
    assert not jax.tree.all(jax.tree.map(_same, *params))


def test_info_has_the_same_scalar_entries_at_each_step(prepared):
    assert jax.tree.structure(prepared.info) == jax.tree.structure(prepared.later)
    for x, y in zip(jax.tree.leaves(prepared.info), jax.tree.leaves(prepared.later), strict=True):
        assert x.shape == y.shape == prepared.case.info_shape and x.dtype == y.dtype


def test_members_by_vmap_equal_a_loop(vmappable):
    states = jax.tree.map(_stacked, vmappable.start, vmappable.first)
    keys = jnp.stack([jax.random.key(0), jax.random.key(2)])
    step = quick(jax.vmap(vmappable.algorithm.step, (0, None, 0)))
    together = step(states, vmappable.case.batch, keys)
    alone = [(vmappable.first, vmappable.info), (vmappable.second, vmappable.later)]
    jax.tree.map(_close, together, jax.tree.map(_stacked, *alone))


def test_a_step_on_four_devices_equals_the_step_on_one(divisible):
    axis = divisible.case.rows
    mesh = jax.make_mesh(
        (DEVICES,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:DEVICES]
    )
    rows = NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))
    batch = jax.device_put(divisible.case.batch, rows)
    state = jax.device_put(divisible.start, NamedSharding(mesh, PartitionSpec()))
    assert all(len(x.sharding.device_set) == DEVICES for x in jax.tree.leaves(batch))
    after = quick(divisible.algorithm.step)(state, batch, jax.random.key(0))
    jax.tree.map(_close, after, (divisible.first, divisible.info))


def _stacked(x, y):
    """Of two steps; NumPy's, for eager JAX compiles for each shape."""
    return jnp.stack([x, y]) if _is_key(x) else np.stack([x, y])


def _is_key(x):
    return jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key)


def _plain(x):
    return jax.random.key_data(x) if _is_key(x) else x


def _same(x, y):
    return np.array_equal(_plain(x), _plain(y))


def _close(x, y):
    np.testing.assert_allclose(_plain(x), _plain(y), rtol=1e-5, atol=1e-6)
