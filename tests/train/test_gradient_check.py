import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.mlp import mlp
from jdl.train import gradient, regression
from jdl.train.gradient_check import forward_mode_gradient, gradient_errors, numerical_gradient

MODEL = mlp([3, 4, 2], jnp.tanh)
OBJECTIVE = regression(MODEL)


@pytest.fixture(scope="module")
def case():
    keys = jax.random.split(jax.random.key(0), 3)
    variables = MODEL.init(keys[0])
    return variables, (jax.random.normal(keys[1], [6, 3]), jax.random.normal(keys[2], [6, 2]))


def test_autodiff_agrees_and_a_wrong_scale_does_not(case, key):
    variables, batch = case
    assert gradient_errors(OBJECTIVE, variables, batch, key).max() < 5e-3

    def tenth_too_large(*args):
        direction, buffers, info = gradient(OBJECTIVE)(*args)
        return jax.tree.map(lambda g: 1.1 * g, direction), buffers, info

    errors = gradient_errors(OBJECTIVE, variables, batch, key, estimator=tenth_too_large)
    np.testing.assert_allclose(errors, 1 - 1 / 1.1, atol=5e-3)


def test_the_objective_gets_the_same_key_each_time(key):
    def noisy(params, buffers, batch, key):
        return jnp.sum(params * jax.random.normal(key, [3])), (buffers, {})

    variables = mlp([1, 1]).init(key)._replace(params=jnp.ones(3))
    assert gradient_errors(noisy, variables, None, key).max() < 1e-3


def test_the_central_difference_of_a_cube_errs_by_the_square_of_the_step():
    cubes = numerical_gradient(lambda p: p["a"].sum() ** 3 + 2 * p["b"], {
        "a": jnp.array([0.5]), "b": jnp.array(1.0)}, step=0.25)  # fmt: skip
    assert float(cubes["a"][0]) == pytest.approx(3 * 0.5**2 + 0.25**2)
    assert float(cubes["b"]) == pytest.approx(2)


def test_three_ways_give_one_gradient(case, key):
    variables, batch = case

    def loss(params):
        return OBJECTIVE(params, {}, batch, key)[0]

    reverse = jax.grad(loss)(variables.params)
    for way, tolerance in ((forward_mode_gradient, 1e-6), (numerical_gradient, 1e-3)):
        other = jax.jit(way, static_argnums=0)(loss, variables.params)
        jax.tree.map(
            lambda a, b, atol=tolerance: np.testing.assert_allclose(a, b, atol=atol), other, reverse
        )


def products(jaxpr):
    """Multiplications in the matrix products of a program, those of loops counted each time."""
    count = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            count += equation.outvars[0].aval.size * np.prod([shape[i] for i in contracted])
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                count += equation.params.get("length", 1) * products(inner)
    return int(count)


def test_reverse_mode_costs_under_three_evaluations_and_forward_mode_one_a_parameter(case, key):
    variables, batch = case

    def loss(params):
        return OBJECTIVE(params, {}, batch, key)[0]

    once, reverse, forward, numeric = (
        products(jax.make_jaxpr(function)(variables.params).jaxpr)
        for function in (
            loss,
            jax.grad(loss),
            lambda p: forward_mode_gradient(loss, p),
            lambda p: numerical_gradient(loss, p),
        )
    )
    size = sum(leaf.size for leaf in jax.tree.leaves(variables.params))
    assert once == 6 * (3 * 4 + 4 * 2)
    assert once < reverse < 3 * once
    assert forward >= size * once
    assert numeric == 2 * size * once
