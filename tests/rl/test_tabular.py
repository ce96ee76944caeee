"""Exact values against closed forms, iteration and simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.rl.environment import rollout
from jdl.rl.gridworld import FOUR_BY_THREE, gridworld
from jdl.rl.tabular import (
    DecisionProcess,
    action_values,
    environment,
    expected_visits,
    policy_values,
    value_iteration,
)

PROCESS = gridworld(FOUR_BY_THREE)
UNIFORM = jnp.full([12, 4], 0.25)


def test_values_of_a_fair_random_walk():
    # Sutton and Barto 2018, example 6.2: five states, 1 for leaving to the right: k/6.
    transitions = np.zeros([7, 1, 7])
    for state in range(7):
        transitions[state, 0, max(state - 1, 0)] += 0.5
        transitions[state, 0, min(state + 1, 6)] += 0.5
    rewards = np.zeros([7, 1, 7])
    rewards[5, 0, 6] = 1.0
    process = DecisionProcess(
        *map(jnp.asarray, (transitions, rewards, [1.0, 0, 0, 0, 0, 0, 1], np.eye(7)[3]))
    )
    values = policy_values(process, jnp.ones([7, 1]))
    np.testing.assert_allclose(values, [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0], atol=1e-6)
    # The walk from the middle of n = 6 steps lasts 3 * 3 steps.
    np.testing.assert_allclose(expected_visits(process, jnp.ones([7, 1]))[1:6].sum(), 9, rtol=1e-5)


def test_policy_values_are_the_fixed_point_of_their_sweep():
    values = jnp.zeros(12)
    for _ in range(500):
        values = jnp.sum(UNIFORM * action_values(PROCESS, values, 0.9), -1)
    np.testing.assert_allclose(policy_values(PROCESS, UNIFORM, 0.9), values, atol=1e-5)


def test_the_best_policy_is_worth_the_best_values():
    best = value_iteration(PROCESS, 0.95)
    greedy = jax.nn.one_hot(action_values(PROCESS, best, 0.95).argmax(-1), 4)
    np.testing.assert_allclose(policy_values(PROCESS, greedy, 0.95), best, atol=1e-5)
    assert np.all(policy_values(PROCESS, UNIFORM, 0.95) <= best + 1e-5)


def test_simulation_agrees_with_values_and_visits(key):
    world = environment(PROCESS)

    def act(observation, key):
        return jax.random.randint(key, [], 0, 4)

    play = jax.jit(jax.vmap(lambda key: rollout(world, act, key, 300)))
    episodes = play(jax.random.split(key, 4000))
    returns = np.asarray(episodes.rewards.sum(-1))
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - PROCESS.start @ policy_values(PROCESS, UNIFORM)) < 4.5 * error
    visits = (episodes.observations * episodes.alive[..., None]).sum(1)
    expected = np.asarray(expected_visits(PROCESS, UNIFORM) * (1 - PROCESS.terminal))
    errors = np.asarray(visits).std(0) / np.sqrt(len(visits)) + 1e-6
    assert np.abs((np.asarray(visits).mean(0) - expected) / errors).max() < 4.5


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"transitions \[S, A, S\]"):
        environment(PROCESS._replace(start=jnp.ones(3)))
    with pytest.raises(ValueError, match=r"\[S, A\] = \(12, 4\)"):
        policy_values(PROCESS, jnp.ones([4, 12]))
