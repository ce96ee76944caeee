"""REINFORCE against the exact policy gradient, by summing over all episodes of a small process."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Model, Variables
from jdl.rl.agents import policy_and_value
from jdl.rl.gridworld import gridworld
from jdl.rl.reinforce import (
    discounted_returns,
    reinforce,
    reinforce_with_baseline,
    reward_to_go,
    whole_return,
)
from jdl.rl.tabular import DecisionProcess, environment, policy_values
from jdl.train import descent, run

DISCOUNT, LENGTH = 0.4, 3


def table(width):
    """A model whose params [S, width] are its outputs; the observation is one-hot."""
    return Model(
        lambda key: Variables(0.7 * jax.random.normal(key, [3, width])),
        lambda variables, x, **_: (x @ variables.params, variables.buffers),
    )


@pytest.fixture(scope="module")
def process():
    generator = np.random.default_rng(0)
    transitions = generator.dirichlet([1.0, 1.0, 0.3], size=[3, 2])
    rewards = generator.normal(size=[3, 2, 3])
    tables = transitions, rewards, np.array([0.0, 0.0, 1.0]), np.array([0.6, 0.4, 0.0])
    return DecisionProcess(*(jnp.asarray(x, jnp.float32) for x in tables))


def expected_return(process, discount=DISCOUNT):
    """logits -> J, the sum over all episodes of probability times discounted return."""
    tables = [np.asarray(x) for x in process]
    transitions, rewards, terminal, start = tables
    episodes = set()
    for first in np.flatnonzero(start):
        for steps in itertools.product(itertools.product(range(2), range(3)), repeat=LENGTH):
            state, path = int(first), []
            for action, after in steps:
                path.append((state, action, after))
                state = after
                if terminal[state]:
                    break
            episodes.add(tuple(path))
    taken = np.zeros([len(episodes), 3, 2])  # how often each action at each state
    worth = np.zeros(len(episodes))  # probability of the answers, times the return
    for i, path in enumerate(episodes):
        probability, earned = start[path[0][0]], 0.0
        for time, (state, action, after) in enumerate(path):
            taken[i, state, action] += 1
            probability *= transitions[state, action, after]
            earned += discount**time * rewards[state, action, after]
        worth[i] = probability * earned
    return lambda logits: jnp.sum(
        worth * jnp.exp(jnp.sum(taken * jax.nn.log_softmax(logits)[None], (1, 2)))
    )


@pytest.fixture(scope="module")
def exact(process):
    """Logits, and the gradient of -J there."""
    logits = table(2).init(jax.random.key(3)).params
    return logits, -jax.grad(expected_return(process))(logits)


def estimates(estimator):
    """variables -> independent directions [64, ...]."""
    keys = jax.random.split(jax.random.key(0), 64)
    return jax.jit(
        lambda variables: jax.vmap(lambda key: estimator(*variables, None, key)[0])(keys)
    )


def scores(found, exact):
    """(mean of the estimates - exact) / standard error, and the mean variance of an estimate."""
    found = np.asarray(found)
    error = found.std(0) / np.sqrt(len(found)) + 1e-6
    return np.abs((found.mean(0) - exact) / error).max(), found.var(0).mean()


def options(**others):
    return {"episodes": 1024, "length": LENGTH, "discount": DISCOUNT} | others


def test_enumeration_agrees_with_bellman_where_both_apply(process):
    # With no way on after LENGTH steps: unroll the process in time.
    logits = table(2).init(jax.random.key(3)).params
    probabilities, values = jax.nn.softmax(logits), np.zeros(3)
    for _ in range(LENGTH):
        after = np.asarray(process.rewards) + DISCOUNT * values
        values = np.einsum("sa,sat,sat->s", probabilities, process.transitions, after)
        values *= 1 - np.asarray(process.terminal)
    expected = float(process.start @ values)
    np.testing.assert_allclose(expected_return(process)(logits), expected, rtol=1e-5)


@pytest.mark.parametrize("credit", [reward_to_go, whole_return])
def test_its_mean_is_the_exact_gradient(process, exact, credit):
    logits, gradient = exact
    estimator = reinforce(environment(process), table(2), **options(credit=credit))
    assert scores(estimates(estimator)(Variables(logits)), gradient)[0] < 4.5


def test_the_factor_of_the_discount_belongs_to_the_gradient(process, exact):
    logits, gradient = exact
    estimator = reinforce(environment(process), table(2), **options(credit=discounted_returns))
    assert scores(estimates(estimator)(Variables(logits)), gradient)[0] > 8


def test_crediting_an_action_with_its_own_reward_alone_is_biased(process, exact):
    # As 000, chapter 16, has it.
    logits, gradient = exact[0], -jax.grad(expected_return(process, 1.0))(exact[0])
    estimator = reinforce(
        environment(process), table(2), **options(credit=lambda r, discount: r, discount=1.0)
    )
    assert scores(estimates(estimator)(Variables(logits)), gradient)[0] > 6


def test_any_baseline_leaves_the_mean_and_a_good_one_lowers_the_variance(process, exact):
    logits, gradient = exact
    world, agent = environment(process), policy_and_value(table(2), table(1))
    with_value = estimates(reinforce_with_baseline(world, agent, **options()))
    values = policy_values(process, jax.nn.softmax(logits), DISCOUNT)[:, None]
    variances = {}
    for name, value in [("right", values), ("none", 0 * values), ("wrong", values + 5.0)]:
        variables = Variables({"policy": logits, "value": value}, {"policy": (), "value": ()})
        score, variances[name] = scores(with_value(variables)["policy"], gradient)
        assert score < 4.5
    assert variances["right"] < variances["none"] < variances["wrong"] / 10


def test_williams_credit_has_the_larger_variance(process, exact):
    logits, gradient = exact
    to_go, whole = (
        scores(
            estimates(reinforce(environment(process), table(2), **options(credit=credit)))(
                Variables(logits)
            ),
            gradient,
        )[1]
        for credit in [reward_to_go, whole_return]
    )
    assert to_go < whole


def test_the_value_is_fitted_to_the_returns(process):
    world = environment(process)
    agent = policy_and_value(table(2), table(1))
    estimator = reinforce_with_baseline(world, agent, **options(length=12))
    # The policy stands still, so the value comes to that policy's.
    learner = descent(
        estimator,
        optax.partition(
            {
                "policy": optax.set_to_zero(),
                "value": optax.sgd(optax.linear_schedule(0.2, 0.0, 300)),
            },
            {"policy": "policy", "value": "value"},
        ),
    )
    variables = agent.init(jax.random.key(3))
    state, _ = jax.jit(lambda s, k: run(learner, s, None, k, length=300))(
        learner.init(variables), jax.random.key(1)
    )
    fitted = state.variables.params
    np.testing.assert_array_equal(fitted["policy"], variables.params["policy"])
    exact = policy_values(process, jax.nn.softmax(fitted["policy"]), DISCOUNT)
    np.testing.assert_allclose(fitted["value"][:2, 0], exact[:2], atol=0.03)


def test_returns_equal_numpys():
    rewards = np.random.default_rng(0).normal(size=7).astype(np.float32)
    powers = 0.9 ** np.arange(7)
    from_here = [np.sum(rewards[t:] * 0.9 ** np.arange(7 - t)) for t in range(7)]
    np.testing.assert_allclose(discounted_returns(rewards, 0.9), from_here, rtol=1e-5)
    np.testing.assert_allclose(reward_to_go(rewards, 0.9), powers * from_here, rtol=1e-5)
    np.testing.assert_allclose(whole_return(rewards, 0.9), np.full(7, powers @ rewards), rtol=1e-5)
    assert reward_to_go(jnp.array([0.0, 1.0]), 0.0).tolist() == [0.0, 0.0]


def test_it_learns_to_walk_to_the_goal(key):
    process = gridworld(("S..", ".#.", "P.G"), slip=0.1)
    policy = Model(
        lambda key: Variables(jnp.zeros([9, 4])),
        lambda variables, x, **_: (x @ variables.params, variables.buffers),
    )
    estimator = reinforce(environment(process), policy, episodes=64, length=30)
    learner = descent(estimator, optax.adam(0.1))
    state, info = jax.jit(lambda s, k: run(learner, s, None, k, length=150))(
        learner.init(policy.init(key)), key
    )
    # Four steps to a goal of 1, each costs 0.04: 0.84 less what slipping costs.
    assert info["return"][0] < 0.2 < 0.7 < info["return"][-10:].mean() < 0.84
    assert info["entropy"][0] > info["entropy"][-1]
