"""Grids against the books' numbers."""

import jax
import numpy as np
import pytest

from jdl.rl.environment import rollout
from jdl.rl.gridworld import DYNA_MAZE, FOUR_BY_THREE, gridworld
from jdl.rl.tabular import action_values, environment, value_iteration


def test_utilities_of_russell_and_norvigs_world():
    # Artificial Intelligence, 3rd edition, figure 17.3.
    values = value_iteration(gridworld(FOUR_BY_THREE)).reshape(3, 4)
    book = [[0.812, 0.868, 0.918], [0.762, np.nan, 0.660], [0.705, 0.655, 0.611]]
    known = ~np.isnan(book)
    np.testing.assert_allclose(np.asarray(values)[:, :3][known], np.array(book)[known], atol=6e-4)
    np.testing.assert_allclose(values[2, 3], 0.388, atol=6e-4)


@pytest.mark.parametrize(
    ("step_reward", "above_the_pit"),
    [(-0.04, 3), (-2.0, 1)],
    ids=["careful: away from the pit", "painful: to the end as fast as can be"],
)
def test_the_best_policy_changes_with_the_pain_of_a_step(step_reward, above_the_pit):
    # Figure 17.2: at (3, 1), below the cell left of the pit, -0.04 goes left, -2 goes right.
    process = gridworld(FOUR_BY_THREE, step_reward=step_reward)
    best = action_values(process, value_iteration(process)).argmax(-1).reshape(3, 4)
    assert best[2, 2] == above_the_pit


def test_shortest_path_of_the_dyna_maze_has_14_steps():
    process = gridworld(DYNA_MAZE, slip=0.0, step_reward=0.0)
    values = value_iteration(process, 0.95)
    np.testing.assert_allclose(process.start @ values, 0.95**13, rtol=1e-5)


def test_probabilities_sum_to_one_and_walls_are_not_entered():
    process = gridworld(DYNA_MAZE)
    np.testing.assert_allclose(process.transitions.sum(-1), 1.0, rtol=1e-6)
    walls = np.array([letter == "#" for letter in "".join(DYNA_MAZE)])
    assert np.asarray(process.transitions)[~walls][:, :, walls].max() == 0


def test_a_slip_goes_to_each_side_equally_often():
    process = gridworld(("...", ".S.", "..."), slip=0.3)
    up, right, down, left = 1, 5, 7, 3
    for action, (ahead, *sides) in enumerate(
        [(up, left, right), (right, up, down), (down, left, right), (left, up, down)]
    ):
        row = process.transitions[4, action]
        np.testing.assert_allclose(row[ahead], 0.7, rtol=1e-6)
        np.testing.assert_allclose(row[np.array(sides)], 0.15, rtol=1e-6)


def test_frequencies_of_the_environment_are_the_tables(key):
    process = gridworld(("..P", "S.G"), slip=0.4, step_reward=-0.5)
    world = environment(process)

    def answer(key):
        state, _ = world.reset(key)
        return world.step(state, 1, key)  # the start is certain, so its key is free

    after, observation, reward, done = jax.jit(jax.vmap(answer))(jax.random.split(key, 20_000))
    frequencies = np.bincount(after, minlength=6) / 20_000
    np.testing.assert_allclose(frequencies, process.transitions[3, 1], atol=0.015)
    np.testing.assert_array_equal(observation.argmax(-1), after)
    np.testing.assert_allclose(reward, -0.5, rtol=1e-6)
    assert done.sum() == 0


def test_goal_and_pit_pay_and_end(key):
    world = environment(gridworld(("P", "S", "G"), slip=0.0))
    for action, pay in [(0, -1.04), (2, 0.96)]:
        episode = rollout(world, lambda o, k, action=action: action, key, 3)
        np.testing.assert_allclose(episode.rewards, [pay, 0, 0], rtol=1e-6)
        np.testing.assert_array_equal(episode.alive, [1, 0, 0])


@pytest.mark.parametrize("layout", [("S.", "..."), ("..", ".G"), ("S?",)])
def test_what_is_no_grid_is_refused(layout):
    with pytest.raises(ValueError, match="rows of one length"):
        gridworld(layout)
