"""What does a training step of jdl cost beside the same step written in JAX by hand?

`python -m benchmarks.steps [mlp lenet5 gpt2] [--rounds 30]`: the steps of `jdl bench` and their
twins below, on the same parameters and batch, in alternating blocks of one process. The losses of
the first steps must agree. Prints a JSON line for each: the median ratio of jdl's time over the
hand-written one's, and its quartiles. At most 1.03 is wanted.
"""

import argparse
import json

import jax
import jax.numpy as jnp
import numpy as np

from jdl.recipes.steps import STEPS
from jdl.train import compare, threaded

CHECKED = 5  # steps whose losses must agree


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def cross_entropy(logits, labels):
    log_chances = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_chances, labels[..., None], axis=-1).mean()


def mlp_loss(params, batch):
    x, labels = batch
    x = jax.nn.relu(dense(x, params["layers"]["0"]))
    x = jax.nn.relu(dense(x, params["layers"]["1"]))
    return cross_entropy(dense(x, params["layers"]["2"]), labels)


def convolution(x, p):
    axes = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, p["kernel"], (1, 1), "VALID", dimension_numbers=axes)
    return y + p["bias"]


def average_pool(x):
    sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return sums / 4


def lenet5_loss(params, batch):
    x, labels = batch
    x = average_pool(jnp.tanh(convolution(x, params["conv1"])))
    x = average_pool(jnp.tanh(convolution(x, params["conv2"])))
    x = jnp.tanh(dense(x.reshape(len(x), -1), params["dense1"]))
    x = jnp.tanh(dense(x, params["dense2"]))
    return cross_entropy(dense(x, params["head"]), labels)


def norm(x, p):
    mean = x.mean(-1, keepdims=True)
    variance = (x * x).mean(-1, keepdims=True) - mean * mean
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p["scale"] + p["bias"]


def attention(x, p, num_heads):
    sequences, length, width = x.shape
    parts = jnp.split(dense(x, p["query_key_value"]), 3, axis=-1)
    query, key, value = (part.reshape(sequences, length, num_heads, -1) for part in parts)
    scores = jnp.einsum("bihf,bjhf->bhij", query, key) * (width // num_heads) ** -0.5
    scores = jnp.where(jnp.tril(jnp.ones([length, length], bool)), scores, -1e30)
    heads = jnp.einsum("bhij,bjhf->bihf", jax.nn.softmax(scores), value)
    return dense(heads.reshape(x.shape), p["project"])


def gpt2_loss(params, batch):
    tokens = batch[:, :-1]
    embedding = params["tokens"]["embedding"]
    x = embedding[tokens] + params["positions"]["embedding"][: tokens.shape[1]]
    for i in range(len(params["blocks"])):
        p = params["blocks"][str(i)]
        x = x + attention(norm(x, p["attention_norm"]), p["attention"], num_heads=4)
        x = x + dense(jax.nn.gelu(dense(norm(x, p["mlp_norm"]), p["expand"])), p["project"])
    return cross_entropy(norm(x, params["norm"]) @ embedding.T, batch[:, 1:])


def adam_step(loss):
    """Kingma and Ba 2015, algorithm 1, with the step size 1e-3 of the steps in jdl."""

    def step(state, batch, key):
        params, first, second, count = state
        value, gradient = jax.value_and_grad(loss)(params, batch)
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradient)
        scale1, scale2 = 1 / (1 - 0.9**count), 1 / (1 - 0.999**count)
        params = jax.tree.map(
            lambda p, m, v: p - 1e-3 * (m * scale1) / (jnp.sqrt(v * scale2) + 1e-8),
            params,
            first,
            second,
        )
        return (params, first, second, count), {"loss": value}

    return step


LOSSES = {"mlp": mlp_loss, "lenet5": lenet5_loss, "gpt2": gpt2_loss}


def by_hand(loss, timed):
    """The step by hand of a TimedStep, as a thunk."""
    params = timed.state.variables.params
    zeros = jax.tree.map(jnp.zeros_like, params)
    start = params, zeros, zeros, jnp.zeros((), jnp.int32)
    return threaded(jax.jit(adam_step(loss), donate_argnums=0), start, timed.batch, timed.key)


def twins(name):
    """The step of jdl and the one by hand, jitted, as thunks."""
    timed = STEPS[name]()
    step, *rest = timed
    return {
        "hand": by_hand(LOSSES[name], timed),
        "jdl": threaded(jax.jit(step, donate_argnums=0), *rest),
    }


def losses(thunk):
    return [float(thunk()[1]["loss"]) for _ in range(CHECKED)]


def main(names, rounds):
    for name in names:
        thunks = twins(name)
        np.testing.assert_allclose(losses(thunks["jdl"]), losses(thunks["hand"]), rtol=1e-4)
        found = compare(thunks, rounds=rounds, block_seconds=0.3)
        low, ratio, high = (round(x, 3) for x in found.ratios["jdl"])
        record = {
            "name": f"steps.{name}",
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "jdl_ms": round(1e3 * found.seconds["jdl"], 3),
            "hand_ms": round(1e3 * found.seconds["hand"], 3),
            "ratio": ratio,
            "quartiles": [low, high],
            "rounds": found.rounds,
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(LOSSES)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    main(arguments.names or list(LOSSES), arguments.rounds)
