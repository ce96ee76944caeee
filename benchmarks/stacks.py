"""How long does a deep network take to compile, and does a scan over its layers cost time later?

`python -m benchmarks.stacks [--layers 12 48] [--width 64]`: a training step of GPT-2, its loss,
gradients and AdamW, traced and compiled anew in three forms:

    loop        a program of L layers
    scan        one layer's program; params a layer, joined and parted in each step
    stacked     one layer's program; params [L, ...], as `jdl.stacks.stacked` makes them

and each with rematerialized layers if `--remat` is given. Prints a JSON line for each form:
processor seconds until the step is compiled, for each depth, and the ratio of the last to the first
(at most 1.5 is wanted, of "stacked"); the milliseconds of a step, the least of five, and bytes of
temporary memory as XLA plans it, of the last depth.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp
import optax

from jdl.core import Variables
from jdl.models.transformers.gpt2 import gpt2, next_token
from jdl.stacks import stacked
from jdl.train import descent, gradient

FORMS = ("loop", "scan", "stacked")


def prepared(form, depth, width, remat):
    """The step of an algorithm and its arguments; nothing is computed yet."""
    model = gpt2(64, 32, width, depth, 4, scan_layers=form != "loop", remat=remat)
    algorithm = descent(gradient(next_token(model)), optax.adamw(1e-3))

    def start(key):
        variables = model.init(key)
        if form == "stacked":
            variables = Variables(stacked(variables.params, "blocks"), variables.buffers)
        return algorithm.init(variables)

    return algorithm.step, start, jnp.zeros([4, 33], jnp.int32), jax.random.key(1)


def compiled(form, depth, width, remat):
    """Processor seconds, and the compiled step with its arguments."""
    step, start, batch, key = prepared(form, depth, width, remat)
    state = jax.eval_shape(start, key)
    begun = time.process_time()
    program = jax.jit(step, donate_argnums=0).lower(state, batch, key).compile()
    return time.process_time() - begun, program, (start, batch, key)


def milliseconds(program, start, batch, key):
    state, seconds = jax.jit(start)(key), []
    for _ in range(5):
        begun = time.perf_counter()
        state, info = jax.block_until_ready(program(state, batch, key))
        seconds.append(time.perf_counter() - begun)
    return 1e3 * min(seconds)


def main(depths, width, remat):
    compiled("stacked", 1, width, remat)  # what JAX does once in a process
    for form in FORMS:
        found = [compiled(form, depth, width, remat) for depth in depths]
        seconds = [one[0] for one in found]
        _, program, arguments = found[-1]
        record = {
            "name": f"stacks.{form}",
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "layers": depths,
            "compile_s": [round(x, 2) for x in seconds],
            "ratio": round(seconds[-1] / seconds[0], 2),
            "step_ms": round(milliseconds(program, *arguments), 1),
            "temporary_MB": round(program.memory_analysis().temp_size_in_bytes / 1e6, 2),
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[12, 48])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--remat", action="store_true")
    arguments = parser.parse_args()
    main(arguments.layers, arguments.width, arguments.remat)
