import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn import graph
from jdl.nn.graph import Node, gradients


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in [(6, 3), (3, 4), (4,), (4, 2), (2,), (6, 2)]]


def test_it_gives_the_gradient_of_jax_for_a_network_with_broadcast_biases(network):
    def loss(tanh, exp, total, x, w1, b1, w2, b2, y):
        z = tanh(x @ w1 + b1) @ w2 + b2
        return total(exp(z) - y * z)

    ours = loss(graph.tanh, graph.exp, graph.total, *(nodes := [Node(a) for a in network]))
    with jax.numpy_rank_promotion("allow"):
        value, theirs = jax.value_and_grad(
            lambda arrays: loss(jnp.tanh, jnp.exp, jnp.sum, *arrays)
        )([jnp.asarray(a, jnp.float32) for a in network])
    np.testing.assert_allclose(ours.value, value, rtol=1e-5)
    for a, b in zip(gradients(ours, nodes), theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "relu"])
def test_an_operation_has_the_slope_of_finite_differences(name):
    x, step = np.array([[0.3, 1.7]]), 1e-6
    operation = getattr(graph, name)
    (slope,) = gradients(graph.total(operation(node := Node(x))), [node])
    above, below = operation(Node(x + step)).value, operation(Node(x - step)).value
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-6)


def test_a_node_used_twice_gets_the_sum_and_one_not_used_gets_zero():
    x, unused = Node(3.0), Node(np.ones(2))
    slope, zero = gradients(1.0 - x * x + 2.0 * x, [x, unused])
    assert float(slope) == -4
    assert zero.tolist() == [0, 0]


def test_each_edge_is_walked_once_though_the_paths_are_two_to_the_fortieth():
    node = x = Node(1.0)
    for _ in range(40):
        node = node + node
    assert float(gradients(node, [x])[0]) == 2.0**40


def test_an_array_left_of_a_node_is_an_operand_and_an_array_has_no_gradient():
    x = Node(np.ones(2))
    product = np.array([2.0, 3.0]) * x
    assert gradients(graph.total(product), [x])[0].tolist() == [2, 3]
    with pytest.raises(ValueError, match="Take total"):
        gradients(product, [x])
