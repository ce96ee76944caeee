"""Layers of tokens: Flax's values and gradients, and no product over two axes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.nn.token_layers import Embed, LayerNorm, Linear
from tests.conformance.case import quick

X = np.random.default_rng(0).normal(2, 3, [2, 3, 5]).astype(np.float32)
PAIRS = {
    "linear": (Linear, nnx.Linear, functools.partial(dict, in_features=5, out_features=4)),
    "norm": (LayerNorm, nnx.LayerNorm, functools.partial(dict, num_features=5)),
}


def called(layer, params, x):
    graph, state = nnx.split(layer)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graph, state)(x)


@pytest.mark.parametrize("name", PAIRS)
def test_values_tangents_and_gradients_are_those_of_flax(name):
    ours, flaxs, sizes = PAIRS[name]
    layers = [build(**sizes(), rngs=nnx.Rngs(0)) for build in (ours, flaxs)]
    params = nnx.to_pure_dict(nnx.state(layers[1]))
    moved = jax.tree.map(lambda p: p + 0.5 + jnp.arange(p.size).reshape(p.shape) / 7, params)

    def found(params, x, layer):
        call = functools.partial(called, layer)
        y, back = jax.vjp(call, params, x)
        _, dy = jax.jvp(call, (params, x), (moved, jnp.sin(x)))
        return y, dy, back(jnp.cos(y))

    results = quick(lambda params, x: [found(params, x, layer) for layer in layers])(moved, X)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-5), *results)


def test_the_gradient_of_a_matrix_sums_over_one_axis():
    embed = Embed(7, 5, rngs=nnx.Rngs(0))
    linear = Linear(5, 4, rngs=nnx.Rngs(0))

    def products(function):
        jaxpr = jax.make_jaxpr(jax.grad(function))(jnp.ones([7, 5]))
        found = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "dot_general"]
        return [len(e.params["dimension_numbers"][0][0]) for e in found]

    def of_linear(kernel):
        return called(linear, {"kernel": kernel[:5, :4], "bias": jnp.zeros(4)}, X).sum()

    def of_table(table):
        graph, state = nnx.split(embed)
        nnx.replace_by_pure_dict(state, {"embedding": table})
        return nnx.merge(graph, state).attend(jnp.asarray(X)).sum()

    for function in (of_linear, of_table):
        assert set(products(function)) == {1}
    assert 2 in products(lambda kernel: (X @ kernel.T).sum())


def test_a_table_is_that_of_flax_and_has_no_row_for_other_ids():
    tables = [kind(7, 5, rngs=nnx.Rngs(3)) for kind in (Embed, nnx.Embed)]
    ids = jnp.array([[0, 6], [3, 3]])
    for rows in ([table(ids) for table in tables], [table.attend(X) for table in tables]):
        np.testing.assert_allclose(*rows, rtol=1e-5, atol=1e-6)
    assert jnp.isnan(tables[0](jnp.array([-1, 7]))).all()
    with pytest.raises(ValueError, match="integers; got float32"):
        tables[0](jnp.ones(2))


def test_half_precision_has_statistics_of_full():
    norm = LayerNorm(64, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(1).normal(30, 1, [4, 64]), jnp.bfloat16)
    y = norm(x)
    assert y.dtype == jnp.bfloat16
    expected = nnx.LayerNorm(64, rngs=nnx.Rngs(0))(x.astype(jnp.float32))
    np.testing.assert_allclose(y.astype(np.float32), expected, atol=0.02)
