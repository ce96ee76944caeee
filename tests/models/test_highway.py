"""The highway network: its count, a pass by hand, and shut gates that leave a shallow network."""

import jax
import numpy as np

from jdl.models.highway import highway_network
from tests.conformance.case import QUICK

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
MODEL = highway_network(4, 3, num_layers=2, num_classes=2)


def affine(layer, x):
    return x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def test_a_pass_by_hand_and_the_count(key):
    variables = MODEL.init(key)
    p = variables.params
    assert sum(x.size for x in jax.tree.leaves(p)) == 4 * 3 + 3 + 2 * 2 * 3 * 4 + 4 * 2
    x = np.maximum(affine(p["plain"], X), 0)
    for layer in (p["layers"]["0"], p["layers"]["1"]):
        gate = 1 / (1 + np.exp(-affine(layer["gate"], x)))
        x = gate * np.maximum(affine(layer["transform"], x), 0) + (1 - gate) * x
    np.testing.assert_allclose(
        MODEL.apply(variables, X)[0], affine(p["head"], x), rtol=1e-5, atol=1e-6
    )


def test_with_shut_gates_four_layers_are_none(key):
    deep = highway_network(4, 3, num_layers=4, num_classes=2, gate_bias=-60.0)
    variables = deep.init(key)
    p = variables.params
    shallow = affine(p["head"], np.maximum(affine(p["plain"], X), 0))
    found, _ = jax.jit(deep.apply, compiler_options=QUICK)(variables, X)
    np.testing.assert_allclose(found, shallow, rtol=1e-5, atol=1e-6)
