"""What draws of params predict: means, intervals, and the two kinds of uncertainty.

    p(y | x, data) = mean over draws of p(y | x, draw)                   posterior predictive

For values, by the law of total variance, and for classes, by the chain rule of information:

    variance of y    = mean over draws of Var(y | draw) + variance over draws of E[y | draw]
    entropy of y     = mean over draws of H(y | draw)   + I(y; draw)
    (total)            (aleatoric: noise of the data)     (epistemic: what more data would tell)

Anything that gives outputs with a leading axis can be judged: draws of a chain, members of an
ensemble, passes of dropout. A likelihood must act on the last axes alone, as all of
`jdl.bayes.likelihoods` do.

Source: 004 (Martinez-Ramon et al.), eq. 9.9; Depeweg et al. 2018, eq. 5 to 9. Departs from 9.9 in
that the posterior is of params given inputs and targets; the book conditions on the inputs alone.

Axes: S draws, B examples, C classes.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from numpyro import distributions as dist

from jdl.bayes.likelihoods import Likelihood
from jdl.core import Key, Model, Tree, Variables

BISECTIONS = 40  # of a bracket of some standard deviations: beyond the precision of float32
POINTS, ZOOMS = 11, 3  # of the search for the shortest interval


class Predictive(NamedTuple):
    """The first two moments of targets.

    Attributes:
        mean: of the targets, [B, ...].
        aleatoric: variance that is noise of the data, in the squared unit of the targets.
        epistemic: variance that comes from not knowing the params.
    """

    mean: jax.Array
    aleatoric: jax.Array
    epistemic: jax.Array

    @property
    def total(self) -> jax.Array:
        """The variance of the targets, the sum of both."""
        return self.aleatoric + self.epistemic

    @property
    def std(self) -> jax.Array:
        """The standard deviation of the targets."""
        return jnp.sqrt(self.total)

    def interval(self, level: float = 0.95) -> tuple[jax.Array, jax.Array]:
        """The central interval of a normal distribution with these moments.

        Args:
            level: probability inside, in (0, 1).

        Returns:
            Lower and upper ends. `predictive_interval` has no need to assume a normal.

        Raises:
            ValueError: another level.
        """
        _check_level(level)
        reach = ndtri((1 + level) / 2) * self.std
        return self.mean - reach, self.mean + reach


class ClassPredictive(NamedTuple):
    """The distribution of labels and its entropy.

    Attributes:
        probabilities: mean over the draws: of each class [B, C]; of class 1 for a Bernoulli.
        aleatoric: nats, mean entropy of the labels given a draw, [B].
        epistemic: nats, mutual information of label and draw, from 0 (all agree) to log C.
    """

    probabilities: jax.Array
    aleatoric: jax.Array
    epistemic: jax.Array

    @property
    def total(self) -> jax.Array:
        """The entropy of the mean probabilities in nats, the sum of both."""
        return self.aleatoric + self.epistemic


def predict(
    model: Model,
    draws: Tree,
    inputs: Tree,
    *,
    buffers: Tree = (),
    draw_axes: int = 1,
    batch_size: int | None = None,
) -> Tree:
    """The outputs of a model for each draw of its params.

    Args:
        model: evaluated with `train=False`.
        draws: params with leading axes, [S, ...] or [chains, S, ...].
        inputs: [B, ...].
        buffers: of the model, the same for all draws.
        draw_axes: the number of leading axes.
        batch_size: draws at a time, which bounds the memory; None for all at once.

    Returns:
        The outputs, with the leading axes of the draws.

    Raises:
        ValueError: draws whose leaves do not share the leading axes.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> model = mlp([1, 5, 1])
        >>> keys = jax.random.split(jax.random.key(0), 7)
        >>> draws = jax.vmap(lambda key: model.init(key).params)(keys)
        >>> predict(model, draws, jnp.zeros([3, 1])).shape
        (7, 3, 1)
    """
    shapes = {jnp.shape(x)[:draw_axes] for x in jax.tree.leaves(draws)}
    if len(shapes) != 1 or len(min(shapes)) < draw_axes or draw_axes < 1:
        raise ValueError(
            f"every leaf of the draws has the same {draw_axes} leading axes (draw_axes); got "
            f"leaves with leading axes {sorted(map(list, shapes))}"
        )
    (leading,) = shapes
    flat = jax.tree.map(lambda x: jnp.reshape(x, (-1, *x.shape[draw_axes:])), draws)

    def outputs(params):
        return model.apply(Variables(params, buffers), inputs)[0]

    if batch_size is None:
        found = jax.vmap(outputs)(flat)
    else:
        found = jax.lax.map(outputs, flat, batch_size=min(batch_size, math.prod(leading)))
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), found)


def predictive(outputs: Tree, likelihood: Likelihood, *, draw_axes: int = 1) -> Predictive:
    """The mean and the parts of the variance of targets.

    Args:
        outputs: of each draw, [S, B, ...], from `predict`.
        likelihood: outputs -> distribution of the targets, with a mean and a variance.
        draw_axes: the number of leading axes that count draws.

    Returns:
        A Predictive.

    Raises:
        ValueError: labels, which have no mean: see `class_predictive`.

    Example:
        >>> from jdl.bayes.likelihoods import gaussian
        >>> found = predictive(jnp.array([[1.0], [3.0]]), gaussian(0.5))
        >>> [x.tolist() for x in found], found.total.tolist()
        ([[2.0], [0.25], [1.0]], [1.25])
    """
    distribution = _checked(likelihood(outputs), draw_axes)
    if isinstance(distribution, _CATEGORICAL):
        raise ValueError("labels have no mean and no variance: take class_predictive")
    axes = tuple(range(draw_axes))
    mean = distribution.mean
    return Predictive(mean.mean(axes), distribution.variance.mean(axes), mean.var(axes))


def class_predictive(
    outputs: Tree, likelihood: Likelihood, *, draw_axes: int = 1
) -> ClassPredictive:
    """Mean probabilities of classes and the parts of their entropy.

    The epistemic part is computed as the mean divergence of a draw from the mean, never negative
    and exact where it is small.

    Args:
        outputs: of each draw, [S, B, ...], from `predict`.
        likelihood: outputs -> a Categorical or a Bernoulli.
        draw_axes: the number of leading axes that count draws.

    Returns:
        A ClassPredictive.

    Raises:
        ValueError: another distribution.

    Example:
        >>> from jdl.bayes.likelihoods import categorical
        >>> certain = jnp.array([[[50.0, 0.0]], [[0.0, 50.0]]])  # two draws that contradict
        >>> found = class_predictive(certain, categorical)
        >>> found.probabilities.round(3).tolist(), found.epistemic.round(3).tolist()
        ([[0.5, 0.5]], [0.6930000185966492])
    """
    distribution = _checked(likelihood(outputs), draw_axes)
    if isinstance(distribution, _CATEGORICAL):
        log_p = jax.nn.log_softmax(distribution.logits)
    elif isinstance(distribution, _BERNOULLI):
        logits = distribution.logits
        log_p = jnp.stack([jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits)], -1)
    else:
        raise ValueError(
            f"entropies are of a Categorical or Bernoulli; got a {type(distribution).__name__}: "
            "for values take predictive"
        )
    axes = tuple(range(draw_axes))
    log_mean = jax.nn.logmeanexp(log_p, axes)
    p = jnp.exp(log_p)
    entropy = -jnp.sum(_times_log(p, log_p), -1)
    divergence = jnp.sum(_times_log(p, log_p - jnp.broadcast_to(log_mean, log_p.shape)), -1)
    mean = jnp.exp(log_mean)
    if isinstance(distribution, _BERNOULLI):
        mean = mean[..., 1]
    return ClassPredictive(mean, entropy.mean(axes), jnp.maximum(divergence.mean(axes), 0))


def sample_targets(
    outputs: Tree, likelihood: Likelihood, key: Key, *, draw_axes: int = 1, repeats: int = 1
) -> jax.Array:
    """Targets as the posterior predictive draws them.

    Args:
        outputs: of each draw, [S, B, ...], from `predict`.
        likelihood: outputs -> distribution of the targets.
        key: of the noise.
        draw_axes: the number of leading axes that count draws.
        repeats: targets for each draw.

    Returns:
        [repeats * S, B, ...], all draws in one axis.
    """
    distribution = _checked(likelihood(outputs), draw_axes)
    targets = jax.vmap(distribution.sample)(jax.random.split(key, repeats))
    return targets.reshape(-1, *targets.shape[1 + draw_axes :])


def predictive_interval(
    outputs: Tree, likelihood: Likelihood, level: float = 0.95, *, draw_axes: int = 1
) -> tuple[jax.Array, jax.Array]:
    """The central interval that holds a target with a given probability: as much below as above.

    It is of the mixture of all draws, whose quantiles are found by bisection of its distribution
    function, between Cantelli's bounds; so no target is drawn and no shape is assumed.

    Args:
        outputs: of each draw, [S, B, ...], from `predict`.
        likelihood: outputs -> distribution of the targets with a `cdf` and a finite variance.
        level: probability inside, in (0, 1).
        draw_axes: the number of leading axes that count draws.

    Returns:
        Lower and upper ends, [B, ...]; whole numbers for counts.

    Raises:
        ValueError: another level.

    Example:
        >>> from jdl.bayes.likelihoods import gaussian
        >>> low, high = predictive_interval(jnp.zeros([10, 1]), gaussian(1.0), 0.95)
        >>> round(float(low[0]), 3), round(float(high[0]), 3)
        (-1.96, 1.96)
    """
    _check_level(level)
    quantile, shape = _quantiles(outputs, likelihood, draw_axes)
    ends = jnp.full([2, *shape], (1 - level) / 2).at[1].set((1 + level) / 2)
    low, high = jax.lax.map(quantile, ends)
    return low, high


def shortest_interval(
    outputs: Tree, likelihood: Likelihood, level: float = 0.95, *, draw_axes: int = 1
) -> tuple[jax.Array, jax.Array]:
    """The shortest interval that holds a target with a given probability.

    Of a distribution with one peak it is the region of highest density. It takes 33 times as long
    as `predictive_interval`, whose arguments it has, for it searches what is left out below.

    Args:
        outputs: of each draw, [S, B, ...], from `predict`.
        likelihood: outputs -> distribution of the targets with a `cdf` and a finite variance.
        level: probability inside, in (0, 1).
        draw_axes: the number of leading axes that count draws.

    Returns:
        Lower and upper ends, [B, ...]; whole numbers for counts.

    Raises:
        ValueError: another level.
    """
    _check_level(level)
    quantile, shape = _quantiles(outputs, likelihood, draw_axes)
    below = _least(lambda p: quantile(p + level) - quantile(p), 1 - level, shape)
    return quantile(below), quantile(below + level)


_CATEGORICAL = dist.CategoricalLogits, dist.CategoricalProbs
_BERNOULLI = dist.BernoulliLogits, dist.BernoulliProbs


def _checked(distribution, draw_axes):
    if draw_axes < 1 or len(distribution.batch_shape) < draw_axes:
        raise ValueError(
            f"outputs of draws make a distribution with {draw_axes} leading axes (draw_axes, at "
            f"least 1); got batch shape {list(distribution.batch_shape)}. Give one network its "
            "axis: outputs[None]"
        )
    return distribution


def _quantiles(outputs, likelihood, draw_axes):
    """The quantile function of the mixture of all draws, probabilities [B, ...] -> targets."""
    distribution = _checked(likelihood(outputs), draw_axes)
    moments = predictive(outputs, likelihood, draw_axes=draw_axes)
    axes = tuple(range(draw_axes))

    def quantile(probability):
        def halve(_, bracket):
            low, high = bracket
            middle = (low + high) / 2
            value = jnp.broadcast_to(middle, distribution.shape())
            reached = distribution.cdf(value).mean(axes) >= probability
            return jnp.where(reached, low, middle), jnp.where(reached, middle, high)

        odds = jnp.sqrt(probability / (1 - probability))
        bracket = moments.mean - moments.std / odds, moments.mean + moments.std * odds
        high = jax.lax.fori_loop(0, BISECTIONS, halve, bracket)[1]
        return jnp.round(high) if distribution.support.is_discrete else high

    return quantile, moments.mean.shape


def _check_level(level):
    if not 0 < level < 1:
        raise ValueError(f"a level is a probability in (0, 1); got {level}")


def _times_log(p, logarithm):
    return jnp.where(p > 0, p * jnp.where(p > 0, logarithm, 0), 0)


def _least(function, end, shape):
    """Where in (0, end) a function [shape] -> [shape] is least: a grid, refined around its best."""
    low, width = jnp.zeros(shape), end / POINTS
    for _ in range(ZOOMS):
        steps = (jnp.arange(POINTS) + 0.5) * width
        grid = low[None] + jnp.expand_dims(steps, range(1, low.ndim + 1))
        found = jax.lax.map(function, grid).argmin(0)
        best = jnp.take_along_axis(grid, found[None], 0)[0]
        low, width = jnp.clip(best - width, 0, end - 2 * width), 2 * width / POINTS
    return best
