"""Graph attention: Cora's count, one node after the other by hand, neighbours alone, order free."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.graph_attention import GraphAttentionLayer, graph_attention
from tests.models.transformers.test_encoder_decoder import count, drawn
from tests.nn.test_attention_scores import made, shapes
from tests.nn.test_convolution import EXACT, normal, quick

NODES = normal(1, 4, 3)
ADJACENCY = np.array([[[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]], bool)


@pytest.fixture(scope="module")
def small():
    model = graph_attention(3, 2, 2, 2)
    params = drawn(model)
    return functools.partial(quick, lambda x, a: model.apply(Variables(params), x, a)[0])


def test_coras_network_has_92373_parameters(key):
    params = jax.eval_shape(graph_attention().init, key).params
    first, last = params["layers"]["0"], params["layers"]["1"]
    assert (count(first), count(last)) == (8 * (1433 * 8 + 3 * 8), 64 * 7 + 3 * 7)
    assert count(params) == 92_373


def test_pubmeds_network_averages_eight_heads(key):
    params = jax.eval_shape(graph_attention(500, 3, num_last_heads=8).init, key).params
    assert count(params) == 8 * (500 * 8 + 3 * 8) + 8 * (64 * 3 + 2 * 3) + 3


@pytest.mark.parametrize("averaged", [False, True])
def test_a_layer_is_its_formula(averaged):
    p, apply = made(functools.partial(GraphAttentionLayer, 3, 2, 2, averaged=averaged))
    found, weights = apply(NODES, ADJACENCY, return_weights=True)
    heads = np.zeros([4, 2, 2])
    for i, h in np.ndindex(4, 2):
        w, a = p["linear"]["kernel"][:, 2 * h : 2 * h + 2], np.append(p["query"][h], p["key"][h])
        seen = np.flatnonzero(ADJACENCY[0, i])
        pairs = [a @ np.append(NODES[0, i] @ w, NODES[0, j] @ w) for j in seen]
        raised = np.exp([s if s > 0 else 0.2 * s for s in pairs])
        shares = raised / raised.sum()
        np.testing.assert_allclose(weights[0, h, i, seen], shares, rtol=1e-4)
        heads[i, h] = shares @ (NODES[0, seen] @ w)
    expected = heads.mean(1) if averaged else heads.reshape(4, 4)
    np.testing.assert_allclose(found[0], expected + p["bias"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[0, 3], p["bias"], **EXACT)  # the node that sees none


def test_a_node_depends_on_its_neighbours_within_two_steps_alone(small):
    chain = np.eye(4, k=1, dtype=bool)[None] | np.eye(4, k=-1, dtype=bool)[None]
    before = small(NODES, chain)
    after = small(NODES + np.eye(4)[None, :, 3:] * np.float32(2), chain)
    np.testing.assert_allclose(after[0, 0], before[0, 0], **EXACT)
    assert np.abs(after - before)[0, 1:].max(-1).min() > 1e-4


def test_permuted_nodes_have_permuted_outputs(small):
    order = np.array([2, 0, 3, 1])
    permuted = small(NODES[:, order], ADJACENCY[:, order][:, :, order])
    np.testing.assert_allclose(permuted, small(NODES, ADJACENCY)[:, order], rtol=1e-4, atol=1e-5)


def test_dropout_wants_a_key_bfloat16_goes_through_and_shapes_are_checked(key):
    model = functional(lambda rngs: GraphAttentionLayer(3, 2, 2, rngs=rngs))
    variables = jax.eval_shape(model.init, key)
    with pytest.raises(ValueError, match="'dropout' noise"):
        jax.eval_shape(functools.partial(model.apply, train=True), variables, NODES, ADJACENCY)
    build = functools.partial(GraphAttentionLayer, 3, 2, 2, dtype=jnp.bfloat16)
    assert shapes(build, NODES, ADJACENCY)[1].dtype == jnp.bfloat16
    model = graph_attention(3, 2)
    with pytest.raises(ValueError, match="shape"):
        jax.eval_shape(model.apply, jax.eval_shape(model.init, key), NODES, ADJACENCY[:, :3])
