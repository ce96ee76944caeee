"""Boolean functions by threshold units: logic gates, and any truth table with one hidden layer.

The variables made here belong to `mlp(sizes, binary_threshold)`; its answer is the sign of the
logit, `binary_threshold(logits)`.

    truth table -> one hidden unit for each true row r, on for that row alone
        h_r = [ sum_i (2 r_i - 1) x_i > sum_i r_i - 1/2 ],   logit = sum_r h_r - 1/2

That is the disjunctive normal form: an OR of ANDs. Sources: McCulloch and Pitts 1943; 001, which
asks for the weights of AND and NOT and for XOR by a hidden layer, and prints none; 000's AND
(weights 0.6, bias -1) is the same function.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jdl.core import Variables


class Gate(NamedTuple):
    """One threshold unit, on where w'x + b > 0.

    Attributes:
        weights: of the inputs.
        bias: between two values that w'x can take, so that no input is a tie.
    """

    weights: tuple[float, ...]
    bias: float


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "and": Gate((1.0, 1.0), -1.5),
        "or": Gate((1.0, 1.0), -0.5),
        "nand": Gate((-1.0, -1.0), 1.5),
        "nor": Gate((-1.0, -1.0), 0.5),
        "not": Gate((-1.0,), 0.5),
    }
)


def gate(name: str) -> Variables:
    """The variables of a gate that one threshold unit can compute.

    Args:
        name: one of `GATES`.

    Returns:
        Variables of `mlp([D, 1])`, D the number of inputs.

    Raises:
        ValueError: another name; XOR is not among them, for no hyperplane separates it.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> logits, _ = mlp([2, 1]).apply(gate("and"), jnp.array([[0.0, 1.0], [1.0, 1.0]]))
        >>> logits[:, 0].tolist()
        [-0.5, 0.5]
    """
    if name not in GATES:
        raise ValueError(
            f"one threshold unit computes {sorted(GATES)}; got {name!r}. For any other function "
            "see boolean_network, for XOR xor_network"
        )
    return _network([GATES[name]])


def xor_network() -> Variables:
    """XOR as the AND of OR and NAND.

    Returns:
        Variables of `mlp([2, 2, 1], binary_threshold)`.
    """
    return _network([GATES["or"], GATES["nand"]], [GATES["and"]])


def boolean_network(truth_table: np.ndarray) -> Variables:
    """A network with one hidden layer that computes a truth table.

    Args:
        truth_table: [2, ..., 2] of 0 and 1, with one axis an input: `truth_table[x1, x2, ...]`.

    Returns:
        Variables of `mlp([D, H, 1], binary_threshold)`, H the number of true rows, or 1 if there
        are none.

    Raises:
        ValueError: a table of another shape.

    Example:
        >>> layers = boolean_network(np.eye(2)).params["layers"]
        >>> layers["0"]["kernel"].tolist(), layers["0"]["bias"].tolist()
        ([[-1.0, 1.0], [-1.0, 1.0]], [0.5, -1.5])
    """
    table = np.asarray(truth_table)
    if table.ndim == 0 or set(table.shape) != {2}:
        raise ValueError(f"a truth table has an axis of 2 for each input; got {table.shape}")
    rows = np.argwhere(table)
    hidden = [Gate(tuple(2.0 * row - 1), 0.5 - row.sum()) for row in rows]
    hidden = hidden or [Gate((0.0,) * table.ndim, -0.5)]
    return _network(hidden, [Gate((1.0,) * len(hidden), -0.5)])


def _network(*layers):
    """Variables of an `mlp` whose layers are these gates."""
    named = {
        str(i): {
            "kernel": jnp.array([unit.weights for unit in layer], jnp.float32).T,
            "bias": jnp.array([unit.bias for unit in layer], jnp.float32),
        }
        for i, layer in enumerate(layers)
    }
    return Variables({"layers": named}, {})
