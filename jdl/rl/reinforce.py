"""REINFORCE: ascend the expected return along sampled episodes.

    J             = E sum_t discount^t r_t
    grad J        = E sum_t (C_t - discount^t b(o_t)) grad log pi(a_t | o_t)
    C_t           = sum_{k >= t} discount^k r_k              reward_to_go
                  = sum_{k >= 0} discount^k r_k              whole_return, Williams' own
    direction     = -(mean over episodes)

Any b that does not depend on the action leaves the mean as it is and may lower the variance.
Source: Williams 1992, theorem 1; Sutton and Barto 2018, sections 13.3 and 13.4. The factor
discount^t, which many programs drop, belongs to grad J. 000 (Siadati), chapter 16, writes
-sum log pi(a_t) r_t: an action is credited with its own reward alone, which is the gradient of J
only if no action has consequences later.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Estimator, Model, Variables
from jdl.rl.environment import Environment, Episode, rollout

Credit = Callable[[jax.Array, float], jax.Array]


def reward_to_go(rewards: jax.Array, discount: float) -> jax.Array:
    """The discounted rewards from each step on: an action cannot change what was before it.

    Args:
        rewards: [T].
        discount: of each step.

    Returns:
        [T], discounted to the start of the episode.

    Example:
        >>> reward_to_go(jnp.array([1.0, 2.0, 4.0]), 0.5).tolist()
        [3.0, 2.0, 1.0]
    """
    return jnp.cumsum((rewards * _powers(discount, rewards))[::-1])[::-1]


def whole_return(rewards: jax.Array, discount: float) -> jax.Array:
    """The discounted return of the episode, at each step: Williams' credit, of larger variance.

    Args:
        rewards: [T].
        discount: of each step.

    Returns:
        [T].
    """
    return jnp.broadcast_to(jnp.sum(rewards * _powers(discount, rewards)), rewards.shape)


def discounted_returns(rewards: jax.Array, discount: float) -> jax.Array:
    """The return from each step on, discounted to that step: G_t = r_t + discount G_{t+1}.

    Args:
        rewards: [T].
        discount: of each step.

    Returns:
        [T].

    Example:
        >>> discounted_returns(jnp.array([1.0, 2.0, 4.0]), 0.5).tolist()
        [3.0, 4.0, 4.0]
    """

    def body(after, reward):
        here = reward + discount * after
        return here, here

    return jax.lax.scan(body, jnp.zeros_like(rewards[0]), rewards, reverse=True)[1]


def reinforce(
    environment: Environment,
    policy: Model,
    *,
    episodes: int,
    length: int,
    discount: float = 1.0,
    credit: Credit = reward_to_go,
) -> Estimator:
    """REINFORCE without a baseline.

    Args:
        environment: where.
        policy: observation -> logits [num_actions].
        episodes: in a batch.
        length: steps of an episode at most.
        discount: of each step.
        credit: (rewards [T], discount) -> weight of each action [T].

    Returns:
        An Estimator; the batch is ignored, buffers stay. Info: means over episodes of `return`
        (not discounted) and `length`, and over steps of `entropy` of the policy, nats.
    """

    def estimate(params, buffers, batch, key):
        def logits_of(params, observations):
            return policy.apply(Variables(params, buffers), observations)[0]

        played = _play(environment, lambda o: logits_of(params, o), key, episodes, length)
        weights = jax.vmap(credit, (0, None))(played.rewards, discount)

        def loss(params):
            return _policy_loss(logits_of(params, played.observations), played, weights)

        direction, entropy = jax.grad(loss, has_aux=True)(params)
        return direction, buffers, _info(played, entropy)

    return estimate


def reinforce_with_baseline(
    environment: Environment,
    agent: Model,
    *,
    episodes: int,
    length: int,
    discount: float = 1.0,
    value_weight: float = 0.5,
) -> Estimator:
    """REINFORCE whose baseline is a value learned beside it by least squares.

    The value v is fitted to the returns from each step: value_weight * sum_t (G_t - v(o_t))^2.

    Args:
        environment: where.
        agent: observation -> PolicyAndValue.
        episodes: in a batch.
        length: steps of an episode at most.
        discount: of each step.
        value_weight: of the error of the value.

    Returns:
        An Estimator; as `reinforce`, and info has `value_error`, the root of the mean square.
    """

    def estimate(params, buffers, batch, key):
        def outputs_of(params, observations):
            return agent.apply(Variables(params, buffers), observations)[0]

        played = _play(environment, lambda o: outputs_of(params, o).logits, key, episodes, length)
        returns = jax.vmap(discounted_returns, (0, None))(played.rewards, discount)
        powers = _powers(discount, played.rewards[0])[None]

        def loss(params):
            logits, values = outputs_of(params, played.observations)
            errors = played.alive * (returns - values)
            weights = powers * jax.lax.stop_gradient(errors)
            policy_loss, entropy = _policy_loss(logits, played, weights)
            value_loss = jnp.sum(errors**2) / episodes
            return policy_loss + value_weight * value_loss, (entropy, value_loss)

        direction, (entropy, value_loss) = jax.grad(loss, has_aux=True)(params)
        value_error = jnp.sqrt(value_loss * episodes / played.alive.sum())
        return direction, buffers, _info(played, entropy) | {"value_error": value_error}

    return estimate


def _play(environment, logits_of, key, episodes, length) -> Episode:
    def act(observation, key):
        return jax.random.categorical(key, logits_of(observation))

    keys = jax.random.split(key, episodes)
    return jax.vmap(lambda key: rollout(environment, act, key, length))(keys)


def _policy_loss(logits, played, weights):
    """-mean over episodes of sum_t weight_t log pi(a_t|o_t), and the mean entropy."""
    log_probs = jax.nn.log_softmax(logits)
    taken = jnp.take_along_axis(log_probs, played.actions[..., None], axis=-1)[..., 0]
    entropies = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)
    entropy = jnp.sum(played.alive * entropies) / jnp.sum(played.alive)
    return -jnp.sum(played.alive * weights * taken) / len(taken), entropy


def _info(played, entropy):
    return {
        "return": played.rewards.sum(-1).mean(),
        "length": played.alive.sum(-1).mean(),
        "entropy": entropy,
    }


def _powers(discount, rewards):
    return jnp.asarray(discount, rewards.dtype) ** jnp.arange(rewards.shape[0])
