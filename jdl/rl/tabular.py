"""Markov decision processes given as tables, and what is known of them exactly.

    v(s)  = sum_a pi(a|s) sum_s' P(s'|s, a) (R(s, a, s') + discount v(s'))      policy_values
    v*(s) = max_a         sum_s' P(s'|s, a) (R(s, a, s') + discount v*(s'))     value_iteration

with v = 0 at states that end the episode. Source: Sutton and Barto 2018, eq. 3.14, 3.19 and 4.10.
All is differentiable, so `jax.grad` of `policy_values` is the exact policy gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.rl.environment import Environment


class DecisionProcess(NamedTuple):
    """A process of S states and A actions.

    Attributes:
        transitions: [S, A, S], probability of the next state.
        rewards: [S, A, S], for going there.
        terminal: [S], 1 where the episode is over; nothing is earned from there.
        start: [S], probability of the first state.
    """

    transitions: jax.Array
    rewards: jax.Array
    terminal: jax.Array
    start: jax.Array


def environment(process: DecisionProcess) -> Environment:
    """The process as something to act in; the observation is the state, one-hot [S].

    Raises:
        ValueError: tables of shapes that do not fit.
    """
    states, actions = _sizes(process)
    cumulative = jnp.cumsum(process.transitions, axis=-1)

    def observe(state):
        return jax.nn.one_hot(state, states)

    def reset(key):
        state = jax.random.categorical(key, jnp.log(process.start))
        return state, observe(state)

    def step(state, action, key):
        # Times the last entry, since a cumulative sum rounds to 1 +- 1e-7.
        above = jax.random.uniform(key) * cumulative[state, action, -1] < cumulative[state, action]
        after = jnp.argmax(above).astype(state.dtype)
        done = process.terminal[after] > 0
        return after, observe(after), process.rewards[state, action, after], done

    return Environment(reset, step, actions)


def action_values(process: DecisionProcess, values: jax.Array, discount: float = 1.0) -> jax.Array:
    """What each action is worth if what follows is worth `values`.

    Args:
        process: S states, A actions.
        values: [S].
        discount: of the next value.

    Returns:
        [S, A], 0 at terminal states.
    """
    _sizes(process)
    alive = 1 - process.terminal
    after = process.rewards + discount * (alive * values)[None, None]
    return alive[:, None] * jnp.sum(process.transitions * after, axis=-1)


def value_iteration(
    process: DecisionProcess, discount: float = 1.0, *, tolerance: float = 1e-6, most: int = 10_000
) -> jax.Array:
    """The values of the best policy.

    Args:
        process: S states, A actions.
        discount: at most 1.
        tolerance: of the largest change in a sweep, at which to stop.
        most: sweeps at most.

    Returns:
        [S]. The best action is the `argmax` of `action_values`.
    """

    def unfinished(carry):
        _, change, sweeps = carry
        return (change > tolerance) & (sweeps < most)

    def sweep(carry):
        values, _, sweeps = carry
        after = action_values(process, values, discount).max(-1)
        return after, jnp.abs(after - values).max(), sweeps + 1

    start = (jnp.zeros(len(process.terminal)), jnp.array(jnp.inf), jnp.array(0))
    return jax.lax.while_loop(unfinished, sweep, start)[0]


def policy_values(
    process: DecisionProcess, probabilities: jax.Array, discount: float = 1.0
) -> jax.Array:
    """The values of a policy, by solving its Bellman equation.

    Args:
        process: S states, A actions.
        probabilities: [S, A], of the actions.
        discount: at most 1; at 1 the policy has to reach a terminal state from everywhere.

    Returns:
        [S].
    """
    moves, alive = _moves(process, probabilities)
    earned = alive * jnp.einsum(
        "sa,sat,sat->s", probabilities, process.transitions, process.rewards
    )
    return jnp.linalg.solve(jnp.eye(len(alive)) - discount * moves, earned)


def expected_visits(process: DecisionProcess, probabilities: jax.Array) -> jax.Array:
    """How often an episode is at each state, in the mean.

    Args:
        process: S states, A actions.
        probabilities: [S, A], of the actions; they have to reach a terminal state.

    Returns:
        [S]; their sum over states that are not terminal is the mean length of an episode.
    """
    moves, alive = _moves(process, probabilities)
    # Terminal states are entered, not left: their row of moves is 0.
    return jnp.linalg.solve((jnp.eye(len(alive)) - moves).T, process.start)


def _moves(process, probabilities):
    """[S, S] probability of the next state under a policy, 0 from terminal states; [S] alive."""
    if probabilities.shape != process.transitions.shape[:2]:
        raise ValueError(
            f"probabilities of actions are [S, A] = {process.transitions.shape[:2]}; "
            f"got {probabilities.shape}"
        )
    _sizes(process)
    alive = 1 - process.terminal
    return alive[:, None] * jnp.einsum("sa,sat->st", probabilities, process.transitions), alive


def _sizes(process):
    states, actions, _ = process.transitions.shape
    expected = ((states, actions, states), (states, actions, states), (states,), (states,))
    came = tuple(jnp.shape(x) for x in process)
    if came != expected:
        raise ValueError(
            "the tables are transitions [S, A, S], rewards [S, A, S], terminal [S], start [S]; "
            f"got {came}"
        )
    return states, actions
