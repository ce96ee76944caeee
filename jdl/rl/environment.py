"""Environments as pure functions, and episodes under a policy.

    state, observation                = environment.reset(key)
    state, observation, reward, done  = environment.step(state, action, key)

Episodes have a fixed length; what follows their end is masked by `alive`. Batches of episodes are
`jax.vmap` of `rollout` over keys.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jdl.core import Key, Tree


class Reset(Protocol):
    """Draws the state an episode starts from."""

    def __call__(self, key: Key) -> tuple[Tree, jax.Array]:
        """Returns the state and what the agent sees of it."""


class EnvironmentStep(Protocol):
    """Answers an action."""

    def __call__(
        self, state: Tree, action: jax.Array, key: Key
    ) -> tuple[Tree, jax.Array, jax.Array, jax.Array]:
        """Returns the next state, what is seen of it, the reward [], and whether this ends it."""


class Environment(NamedTuple):
    """What an agent acts in.

    Attributes:
        reset: key -> (state, observation).
        step: (state, action, key) -> (state, observation, reward [], done []).
        num_actions: actions are the integers below it.
    """

    reset: Reset
    step: EnvironmentStep
    num_actions: int


class Episode(NamedTuple):
    """What happened, T steps; after the end rewards are 0.

    Attributes:
        observations: [T, ...], each before its action.
        actions: [T].
        rewards: [T], each after its action.
        alive: [T], 1 where the episode had not ended before the action.
    """

    observations: jax.Array
    actions: jax.Array
    rewards: jax.Array
    alive: jax.Array


def rollout(
    environment: Environment,
    act: Callable[[jax.Array, Key], jax.Array],
    key: Key,
    length: int,
) -> Episode:
    """Plays one episode.

    Args:
        environment: where.
        act: (observation, key) -> action [].
        key: of the start, the actions and the answers.
        length: steps, T; a longer episode is cut off.

    Returns:
        The episode.
    """
    keys = jax.random.split(key, 2 * length + 1)
    state, observation = environment.reset(keys[0])

    def body(carry, keys):
        state, observation, alive = carry
        key_action, key_step = keys
        action = act(observation, key_action)
        state, after, reward, done = environment.step(state, action, key_step)
        event = Episode(observation, action, jnp.where(alive, reward, 0.0), alive.astype(float))
        return (state, after, alive & ~done), event

    start = (state, observation, jnp.array(True))
    return jax.lax.scan(body, start, (keys[1::2], keys[2::2]))[1]
