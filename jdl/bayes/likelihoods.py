"""Likelihoods: from the outputs of a model to the NumPyro distribution of the targets.

    gaussian(std)     N(output, std^2)                       std known
    normal            N(mean, std^2)                         std learned: see `learned_noise`
    heteroscedastic   N(mean, exp(log variance))             both are outputs
    bernoulli         p = sigmoid(output)
    categorical       p = softmax(output)
    poisson           rate = exp(output)

Any function of this kind is one: `lambda outputs: dist.StudentT(4.0, outputs, 0.3)`. Its log
density makes the posterior, its mean and variance the predictions. Source: 004 (Martinez-Ramon et
al.), eq. 9.1; the noise of the likelihood is the aleatoric part of 9.9.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro import distributions as dist

from jdl.core import Model, Tree, Variables

Likelihood = Callable[[Tree], dist.Distribution]


class MeanAndStd(NamedTuple):
    """The outputs of a model that knows its noise.

    Attributes:
        mean: of the targets.
        std: their standard deviation, of the same shape.
    """

    mean: jax.Array
    std: jax.Array


def gaussian(noise_std: float | jax.Array) -> Likelihood:
    """Normal noise of a known size about the output.

    Args:
        noise_std: standard deviation, in the unit of the targets.

    Returns:
        Outputs [...] -> the distribution of targets [...].
    """
    return lambda outputs: dist.Normal(outputs, noise_std)


def normal(outputs: MeanAndStd) -> dist.Distribution:
    """Normal targets of a model that gives their mean and deviation."""
    return dist.Normal(*outputs)


def heteroscedastic(outputs: jax.Array) -> dist.Distribution:
    """Normal targets whose noise is an output, too.

    Args:
        outputs: [..., 2 F], F means and F logarithms of variances.

    Returns:
        The distribution of targets [..., F].

    Raises:
        ValueError: an odd number of outputs.

    Source: Nix and Weigend 1994; Kendall and Gal 2017, eq. 8.
    """
    if outputs.shape[-1] % 2:
        raise ValueError(
            "a heteroscedastic model has a mean and a log variance for each target, an even "
            f"number of outputs; got {outputs.shape[-1]}"
        )
    mean, log_variance = jnp.split(outputs, 2, axis=-1)
    return dist.Normal(mean, jnp.exp(log_variance / 2))


def bernoulli(outputs: jax.Array) -> dist.Distribution:
    """Targets 0 and 1 with log odds [...]."""
    return dist.Bernoulli(logits=outputs)


def categorical(outputs: jax.Array) -> dist.Distribution:
    """Labels [...] of logits [..., classes]."""
    return dist.Categorical(logits=outputs)


def poisson(outputs: jax.Array) -> dist.Distribution:
    """Counts [...] of log rates [...]."""
    return dist.Poisson(jnp.exp(outputs))


def learned_noise(model: Model, initial_std: float = 1.0) -> Model:
    """The model with the noise of its targets as one more parameter, for the likelihood `normal`.

    Args:
        model: whose outputs are means, an array.
        initial_std: where the deviation starts.

    Returns:
        A Model whose params are {"model": those of the model, "log_noise_std": []} and whose
        outputs are `MeanAndStd`. The prior has patterns for both.

    Raises:
        ValueError: a deviation that is not positive.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> model = learned_noise(mlp([1, 3, 1]), 0.5)
        >>> outputs, _ = model.apply(model.init(jax.random.key(0)), jnp.zeros([2, 1]))
        >>> outputs.std.tolist()
        [[0.5], [0.5]]
    """
    if not initial_std > 0:
        raise ValueError(f"a standard deviation is positive; got initial_std={initial_std}")

    def init(key):
        params, buffers = model.init(key)
        log_std = jnp.log(jnp.asarray(initial_std, jnp.float32))
        return Variables({"model": params, "log_noise_std": log_std}, buffers)

    def apply(variables, *inputs, key=None, train=False, **options):
        params, buffers = variables
        own = Variables(params["model"], buffers)
        mean, buffers = model.apply(own, *inputs, key=key, train=train, **options)
        std = jnp.broadcast_to(jnp.exp(params["log_noise_std"]), mean.shape)
        return MeanAndStd(mean, std.astype(mean.dtype)), buffers

    return Model(init, apply)


def log_likelihood(distribution: dist.Distribution, targets: jax.Array) -> jax.Array:
    """The log probability of each target.

    Args:
        distribution: of all targets, from a Likelihood.
        targets: of its shape.

    Returns:
        Nats, an entry for each independent target.

    Raises:
        ValueError: targets of another shape.
    """
    expected = distribution.batch_shape + distribution.event_shape
    if jnp.shape(targets) != expected:
        raise ValueError(
            f"the model's outputs make a {type(distribution).__name__} likelihood of targets "
            f"{list(expected)}; got targets {list(jnp.shape(targets))}. A missing axis would "
            "broadcast to all pairs"
        )
    return distribution.log_prob(targets)
