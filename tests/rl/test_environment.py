"""Episodes end when the environment says so."""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.rl.environment import Environment, rollout


def countdown(start):
    """Ends after `start` steps, each worth the number before it."""

    def reset(key):
        return jnp.array(start), jnp.array(float(start))

    def step(state, action, key):
        after = state - 1
        return after, after.astype(float), state.astype(float) + action, after == 0

    return Environment(reset, step, 2)


def test_an_episode_is_masked_after_its_end(key):
    episode = rollout(countdown(3), lambda observation, key: jnp.array(0), key, 6)
    np.testing.assert_array_equal(episode.rewards, [3, 2, 1, 0, 0, 0])
    np.testing.assert_array_equal(episode.alive, [1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(episode.observations[:3], [3, 2, 1])


def test_a_longer_episode_is_cut_off(key):
    episode = rollout(countdown(9), lambda observation, key: jnp.array(1), key, 4)
    np.testing.assert_array_equal(episode.rewards, [10, 9, 8, 7])
    assert episode.alive.min() == 1 and episode.actions.min() == 1


def test_actions_and_answers_have_keys_of_their_own(key):
    coin = Environment(
        lambda key: (jnp.array(0), jnp.array(0)),
        lambda state, action, key: (
            state,
            state,
            (jax.random.bernoulli(key) == (action == 1)).astype(float),
            jnp.array(False),
        ),
        2,
    )
    episode = rollout(coin, lambda o, key: jax.random.bernoulli(key).astype(int), key, 4000)
    # Independent coins agree half of the time; with one key they would agree always.
    assert abs(float(episode.rewards.mean()) - 0.5) < 0.04
