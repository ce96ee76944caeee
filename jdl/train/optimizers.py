"""The books' first-order rules where Optax's differ, as Optax transforms.

With the gradient g, the rate mu_t of step t, and t = 1, 2, ...:

    heavy_ball   v = gamma v - mu_t g,   w = w + v
    adagrad      s = s + g^2,            w = w - mu_t g / (sqrt(s) + eps),           s_0 = 0
    adamax       m = b1 m + (1 - b1) g,  u = max(b2 u, |g|),
                 w = w - mu_t m / (1 - b1^t) / (u + eps)

The other rules are calls of Optax, each compared in the tests with the published one:

    SGD                       optax.sgd(mu); of the sum of the losses, `descent(summed(...), ...)`
    AdaGrad, eps in the root  optax.adagrad(mu, initial_accumulator_value=0.0, eps=1e-8)
    AdaDelta                  optax.adadelta(1.0, rho=0.95, eps=1e-6)
    RMSProp, eps in the root  optax.rmsprop(mu, decay=0.9, eps=1e-8)
    RMSProp, eps outside      optax.rmsprop(mu, decay=0.9, eps=1e-8, eps_in_sqrt=False)
    Adam, NAdam               optax.adam(mu), optax.nadam(mu)
    AdamW, decoupled decay    optax.adamw(mu, weight_decay=0.01): w = w - mu_t (adam + decay w)
    Adam, coupled L2          optax.chain(optax.add_decayed_weights(0.01), optax.adam(mu))
    clipping                  optax.clip, optax.clip_by_global_norm

Nesterov's rule with its gradient at the point ahead is `jdl.train.nesterov`.

Sources: Polyak 1964; Duchi et al. 2011; Zeiler 2012; Tieleman and Hinton 2012; Kingma and Ba 2015;
Dozat 2016; Loshchilov and Hutter 2019. 000 ch. 5 has eps in the roots of AdaGrad and RMSProp, 004
eq. 2.15 outside. 004 says that RMSProp "with beta = 1 uses only the last gradient": beta = 0 does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Estimator, Tree

Rate = optax.ScalarOrSchedule


def heavy_ball(learning_rate: Rate, momentum: float = 0.9) -> optax.GradientTransformation:
    """Momentum with the rate inside the velocity.

        v_t = momentum v_{t-1} - mu_t g_t,   w_t = w_{t-1} + v_t,   v_0 = 0

    `optax.sgd(mu, momentum)` takes the rate outside. The two agree while mu is constant; when mu
    falls, this velocity remembers the steps that were made, Optax's the gradients that were seen.

    Args:
        learning_rate: mu, or a schedule of it.
        momentum: gamma in [0, 1).

    Returns:
        An Optax transform.

    Source: Polyak 1964; 000 ch. 5; 001 (its velocity is a decaying sum, not the "average" it
    says); 004 eq. 2.10.
    """
    _check(0 <= momentum < 1, f"momentum lies in [0, 1); got {momentum}")
    return optax.chain(optax.scale_by_learning_rate(learning_rate), optax.trace(momentum))


class SquaresState(NamedTuple):
    """The sums of the squared gradients, a tree like the params."""

    squares: Tree


def adagrad(learning_rate: Rate, eps: float = 1e-8) -> optax.GradientTransformation:
    """AdaGrad whose accumulator starts at 0, with eps outside the root.

        s_t = s_{t-1} + g_t^2,   w_t = w_{t-1} - mu_t g_t / (sqrt(s_t) + eps),   s_0 = 0

    `optax.adagrad` starts at 0.1 unless told otherwise, and has eps inside the root.

    Args:
        learning_rate: mu, or a schedule of it.
        eps: above 0; a gradient that was always 0 moves nothing.

    Returns:
        An Optax transform.

    Source: Duchi, Hazan, Singer 2011; 004 eq. 2.14, 2.15.
    """
    _check(eps > 0, f"eps is above 0, for 0 / 0 is no step; got {eps}")

    def init(params):
        return SquaresState(jax.tree.map(jnp.zeros_like, params))

    def update(gradient, state, params=None):
        squares = jax.tree.map(lambda s, g: s + g**2, state.squares, gradient)
        scaled = jax.tree.map(lambda g, s: g / (jnp.sqrt(s) + eps), gradient, squares)
        return scaled, SquaresState(squares)

    return optax.chain(
        optax.GradientTransformation(init, update), optax.scale_by_learning_rate(learning_rate)
    )


class MaximumState(NamedTuple):
    """Steps made, and the decaying mean and the decaying maximum of the gradients."""

    count: jax.Array
    mean: Tree
    maximum: Tree


def adamax(
    learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """AdaMax with eps in the denominator.

        m_t = b1 m_{t-1} + (1 - b1) g_t,   u_t = max(b2 u_{t-1}, |g_t|)
        w_t = w_{t-1} - mu_t m_t / ((1 - b1^t) (u_t + eps))

    The maximum needs no correction of its bias. `optax.adamax` has u = max(b2 u, |g| + eps);
    Kingma and Ba have no eps, and 0 / 0 for a gradient that was always 0.

    Args:
        learning_rate: mu, or a schedule of it.
        b1: decay of the mean, in [0, 1).
        b2: decay of the maximum, in [0, 1).
        eps: above 0.

    Returns:
        An Optax transform.

    Source: Kingma and Ba 2015, algorithm 2; 004 eq. 2.21 to 2.24, whose 2.23 prints no b2, with
    which the maximum would never fall.
    """
    _check(0 <= b1 < 1 and 0 <= b2 < 1, f"b1 and b2 lie in [0, 1); got {b1} and {b2}")
    _check(eps > 0, f"eps is above 0, for 0 / 0 is no step; got {eps}")

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return MaximumState(jnp.int32(0), zeros, zeros)

    def update(gradient, state, params=None):
        count = state.count + 1
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, gradient)
        maximum = jax.tree.map(
            lambda u, g: jnp.maximum(b2 * u, jnp.abs(g)), state.maximum, gradient
        )
        unbiased = optax.tree.bias_correction(mean, b1, count)
        scaled = jax.tree.map(lambda m, u: m / (u + eps), unbiased, maximum)
        return scaled, MaximumState(count, mean, maximum)

    return optax.chain(
        optax.GradientTransformation(init, update), optax.scale_by_learning_rate(learning_rate)
    )


def summed(estimator: Estimator) -> Estimator:
    """The direction of the sum of the losses of a batch, for an Estimator of their mean.

        direction = B * mean over the batch of the gradients

    Args:
        estimator: of a mean; the leaves of its batches are [B, ...].

    Returns:
        An Estimator. Its info is that of the mean.

    Source: 001 sums (eq. of its batch gradient descent), and averages over mini-batches.
    """

    def estimate(params, buffers, batch, key):
        direction, buffers, info = estimator(params, buffers, batch, key)
        size = jax.tree.leaves(batch)[0].shape[0]
        return jax.tree.map(lambda g: size * g, direction), buffers, info

    return estimate


def steps_per_epoch(examples: int, batch_size: int, *, drop_last: bool = True) -> int:
    """How many mini-batches a pass over the data has.

    Args:
        examples: in the data.
        batch_size: examples in a batch.
        drop_last: True leaves an incomplete last batch out, as `fit` does; False
            counts it, ceil(examples / batch_size).

    Raises:
        ValueError: sizes below 1, or a batch larger than the data.

    Example:
        >>> steps_per_epoch(1000, 32), steps_per_epoch(1000, 32, drop_last=False)
        (31, 32)
    """
    _check(
        1 <= batch_size <= examples,
        f"expected 1 <= batch_size <= examples; got {batch_size} and {examples}",
    )
    return examples // batch_size if drop_last else -(-examples // batch_size)


def _check(correct, said):
    if not correct:
        raise ValueError(said)
