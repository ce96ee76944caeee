"""The recipe in small against the best policy, and in full the numbers it promises."""

import jax
import numpy as np
import pytest

from jdl.recipes import gridworld as recipe

SMALL = recipe.Settings(
    layout=("S..", ".#.", "P.G"), slip=0.1, steps=120, episodes=32, length=25, learning_rate=0.1
)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SMALL, jax.random.key(0))


def test_a_small_maze_is_learned_to_within_a_tenth_of_the_best(report):
    metrics = report.metrics
    assert metrics["return_uniform"] < 0 < metrics["return_best"] < 0.84
    assert metrics["return_best"] - 0.1 < metrics["return_learned"] <= metrics["return_best"] + 1e-5
    assert metrics["goal_learned"] > 0.9 and metrics["length_learned"] < 6


def test_return_is_steps_goal_and_pit_added_up(report):
    # return = -0.04 * steps + P(goal) - P(pit), and every episode ends at one of them.
    for name in ["learned", "best"]:
        length, goal = (report.metrics[f"{what}_{name}"] for what in ["length", "goal"])
        expected = -0.04 * length + goal - (1 - goal)
        np.testing.assert_allclose(report.metrics[f"return_{name}"], expected, atol=1e-4)


def test_report_has_both_pictures_and_a_table(report):
    assert set(report.figures) == {"policies", "learning"}
    assert "ends at the goal" in report.text and len(report.text.splitlines()) == 4


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    np.testing.assert_allclose(metrics["return_best"], 0.1376, atol=1e-3)
    assert 0.05 < metrics["return_learned"] < metrics["return_best"]
    assert metrics["goal_learned"] > 0.94
