"""Averages of the parameters along a run, kept beside it or put before the objective.

    average_t = average_{t-1} + weight(t) * (params_t - average_{t-1}),    average_0 = params_0

Every published average is a schedule of weights, with t = 1, 2, ... the steps made:

    ema(decay)          1 - decay                               exponential moving average
    debiased_ema(decay) (1 - decay) / (1 - decay^t)             Kingma and Ba 2015, section 3
    polyak(start)       1 / (t - start), 1 up to the start      Polyak and Juditsky 1992
    swa(start, every)   1 / n at every n-th visit, else 0       Izmailov et al. 2018
    copied(every)       1 at every n-th step, else 0            Mnih et al. 2015, target network

and so is any function of t, such as 1 - min(decay, (1 + t) / (10 + t)), the warm-up of
TensorFlow's ExponentialMovingAverage. `with_average` only watches; `with_target` shows the average
to the objective. An average has the dtype of the params: below float32 small weights are lost.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Model, Tree, Variables

Weight = Callable[[jax.Array], jax.Array | float]


def ema(decay: float) -> Weight:
    """Weights of the exponential moving average, whose memory is 1 / (1 - decay) steps.

    Args:
        decay: in [0, 1). With 1 - decay = tau it is the soft update of a target network.
    """
    _check(0 <= decay < 1, f"decay lies in [0, 1); got {decay}")
    return lambda t: 1 - decay


def debiased_ema(decay: float) -> Weight:
    """Weights of the exponential moving average that forgets the initial params at once.

        average_t = sum_i decay^(t-i) params_i / sum_i decay^(t-i),    i = 1 .. t

    Args:
        decay: in [0, 1).
    """
    _check(0 <= decay < 1, f"decay lies in [0, 1); got {decay}")
    rate = math.log(decay) if decay else -math.inf
    # expm1 keeps the digits of 1 - decay^t that float32 loses where decay is near 1.
    return lambda t: math.expm1(rate) / jnp.expm1(t * rate)


def polyak(start: int = 0) -> Weight:
    """Weights of the arithmetic mean of the iterates after `start` steps.

    Args:
        start: up to which the average is the last iterate.
    """
    _check(start >= 0, f"start is a number of steps, at least 0; got {start}")
    return lambda t: 1.0 / jnp.maximum(t - start, 1)


def swa(start: int, every: int) -> Weight:
    """Weights of stochastic weight averaging: the mean of the iterates start, start + every, ...

    Args:
        start: the step of the first iterate; up to it the average is the last iterate.
        every: steps from one to the next, the length of a cycle of the learning rate.
    """
    _check(start >= 0 and every >= 1, f"expected start >= 0, every >= 1; got {start}, {every}")

    def weight(t):
        visit, past = jnp.divmod(jnp.maximum(t - start, 0), every)
        return jnp.where(past == 0, 1.0 / (visit + 1), 0.0)

    return weight


def copied(every: int) -> Weight:
    """Weights of a copy that is renewed from time to time.

    Args:
        every: steps from one copy to the next.
    """
    _check(every >= 1, f"every is a number of steps, at least 1; got {every}")
    return lambda t: jnp.where(t % every == 0, 1.0, 0.0)


class AveragedState(NamedTuple):
    """What `with_average` keeps.

    Attributes:
        variables: what the algorithm changes.
        average: a tree like the params.
        steps: [], made so far.
        rest: of the algorithm's state.
    """

    variables: Variables
    average: Tree
    steps: jax.Array
    rest: Any


def with_average(algorithm: Algorithm, weight: Weight) -> Algorithm:
    """The same Algorithm, which keeps an average of its params.

    Args:
        algorithm: any; the average changes nothing in it.
        weight: `ema`, `polyak`, `swa`, or a function of the number of steps.

    Returns:
        An Algorithm; `averaged(state)` are the variables to predict with, and
        `fit(..., view=averaged)` evaluates and keeps them.

    Example:
        >>> import optax
        >>> from jdl.train import descent, gradient
        >>> def square(params, buffers, batch, key):
        ...     return jnp.sum(params**2), (buffers, {})
        >>> algorithm = with_average(descent(gradient(square), optax.sgd(0.25)), polyak())
        >>> state = algorithm.init(Variables(jnp.array(4.0)))
        >>> for _ in range(3):  # 2, 1, 0.5
        ...     state, _ = algorithm.step(state, None, jax.random.key(0))
        >>> round(float(averaged(state).params), 4)
        1.1667
    """

    def init(variables, key=None):
        inner = algorithm.init(variables, key)
        average = jax.tree.map(jnp.copy, inner.variables.params)
        return AveragedState(inner.variables, average, jnp.int32(0), _without(inner))

    def step(state, batch, key):
        inner, info = algorithm.step(_joined(state), batch, key)
        average = _moved(weight, state.steps, state.average, inner.variables.params)
        return AveragedState(inner.variables, average, state.steps + 1, _without(inner)), info

    return Algorithm(init, step)


def averaged(state: AveragedState) -> Variables:
    """The averaged params, with the buffers of the run: see `reestimated`."""
    return Variables(state.average, state.variables.buffers)


class TargetState(NamedTuple):
    """What `with_target` keeps.

    Attributes:
        variables: what the algorithm changes; its buffers are {"model": ..., "target": ...}.
        steps: [], made so far.
        rest: of the algorithm's state.
    """

    variables: Variables
    steps: jax.Array
    rest: Any


def with_target(algorithm: Algorithm, weight: Weight) -> Algorithm:
    """The same Algorithm, whose objective sees an average of its params, the target network.

    The objective gets and returns buffers {"model": the model's, "target": params}; it
    differentiates with respect to the params alone, so nothing flows into the target.

    Args:
        algorithm: of an objective of such buffers.
        weight: `ema(1 - tau)` is the soft update of Lillicrap et al. 2016, `copied(every)` the
            copy of Mnih et al. 2015.

    Returns:
        An Algorithm; its `init` takes the variables of the model, and the target begins as a copy
        of the params. `model_variables(state.variables)` are the model's again.
    """

    def init(variables, key=None):
        target = jax.tree.map(jnp.copy, variables.params)
        seen = Variables(variables.params, {"model": variables.buffers, "target": target})
        inner = algorithm.init(seen, key)
        return TargetState(inner.variables, jnp.int32(0), _without(inner))

    def step(state, batch, key):
        inner, info = algorithm.step(_joined(state), batch, key)
        params, buffers = inner.variables
        target = _moved(weight, state.steps, buffers["target"], params)
        variables = Variables(params, {**buffers, "target": target})
        return TargetState(variables, state.steps + 1, _without(inner)), info

    return Algorithm(init, step)


def model_variables(variables: Variables) -> Variables:
    """The variables of the model alone, to evaluate, where the buffers hold more than its own.

    Args:
        variables: with buffers {"model": ..., ...}, of `with_target` or `with_chains`.

    Raises:
        ValueError: other buffers.
    """
    buffers = variables.buffers
    _check(
        isinstance(buffers, dict) and "model" in buffers,
        f"the buffers of with_target and with_chains are {{'model': ..., ...}}; got {buffers}. "
        "Others are the model's already",
    )
    return Variables(variables.params, buffers["model"])


def reestimated(model: Model, variables: Variables, batches: Tree) -> Variables:
    """Batch statistics of averaged params: the mean of those of some batches.

    The statistics that a run gathers are those of its own params; SWA takes a pass over the data
    for new ones (Izmailov et al. 2018, section 3.2). A moving average is affine in what it was,
    new = momentum * old + (1 - momentum) * statistic, so two passes tell the statistic.

    Args:
        model: whose buffers are moving averages; others stay as they are.
        variables: with averaged params.
        batches: inputs [batches, B, ...].

    Returns:
        The variables, with the mean over the batches of each statistic.
    """

    def passed(value, inputs):
        buffers = jax.tree.map(
            lambda x: jnp.full_like(x, value) if _is_float(x) else x, variables.buffers
        )
        return model.apply(Variables(variables.params, buffers), inputs, train=True)[1]

    def statistic(old, at_zero, at_one):
        if not _is_float(old):
            return old
        momentum = at_one - at_zero
        moves = momentum < 1
        return jnp.where(moves, at_zero / jnp.where(moves, 1 - momentum, 1), old)

    def of_batch(inputs):
        return jax.tree.map(statistic, variables.buffers, passed(0, inputs), passed(1, inputs))

    found = jax.lax.map(of_batch, batches)
    mean = jax.tree.map(
        lambda x, old: x.mean(0) if _is_float(old) else old, found, variables.buffers
    )
    return Variables(variables.params, mean)


def _moved(weight, steps, average, params):
    share = weight(steps + 1)
    return jax.tree.map(lambda a, p: a + (share * (p - a)).astype(a.dtype), average, params)


def _without(state):
    """The algorithm's own state less the variables, which the wrapper holds once for both."""
    return state._replace(variables=None)


def _joined(state):
    return state.rest._replace(variables=state.variables)


def _is_float(x):
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _check(holds, message):
    if not holds:
        raise ValueError(message)
