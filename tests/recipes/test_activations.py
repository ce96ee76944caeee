"""The recipe's gradient norms against finite differences, and the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.mlp import mlp
from jdl.recipes import activations as recipe
from jdl.train import classification
from jdl.train.ensemble import members

SMALL = recipe.Settings(
    activations=("sigmoid", "tanh", "ReLU"),
    hidden_layers=4,
    hidden_dim=16,
    seeds=2,
    steps=160,
    evaluations=4,
    learning_rate=0.05,
    goal=0.5,
)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SMALL, jax.random.key(0))


def test_sigmoids_let_the_gradient_vanish_and_no_other_does(report):
    shares = {
        name: report.metrics[f"first_over_last_{name.replace(' ', '_')}"]
        for name in SMALL.activations
    }
    assert shares.pop("sigmoid") < 0.05
    assert min(shares.values()) > 0.5


def test_all_but_the_sigmoid_reach_the_goal_in_a_few_epochs(report):
    sigmoid, *others = (report.metrics[f"steps_to_goal_{name}"] for name in SMALL.activations)
    assert sigmoid == np.inf and max(others) <= SMALL.steps


def test_norms_are_those_of_finite_differences(key):
    model = mlp([3, 4, 2], jnp.tanh)
    objective = classification(model)
    batch = jax.random.normal(key, [6, 3]), jnp.arange(6) % 2
    variables = members(model, 2).init(key)
    norms = recipe.gradient_norms(objective, variables, batch)
    assert norms.shape == (2, 2)

    def loss(kernel):
        params = jax.tree.map(lambda x: x[1], variables.params)
        params["layers"]["0"]["kernel"] = kernel
        return objective(params, (), batch, key)[0]

    kernel = variables.params["layers"]["0"]["kernel"][1]
    steps = 1e-2 * jnp.eye(12).reshape(12, 3, 4)
    slopes = jax.vmap(lambda step: (loss(kernel + step) - loss(kernel - step)) / 2e-2)(steps)
    np.testing.assert_allclose(norms[1, 0], jnp.linalg.norm(slopes), rtol=1e-2)


def test_share_is_a_geometric_mean():
    assert recipe.share(np.array([[1.0, 5.0, 1.0], [4.0, 5.0, 1.0]])) == pytest.approx(2.0)


def test_each_activation_is_a_curve_and_a_row(report):
    for figure in report.figures.values():
        for axes in figure.axes:
            assert [line.get_label() for line in axes.lines] == list(SMALL.activations)
    assert len(report.text.splitlines()) == 5


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    others = [metrics[f"accuracy_{n.replace(' ', '_')}"] for n in recipe.ACTIVATIONS][1:]
    assert metrics["accuracy_sigmoid"] < 0.2 and min(others) > 0.95
