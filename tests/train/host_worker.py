"""One of several processes that train together, started by test_hosts.

    python -m tests.train.host_worker PROCESS PROCESSES PORT FOLDER HOLD_AT

Process 0 leaves what `train` returns in FOLDER/results.npz. At step HOLD_AT (-1: never) a process
leaves FOLDER/held-PROCESS and waits to be killed.
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jdl.functional import functional
from jdl.train import Checkpoints, descent, fit, gradient, regression
from jdl.train.parallel import data_mesh, global_batch, sharded

STEPS, BATCH, SAVED_EVERY, HELD_AT = 20, 16, 5, 10


class Net(nnx.Module):
    """A dense layer, batch norm, a linear head."""

    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 8, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.head = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.head(jnp.tanh(self.norm(self.dense(x))))


def learner():
    """The initial variables, and an Algorithm that knows nothing of devices."""
    model = functional(lambda rngs: Net(rngs=rngs))
    optimizer = optax.sgd(0.1, momentum=0.9)
    return model.init(jax.random.key(0)), descent(gradient(regression(model)), optimizer)


def examples(seed, count):
    """The same in every process: inputs [count, 3] and targets [count, 1]."""
    inputs = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return inputs, np.sin(inputs.sum(1, keepdims=True))


def part_of(batch, process, processes):
    """The rows that one process reads."""
    rows = len(batch[0]) // processes
    return jax.tree.map(lambda x: x[process * rows : (process + 1) * rows], batch)


def train(process, processes, folder, hold_at=-1):
    """Trains in three ways; returns the variables by name, and the first step after a resume."""
    variables, algorithm = learner()
    mesh, key, asked = data_mesh(), jax.random.key(1), []
    algorithm = sharded(algorithm, mesh)
    state = algorithm.init(variables)

    def batch_at(step):
        asked.append(step)
        if step == hold_at:
            (folder / f"held-{process}").touch()
            time.sleep(600)
        return global_batch(part_of(examples(step, BATCH), process, processes), mesh)

    def streamed(checkpoints=None):
        options = {"steps": STEPS, "steps_per_dispatch": SAVED_EVERY, "checkpoints": checkpoints}
        return fit(algorithm, state, batch_at, key, **options).state.variables

    whole = global_batch(part_of(examples(100, 3 * BATCH), process, processes), mesh)
    return {
        "resumed": streamed(Checkpoints(folder / "run", every=SAVED_EVERY)),
        "first step": asked[0],
        "unbroken": streamed(),
        "shuffled": fit(
            algorithm, state, whole, key, steps=STEPS, batch_size=BATCH
        ).state.variables,
    }


def by_path(tree):
    """Arrays of NumPy under the path of each leaf."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(x)
        for path, x in jax.tree.leaves_with_path(tree)
    }


if __name__ == "__main__":
    process, processes, port, hold_at = (int(sys.argv[i]) for i in (1, 2, 3, 5))
    folder = Path(sys.argv[4])
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)
    results = train(process, processes, folder, hold_at)
    if process == 0:
        np.savez(folder / "results.npz", **by_path(results))
    jax.distributed.shutdown()
