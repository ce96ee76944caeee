"""How long does a user wait for the parameters of ResNet-18?

Each way in a fresh process without a compilation cache, in turn, `python -m benchmarks.init 3`:
the module's own draws under jax.jit, and `model.init`, which makes the same draws in one loop.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import jax
from flax import nnx

from jdl.draws import drawn_at_once


class Block(nnx.Module):
    def __init__(self, inputs, outputs, stride, *, rngs):
        def conv(inputs, outputs, size, stride):
            window = (size, size)
            return nnx.Conv(inputs, outputs, window, stride, use_bias=False, rngs=rngs)

        self.conv1, self.norm1 = conv(inputs, outputs, 3, stride), nnx.BatchNorm(outputs, rngs=rngs)
        self.conv2, self.norm2 = conv(outputs, outputs, 3, 1), nnx.BatchNorm(outputs, rngs=rngs)
        if inputs != outputs:
            self.conv3 = conv(inputs, outputs, 1, stride)
            self.norm3 = nnx.BatchNorm(outputs, rngs=rngs)


class ResNet18(nnx.Module):
    def __init__(self, rngs):
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.stem = nnx.Conv(3, 64, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        self.blocks = nnx.List(
            Block(inputs, outputs, outputs // inputs, rngs=rngs)
            for inputs, outputs in zip(widths[:-1], widths[1:], strict=True)
        )
        self.head = nnx.Linear(512, 10, rngs=rngs)


def build(key):
    return nnx.to_pure_dict(nnx.state(ResNet18(nnx.Rngs(key))))


WAYS = {"jit": jax.jit, "drawn_at_once": drawn_at_once}


def measure(way):
    key = jax.block_until_ready(jax.random.key(0))
    wall, processor = time.perf_counter(), time.process_time()
    params = jax.block_until_ready(WAYS[way](build)(key))
    return {
        "wall_s": time.perf_counter() - wall,
        "processor_s": time.process_time() - processor,
        "parameters": sum(x.size for x in jax.tree.leaves(params)),
    }


def main(repeats):
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    runs = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.init", way]
            out = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
            runs[way].append(json.loads(out))
    result = {
        way: {name: round(statistics.median(run[name] for run in own), 2) for name in own[0]}
        for way, own in runs.items()
    }
    for name in ("wall_s", "processor_s"):
        result[f"ratio_{name}"] = round(result["jit"][name] / result["drawn_at_once"][name], 2)
    print(json.dumps({"name": "init", "jax": jax.__version__, "repeats": repeats, **result}))


if __name__ == "__main__":
    if sys.argv[1] in WAYS:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main(int(sys.argv[1]))
