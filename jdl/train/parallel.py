"""One step over many devices: each holds the whole state and takes an equal part of the batch.

    objective of a batch = mean over D devices of the objective of a part of B / D examples

Two ways, both functions that make an Algorithm, which `run`, `fit` and `jax.jit` take as any other.

    mesh = data_mesh()
    algorithm = sharded(descent(gradient(objective), optax.adam(1e-3)), mesh)

The program stays that of one device; XLA divides the work and adds the sums over devices. All
statistics are those of the whole batch (BatchNorm's mean and variance too), noise is what one
device would draw, and the processes of several hosts join in through `jax.distributed`.

    def build(axis):
        return descent(gradient(objective), optax.chain(average_over(axis), optax.adam(1e-3)))

    algorithm = pmapped(build, axis="devices")

Each device runs the step on its part as if that were all. What has to be global is averaged by
name over the axis: updates by `average_over`, buffers and info by `pmapped`. BatchNorm normalizes
with the statistics of each device's part, unless it is told the axis as well:
`nnx.BatchNorm(..., axis_name=axis)` takes those of the whole batch while it trains. If it is not
told, its running mean is still that of the batch, but its running variance is the mean of the
variances within the parts.

The loss has to be a mean over the batch, as every Objective's is; a sum would depend on D.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jdl.core import Algorithm, Tree


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, `data`, over which batches are divided.

    Args:
        devices: None takes all there are, those of other processes included.
    """
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=tuple(devices)
    )


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts a copy of the whole tree on every device of the mesh.

    Args:
        tree: arrays, keys or numbers; the same in every process.
        mesh: of any shape.
    """
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def global_batch(part: Tree, mesh: Mesh, *, batch_axis: int = 0) -> Tree:
    """Makes global arrays, divided over the mesh, of the examples that this process holds.

    With one process the part is the whole batch. With P processes each passes its own B / P
    examples, all the same number, and gets the global array of B; examples follow the order of
    the mesh's devices, which is that of the processes. The part may also be all examples that
    this process will ever see: the global array is then data for `fit`.

    Args:
        part: tree of arrays [B / P, ...] on the host.
        mesh: over whose devices the examples are divided.
        batch_axis: which axis holds the examples; 1 for batches [steps, B / P, ...] of `run`.

    Returns:
        The tree with leaves [B, ...].

    Raises:
        ValueError: the part does not divide over this process's devices of the mesh.
    """
    devices = len(mesh.local_devices)
    _check_divides(part, devices, batch_axis, "this process's part of a batch")
    rows = _rows(mesh, batch_axis)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(rows, x), part)


def sharded(algorithm: Algorithm, mesh: Mesh, *, batch_axis: int = 0) -> Algorithm:
    """The same Algorithm with its batch divided over a mesh, for `jax.jit`, `run` and `fit`.

    The step is the one-device step: the result is the same but for the order of sums, for any
    Algorithm. Batch statistics, losses and noise are those of the whole batch.

    Args:
        algorithm: any; its step knows nothing of devices.
        mesh: from `data_mesh`, or any whose axes are Auto; the batch is divided over all of it.
        batch_axis: which axis of the batch holds the examples; 1 for a game of several moves.

    Returns:
        An Algorithm; `init` puts the state on every device, `step` keeps it there.

    Raises:
        ValueError: from `step`, if the batch does not divide over the devices; at once, if the
            mesh has Explicit or Manual axes.

    Example:
        >>> from jdl.core import Variables
        >>> from jdl.train import descent, gradient
        >>> def square(params, buffers, batch, key):
        ...     return jnp.mean((params - batch) ** 2), (buffers, {})
        >>> mesh = data_mesh()
        >>> algorithm = sharded(descent(gradient(square), optax.sgd(0.5)), mesh)
        >>> state = algorithm.init(Variables(jnp.zeros([])))
        >>> batch = jnp.arange(2.0 * mesh.size)
        >>> state, info = jax.jit(algorithm.step)(state, batch, jax.random.key(0))
        >>> bool(state.variables.params == batch.mean())
        True
    """
    rows, whole = _rows(mesh, batch_axis), NamedSharding(mesh, PartitionSpec())

    def init(variables, key=None):
        return replicate(algorithm.init(variables, key), mesh)

    def step(state, batch, key):
        _check_divides(batch, mesh.size, batch_axis, "a batch")
        batch = jax.lax.with_sharding_constraint(batch, rows)
        return jax.lax.with_sharding_constraint(algorithm.step(state, batch, key), whole)

    return Algorithm(init, step)


class AverageState(NamedTuple):
    """The state of `average_over`, which has none: it tells that the optimizer averages."""


def average_over(axis: str) -> optax.GradientTransformation:
    """An Optax transform that replaces updates by their mean over the devices of a pmap.

    It comes first in a chain: what follows then sees the direction of the whole batch, so that
    clipping, Adam and the like are exact and the copies of the state stay equal. Transforms that
    ask for the value of the loss are still given that of their own device.

    Args:
        axis: the name of the axis of `pmapped` or `jax.pmap`.
    """

    def update(updates, state, params=None):
        return jax.lax.pmean(updates, axis), state

    return optax.GradientTransformation(lambda params: AverageState(), update)


def pmapped(
    build: Callable[[str], Algorithm],
    axis: str = "devices",
    *,
    devices: Sequence[jax.Device] | None = None,
    batch_axis: int = 0,
) -> Algorithm:
    """An Algorithm whose step is a `jax.pmap` over the devices of this host.

    Every device takes its part of the batch, a key of its own and the whole state; out come the
    state, its floating buffers averaged, and the averaged info. State and batch have the shapes
    of one device: there is nothing to replicate before or to take apart after.

    Args:
        build: makes the Algorithm from the name of the axis; every optimizer in it begins with
            `average_over(axis)`.
        axis: the name, given here and nowhere else.
        devices: None takes all of this process. For several hosts see `sharded`.
        batch_axis: which axis of the batch holds the examples; 1 for a game of several moves.

    Returns:
        An Algorithm with the state of the one built. `step` works with and without `jax.jit`.

    Raises:
        ValueError: from `init`, if no optimizer averages over the axis; from `step`, if the batch
            does not divide over the devices.

    Example:
        >>> from jdl.core import Variables
        >>> from jdl.train import descent, gradient
        >>> def square(params, buffers, batch, key):
        ...     return jnp.mean((params - batch) ** 2), (buffers, {})
        >>> def build(axis):
        ...     return descent(gradient(square), optax.chain(average_over(axis), optax.sgd(0.5)))
        >>> algorithm = pmapped(build)
        >>> state = algorithm.init(Variables(jnp.zeros([])))
        >>> batch = jnp.arange(2.0 * jax.local_device_count())
        >>> state, info = algorithm.step(state, batch, jax.random.key(0))
        >>> bool(state.variables.params == batch.mean())
        True
    """
    devices = jax.local_devices() if devices is None else list(devices)
    algorithm = build(axis)

    def init(variables, key=None):
        return _averaging(algorithm.init(variables, key))

    def part(state, batch, key):
        return _averaged(*algorithm.step(state, batch, key), axis)

    parts = jax.pmap(
        part, axis, in_axes=(None, batch_axis, 0), out_axes=(None, None), devices=devices
    )

    def step(state, batch, key):
        _check_divides(batch, len(devices), batch_axis, "a batch")
        batch = jax.tree.map(lambda x: _split(x, len(devices), batch_axis), batch)
        return parts(state, batch, jax.random.split(key, len(devices)))

    return Algorithm(init, step)


def _averaged(state, info, axis):
    """With the floating buffers and the info of all devices; counters are the same on each."""
    variables = state.variables
    buffers = jax.tree.map(lambda x: _mean(x, axis) if _is_float(x) else x, variables.buffers)
    info = jax.tree.map(lambda x: _mean(x, axis), info)
    return state._replace(variables=variables._replace(buffers=buffers)), info


def _is_float(x):
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _mean(x, axis):
    return jax.lax.pmean(x if _is_float(x) else jnp.asarray(x, jnp.float32), axis)


def _split(x, parts, axis):
    shape = jnp.shape(x)
    return x.reshape(*shape[:axis], parts, shape[axis] // parts, *shape[axis + 1 :])


def _rows(mesh, batch_axis):
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise ValueError(
            f"expected a mesh whose axes are Auto; got {mesh.axis_types}. "
            "Make it with data_mesh(), or give jax.make_mesh axis_types=(AxisType.Auto,)"
        )
    return NamedSharding(mesh, PartitionSpec(*[None] * batch_axis, mesh.axis_names))


def _check_divides(batch, devices, batch_axis, role):
    for path, x in jax.tree.leaves_with_path(batch):
        shape = jnp.shape(x)
        if len(shape) <= batch_axis or shape[batch_axis] % devices:
            name = jax.tree_util.keystr(path, simple=True, separator=".") or "batch"
            raise ValueError(
                f"{role} is divided over {devices} devices, so axis {batch_axis} of every leaf is "
                f"a multiple of {devices}; got {name} of shape {shape}. Choose such a batch size, "
                "leave out the remainder, or use fewer devices"
            )


def _averaging(state):
    """The state, if it is of an optimizer that averages."""
    kept = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, AverageState))
    if not any(isinstance(x, AverageState) for x in kept):
        raise ValueError(
            "expected an optimizer that averages over the devices, so that their states stay "
            "equal; found none in the state of this algorithm. "
            "Begin it: optax.chain(average_over(axis), ...)"
        )
    return state
