"""Reverse-mode differentiation on a graph, small enough to read: a demonstration, in NumPy.

    forward    every operation makes a node that remembers its parents, and for each of them the
               function that takes the derivative of the end by the node to the derivative by it
    backward   nodes in reverse order of creation:  parent.grad += pull(node.grad)

Each edge is walked once, however many paths lead through it. JAX does the same with its traces
(`jax.vjp`); use that for work. Source: 001, which has the heading alone; 003 in words.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

_numbers = itertools.count()


class Node:
    """A value in a graph.

    Args:
        value: a number or an array.
        parents: pairs of a node and a function: derivative by this -> derivative by that node.

    Example:
        >>> x, y = Node(3.0), Node(4.0)
        >>> [float(slope) for slope in gradients(x * y + x, [x, y])]
        [5.0, 3.0]
    """

    __array_ufunc__ = None  # so that `array * node` comes here

    def __init__(self, value, parents: Sequence[tuple["Node", Callable]] = ()):
        self.value = np.asarray(value, np.float64)
        self.parents = tuple(parents)
        self.number = next(_numbers)

    def __add__(self, other):
        other = _node(other)
        return Node(self.value + other.value, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        other = _node(other)
        return Node(
            self.value * other.value,
            [(self, lambda g: g * other.value), (other, lambda g: g * self.value)],
        )

    def __matmul__(self, other):
        other = _node(other)
        return Node(
            self.value @ other.value,
            [(self, lambda g: g @ other.value.T), (other, lambda g: self.value.T @ g)],
        )

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-_node(other))

    def __rsub__(self, other):
        return _node(other) - self

    __radd__, __rmul__ = __add__, __mul__


def elementwise(function: Callable, derivative: Callable) -> Callable[[Node], Node]:
    """An elementwise operation on nodes.

    Args:
        function: array -> array of the same shape.
        derivative: array -> array, f'(x) at every entry.
    """

    def operation(node):
        return Node(function(node.value), [(node, lambda g: g * derivative(node.value))])

    return operation


exp = elementwise(np.exp, np.exp)
log = elementwise(np.log, np.reciprocal)
tanh = elementwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
relu = elementwise(lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0))


def total(node: Node) -> Node:
    """The sum of all entries."""
    return Node(node.value.sum(), [(node, lambda g: np.broadcast_to(g, node.value.shape))])


def gradients(output: Node, inputs: Sequence[Node]) -> list[np.ndarray]:
    """The derivatives of a scalar node by others.

    Args:
        output: a node of one number.
        inputs: nodes.

    Returns:
        Arrays of the shapes of `inputs`, 0 where the output does not depend on one.

    Raises:
        ValueError: the output is an array.
    """
    if output.value.ndim:
        raise ValueError(f"the output is one number; got shape {output.value.shape}. Take total")
    slopes = {output: np.ones([])}
    for node in sorted(_ancestors(output), key=lambda node: -node.number):
        for parent, pull in node.parents:
            slope = _summed(pull(slopes[node]), parent.value.shape)
            slopes[parent] = slopes.get(parent, 0) + slope
    return [slopes.get(node, np.zeros(node.value.shape)) for node in inputs]


def _node(value):
    return value if isinstance(value, Node) else Node(value)


def _ancestors(node):
    found, waiting = {node}, [node]
    while waiting:
        for parent, _ in waiting.pop().parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _summed(slope, shape):
    """The derivative by an operand that was broadcast: the sum over its copies."""
    extra = slope.ndim - len(shape)
    kept = tuple(i + extra for i, size in enumerate(shape) if size == 1)
    return slope.sum((*range(extra), *kept)).reshape(shape) if extra or kept else slope
