"""The log posterior of a model, a plain function of its params and the data.

    log density(params, batch) = log prior(params) + N/B * sum over the batch of log likelihood

It is up to a constant (the evidence) the logarithm of 004 (Martinez-Ramon et al.), eq. 9.7 and
9.20. Every sampler takes it with the data held: `lambda params: density(params, batch)`. As a
function of one vector it is

    vector, unravel = jax.flatten_util.ravel_pytree(params)
    flat = lambda vector: density(unravel(vector), batch)

which is how samplers run fastest: one leaf in place of many. Maximising it is MAP: with a normal
prior of variance s^2, least squares with weight decay 1/s^2 (004, eq. 9.6).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from numpyro import distributions as dist

from jdl.core import Model, Tree, Variables

Prior = dist.Distribution | Callable[[str], dist.Distribution]
LogLikelihood = Callable[[Tree, Tree], jax.Array]


def log_posterior(
    model: Model,
    prior: Prior,
    log_likelihood: LogLikelihood,
    *,
    buffers: Tree = (),
    num_examples: int | None = None,
) -> Callable[[Tree, Tree], jax.Array]:
    """The unnormalised log posterior of the params of a model.

    Args:
        model: evaluated with `train=False` and without noise.
        prior: a NumPyro distribution of a single number, which every entry has; or a function
            from the path of a leaf, `"layers.0.kernel"`, to the distribution of its entries.
        log_likelihood: (outputs, targets) -> nats, of any shape that can be summed; `gaussian`,
            `categorical`.
        buffers: of the model, which stay.
        num_examples: N, if batches are parts of the data; None if the batch is all of it.

    Returns:
        (params, batch) -> nats [], with batch = (inputs, targets).

    Example:
        >>> from jdl.models.mlp import mlp
        >>> model = mlp([1, 5, 1], jnp.tanh)
        >>> density = log_posterior(model, dist.Normal(0.0, 10.0**0.5), gaussian(0.3))
        >>> params = model.init(jax.random.key(0)).params
        >>> density(params, (jnp.zeros([4, 1]), jnp.zeros([4, 1]))).shape
        ()
    """
    prior_density = log_prior(prior)

    def log_density(params, batch):
        inputs, targets = batch
        outputs, _ = model.apply(Variables(params, buffers), inputs)
        likelihood = jnp.sum(log_likelihood(outputs, targets))
        scale = 1.0 if num_examples is None else num_examples / len(jax.tree.leaves(targets)[0])
        return prior_density(params) + scale * likelihood

    return log_density


def log_prior(prior: Prior) -> Callable[[Tree], jax.Array]:
    """The log density of params whose entries are independent.

    Args:
        prior: see `log_posterior`.

    Returns:
        params -> nats [].

    Raises:
        ValueError: at the call, if a distribution is not of a single number.

    Example:
        >>> by_path = lambda path: dist.Normal(0.0, 10.0 if path.endswith("bias") else 1.0)
        >>> density = log_prior(by_path)
        >>> round(float(density({"kernel": jnp.ones(2), "bias": jnp.zeros(1)})), 3)
        -6.059
    """

    def of_leaf(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        own = prior if isinstance(prior, dist.Distribution) else prior(name)
        if own.batch_shape or own.event_shape:
            raise ValueError(
                "a prior is the distribution of one number, which is applied to each entry; got "
                f"{type(own).__name__} of shape {own.batch_shape + own.event_shape} for {name!r}"
            )
        return jnp.sum(own.log_prob(leaf))

    return lambda params: sum(jax.tree.leaves(jax.tree.map_with_path(of_leaf, params)))


def gaussian(noise_std: float | jax.Array) -> LogLikelihood:
    """Normal noise of a known size about the output.

    Args:
        noise_std: standard deviation, in the unit of the targets.

    Returns:
        (outputs, targets of the same shape) -> nats of that shape.
    """

    def log_likelihood(outputs, targets):
        _check_shapes(outputs.shape, targets.shape, "outputs")
        return dist.Normal(outputs, noise_std).log_prob(targets)

    return log_likelihood


def categorical(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The log probability of labels under softmax(logits).

    Args:
        logits: [..., classes].
        labels: [...], integers.

    Returns:
        [...], nats.
    """
    _check_shapes(logits.shape[:-1], labels.shape, "logits without their last axis")
    return dist.Categorical(logits=logits).log_prob(labels)


def _check_shapes(outputs, targets, what):
    if outputs != targets:
        raise ValueError(
            f"targets have the shape of the {what}, {outputs}; got {targets}. "
            "A missing axis would broadcast to all pairs"
        )
