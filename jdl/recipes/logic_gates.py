"""Logic gates by threshold units: with shipped weights, learned, and any truth table by a network.

The perceptron rule from zero, rows in order, learns what a line can separate; XOR it never does,
but one hidden layer computes it, and every other truth table too. 001 asks for the weights and
prints none.

The first epoch without a mistake, the clean one counted: AND and NAND 6, OR and NOR 4, NOT 3, XOR
never. AND ends with weights 2, 1 and bias -2, its line through two false corners, for a unit is on
above 0 only. Networks compute all 256 truth tables of three inputs; one unit can compute 104 of
them, the known number of threshold functions. Cost: 8 s of two busy cores.
"""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.metrics.capacity import linearly_separable
from jdl.models.gates import GATES, boolean_network, gate, xor_network
from jdl.models.mlp import mlp
from jdl.models.neurons import binary_threshold
from jdl.plot.neurons import truth_planes
from jdl.recipes.report import Report
from jdl.train import descent, rules
from jdl.train.run import run as scan

TABLES = {  # x1 and x2 count up: 00, 01, 10, 11
    "and": (0, 0, 0, 1),
    "or": (0, 1, 1, 1),
    "nand": (1, 1, 1, 0),
    "nor": (1, 0, 0, 0),
    "not": (1, 0),
    "xor": (0, 1, 1, 0),
}


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    epochs: int = 50
    """Times that each row of a truth table is shown."""
    network_inputs: int = 3
    """Inputs of the truth tables that networks are built for: all of them, 2^(2^inputs)."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Checks the shipped gates, learns each, builds a network for every truth table."""
    metrics, lines, rows = {}, {}, [f"{'gate':5} {'shipped':>16} {'learned':>16} {'epochs':>7}"]
    for name, table in TABLES.items():
        weights, bias, epochs = learned(table, settings.epochs, key)
        metrics[f"{name}_epochs"] = epochs
        shipped = "none" if name not in GATES else written(*GATES[name])
        found = written(weights, bias) if epochs > 0 else "none"
        rows.append(f"{name:5} {shipped:>16} {found:>16} {epochs if epochs > 0 else 'never':>7}")
        if len(table) == 4:
            lines[name.upper()] = table, (weights, bias) if epochs > 0 else None
    answers = {name: outputs(gate(name), corners(len(GATES[name].weights))) for name in GATES}
    answers["xor"] = outputs(xor_network(), corners(2))
    metrics["shipped_wrong"] = sum(answers[name] != TABLES[name] for name in TABLES)

    points = corners(settings.network_inputs)
    tables = list(itertools.product([0, 1], repeat=len(points)))
    shape = [2] * settings.network_inputs
    built = [outputs(boolean_network(np.reshape(table, shape)), points) for table in tables]
    metrics |= {
        "tables": len(tables),
        "network_wrong": sum(b != t for b, t in zip(built, tables, strict=True)),
        "separable": sum(linearly_separable(points, table) for table in tables),
    }
    rows.append(
        f"all {metrics['tables']} truth tables of {settings.network_inputs} inputs: "
        f"{metrics['network_wrong']} wrong with one hidden layer; one unit can compute "
        f"{metrics['separable']} of them"
    )
    return Report(metrics, {"gates": truth_planes(lines)}, "\n".join(rows))


def corners(inputs: int) -> np.ndarray:
    """All inputs of 0 and 1, [2^inputs, inputs], counting up."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=inputs)), np.float32)


def outputs(variables, points: np.ndarray) -> tuple[int, ...]:
    """What a network of threshold units answers."""
    layers = variables.params["layers"]
    sizes = [points.shape[1], *(len(layers[str(i)]["bias"]) for i in range(len(layers)))]
    logits, _ = mlp(sizes, binary_threshold).apply(variables, jnp.asarray(points))
    return tuple(np.asarray(binary_threshold(logits))[:, 0].astype(int).tolist())


def learned(table: tuple[int, ...], epochs: int, key: jax.Array) -> tuple[np.ndarray, float, int]:
    """The rule's weights, bias, and the first epoch without a mistake, or -1 if there is none."""
    points = corners(len(table).bit_length() - 1)
    neuron = mlp([points.shape[1], 1], kernel_init=jax.nn.initializers.zeros)
    algorithm = descent(rules.perceptron(neuron), optax.sgd(1.0))
    state = algorithm.init(neuron.init(key))
    batches = (
        jnp.tile(jnp.asarray(points), (epochs, 1))[:, None],
        jnp.tile(jnp.asarray(table), epochs)[:, None],
    )
    state, info = jax.jit(lambda state: scan(algorithm, state, batches, key))(state)
    clean = np.flatnonzero(np.asarray(info["mistakes"]).reshape(epochs, -1).sum(1) == 0)
    layer = state.variables.params["layers"]["0"]
    weights, bias = np.asarray(layer["kernel"])[:, 0], float(layer["bias"][0])
    return weights, bias, int(clean[0]) + 1 if len(clean) else -1


def written(weights, bias: float) -> str:
    """Weights and bias as text."""
    return f"{', '.join(f'{w:g}' for w in weights)}; {bias:g}"
