"""Newton, pseudo-Newton, L-BFGS and conjugate gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.nn.landscapes import beale, rosenbrock
from jdl.train import descent, regression, run
from jdl.train.line_search import (
    fletcher_reeves,
    line_searched,
    polak_ribiere,
    scale_by_fletcher_reeves,
    scale_by_polak_ribiere,
)
from jdl.train.second_order import hessian_diagonal, hutchinson, newton, pseudo_newton
from tests.conformance.case import quick

_root = np.random.default_rng(0).normal(size=(4, 4))
HESSIAN = jnp.array(_root @ _root.T + np.eye(4), jnp.float32)
OFFSET = jnp.array([1.0, -2.0, 3.0, 0.5])
SOLUTION = np.linalg.solve(np.asarray(HESSIAN, np.float64), OFFSET)


def quadratic(params, buffers, batch, key):
    return 0.5 * params @ HESSIAN @ params - OFFSET @ params, (buffers, {})


def over(function):
    return lambda params, buffers, batch, key: (function(params), (buffers, {}))


def last(algorithm, start, steps):
    state = algorithm.init(Variables(jnp.array(start)))
    state, _ = quick(lambda s: run(algorithm, s, None, jax.random.key(0), length=steps))(state)
    return state.variables.params


def test_newton_solves_a_quadratic_in_one_step():
    found = last(descent(newton(quadratic), optax.sgd(1.0)), jnp.zeros(4), 1)
    np.testing.assert_allclose(found, SOLUTION, rtol=1e-4)


def test_damped_newton_shifts_the_hessian():
    found, _, _ = quick(newton(quadratic, 2.0))(jnp.zeros(4), (), None, jax.random.key(0))
    expected = np.linalg.solve(np.asarray(HESSIAN) + 2 * np.eye(4), -np.asarray(OFFSET))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def network():
    """The loss of a small network, its params, and its Hessian."""
    model = mlp([2, 3, 1], jnp.tanh)
    inputs = jax.random.normal(jax.random.key(1), [6, 2])
    objective = regression(model)
    params = model.init(jax.random.key(0)).params

    def loss(params):
        return objective(params, (), (inputs, inputs[:, :1] ** 2), jax.random.key(0))[0]

    flat, unflat = ravel_pytree(params)
    return loss, params, np.asarray(quick(jax.hessian(lambda flat: loss(unflat(flat))))(flat))


def test_the_diagonal_is_that_of_the_whole_hessian(network):
    loss, params, hessian = network
    found, _ = ravel_pytree(quick(partial(hessian_diagonal, loss))(params, jax.random.key(0)))
    np.testing.assert_allclose(found, np.diag(hessian), rtol=1e-4, atol=1e-6)


def test_hutchinsons_estimate_has_that_mean_and_the_variance_of_its_formula(network):
    loss, params, hessian = network
    probes = 4000
    found, _ = ravel_pytree(quick(partial(hutchinson(probes), loss))(params, jax.random.key(0)))
    off = (hessian**2).sum(1) - np.diag(hessian) ** 2
    scores = (found - np.diag(hessian)) / np.sqrt(off / probes)
    assert np.abs(scores).max() < 4
    assert 0.4 < np.sqrt((scores**2).mean()) < 1.8


def test_one_probe_is_exact_where_the_hessian_is_diagonal():
    found = hutchinson(1)(lambda w: w @ (w * OFFSET), jnp.ones(4), jax.random.key(0))
    np.testing.assert_allclose(found, 2 * OFFSET, rtol=1e-6)


def test_pseudo_newton_divides_by_the_absolute_curvature_and_leaves_a_saddle():
    saddle = over(lambda w: 2 * w[0] ** 2 - 3 * w[1] ** 2)
    direction, _, info = pseudo_newton(saddle, 0.5)(
        jnp.array([1.0, 0.1]), (), None, jax.random.key(0)
    )
    np.testing.assert_allclose(direction, [4 / 4.5, -0.6 / 6.5], rtol=1e-6)
    assert float(info["loss"]) == pytest.approx(1.97)


@pytest.mark.parametrize("optimizer", [optax.lbfgs(), polak_ribiere(), fletcher_reeves()])
def test_a_line_search_finds_beales_minimum_within_60_steps(optimizer):
    found = last(line_searched(over(beale), optimizer), [1.0, 1.0], 60)
    np.testing.assert_allclose(found, [3.0, 0.5], atol=1e-2)


def test_lbfgs_crosses_rosenbrocks_valley_where_gradients_do_not():
    found = last(line_searched(over(rosenbrock), optax.lbfgs()), [-1.2, 1.0], 60)
    np.testing.assert_allclose(found, [1, 1], atol=1e-3)


@pytest.mark.parametrize("conjugate", [scale_by_polak_ribiere, scale_by_fletcher_reeves])
def test_conjugate_directions_with_exact_steps_solve_a_quadratic_in_its_dimension(conjugate):
    optimizer, w = conjugate(), jnp.zeros(4)
    memory, directions = optimizer.init(w), []
    for _ in range(4):
        slope = HESSIAN @ w - OFFSET
        d, memory = optimizer.update(slope, memory)
        w = w - (slope @ d) / (d @ HESSIAN @ d) * d
        directions.append(d / jnp.sqrt(d @ HESSIAN @ d))
    np.testing.assert_allclose(w, SOLUTION, rtol=2e-3, atol=1e-4)
    gram = np.array(directions) @ HESSIAN @ np.array(directions).T
    np.testing.assert_allclose(gram, np.eye(4), atol=2e-3)
    by_scipy, _ = jax.scipy.sparse.linalg.cg(HESSIAN, OFFSET, tol=1e-6)
    np.testing.assert_allclose(w, by_scipy, rtol=2e-3, atol=1e-4)


def test_the_two_betas_by_hand():
    old, new = jnp.array([1.0, 2.0]), jnp.array([3.0, 1.0])  # |old|^2 = 5, new.(new - old) = 5
    for conjugate, beta in [(scale_by_polak_ribiere, 1.0), (scale_by_fletcher_reeves, 2.0)]:
        optimizer = conjugate()
        _, memory = optimizer.update(old, optimizer.init(old))
        direction, _ = optimizer.update(new, memory)
        np.testing.assert_allclose(direction, new + beta * old, rtol=1e-6)


def test_a_direction_that_climbs_is_replaced_by_the_gradient():
    optimizer = scale_by_fletcher_reeves()
    old, new = jnp.array([1.0, 0.0]), jnp.array([-2.0, 0.0])  # new + 4 old = (2, 0) climbs
    _, memory = optimizer.update(old, optimizer.init(old))
    direction, _ = optimizer.update(new, memory)
    np.testing.assert_allclose(direction, new)


def test_wrong_settings_are_refused():
    for wrong in (lambda: hutchinson(0), lambda: newton(quadratic, -1.0)):
        with pytest.raises(ValueError, match="got"):
            wrong()
