"""What does a sweep of learning rates by vmap cost beside the same runs one after another?

`python -m benchmarks.sweep [--settings 64] [--steps 200] [--rounds 3]`: a small network, all
settings trained at once by `jdl.train.sweep`, and each alone by the program of one setting,
compiled once. Prints a JSON line: the seconds of both, the least of the rounds, and their ratio.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.models.mlp import mlp
from jdl.train import descent, gradient, regression, run
from jdl.train.sweep import grid, member, sweep

MODEL = mlp([8, 32, 1], jnp.tanh)


def build(setting):
    return descent(gradient(regression(MODEL)), optax.adam(setting["learning_rate"]))


def programs(settings, batches):
    """The sweep, and the run of one setting; both give the last losses."""
    variables, key = MODEL.init(jax.random.key(0)), jax.random.key(1)

    @jax.jit
    def together(settings):
        algorithm = sweep(build, settings)
        return run(algorithm, algorithm.init(variables), batches, key)[1]["loss"][-1]

    @jax.jit
    def alone(setting):
        algorithm = build(setting)
        return run(algorithm, algorithm.init(variables), batches, key)[1]["loss"][-1]

    size = len(settings["learning_rate"])
    return (
        lambda: np.asarray(together(settings)),
        lambda: np.array([alone(member(settings, index)) for index in range(size)]),
    )


def seconds(program, rounds):
    spent = []
    for _ in range(rounds):
        before = time.perf_counter()
        program()
        spent.append(time.perf_counter() - before)
    return min(spent)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    inputs = jax.random.normal(jax.random.key(2), [asked.steps, 32, 8])
    batches = inputs, jnp.sin(inputs[..., :1])
    settings = grid({"learning_rate": np.logspace(-4, -1, asked.settings)})
    together, alone = programs(settings, batches)
    np.testing.assert_allclose(together(), alone(), rtol=1e-2)  # compiles both
    spent = [seconds(program, asked.rounds) for program in (together, alone)]
    said = {"settings": asked.settings, "steps": asked.steps, "device": jax.devices()[0].platform}
    times = {"sweep_s": spent[0], "one_by_one_s": spent[1], "ratio": spent[1] / spent[0]}
    print(json.dumps({**said, **{name: round(x, 4) for name, x in times.items()}}))


if __name__ == "__main__":
    main()
