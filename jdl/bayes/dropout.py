"""Monte Carlo dropout: outputs of a network that goes on dropping units when it predicts.

    outputs_t = f(x; mask_t),    t = 1 .. T
    mean      = 1/T sum_t outputs_t
    variance  = 1/tau + 1/T sum_t outputs_t^2 - mean^2        (regression)

Training with dropout and weight decay lowers an upper bound of the divergence between masked
weights and the posterior of a Gaussian process of length scale l, whose noise has the precision tau
of `dropout_precision`. Source: Gal and Ghahramani 2016 (Dropout as a Bayesian approximation), eq. 6
to 8. Each draw has one mask for each example. The spread of the outputs does not narrow as the data
grow unless rate or decay are tuned (Osband 2016), so compare its calibration with others.
"""

import jax

from jdl.core import Key, Model, Tree, Variables
from jdl.train.records import flat


def dropout_outputs(
    model: Model, variables: Variables, inputs: Tree, key: Key, num_draws: int
) -> Tree:
    """Outputs with units dropped at random, as while training.

    Args:
        model: which draws noise if `train=True`.
        variables: trained; nothing in them changes.
        inputs: [B, ...].
        key: of the masks.
        num_draws: T, 100 or so; all are in memory at once.

    Returns:
        Outputs with a first axis of draws, for `jnp.mean(draws, 0)` or, of logits, the mean of
        their softmax.

    Raises:
        ValueError: the model draws no noise; or training passes rewrite its buffers, as those of
            BatchNorm, which would normalise by the batch and not by what was learned.

    Example:
        >>> import jax.numpy as jnp
        >>> from jdl.models.mlp import mlp
        >>> model = mlp([1, 50, 1], dropout_rate=0.2)
        >>> variables = model.init(jax.random.key(0))
        >>> dropout_outputs(model, variables, jnp.ones([5, 1]), jax.random.key(1), 100).shape
        (100, 5, 1)
    """

    def outputs(key):
        return model.apply(variables, inputs, key=key, train=True)[0]

    _check_noise(model, variables, inputs, key)
    return jax.vmap(outputs)(jax.random.split(key, num_draws))


def dropout_precision(
    dropout_rate: float, length_scale: float, num_examples: int, weight_decay: float
) -> float:
    """The precision of the noise that dropout with weight decay assumes in a regression.

        tau = (1 - dropout_rate) length_scale^2 / (2 N weight_decay)

    Args:
        dropout_rate: probability of dropping a unit; the paper's p is of keeping it.
        length_scale: of the prior: a weight is N(0, 1 / length_scale^2).
        num_examples: N, of the training data.
        weight_decay: of a loss that is the mean over examples of half the squared error, plus
            weight_decay times the sum of squared weights. Optax's `add_decayed_weights(d)`, placed
            before the optimizer, is d / 2 here; `adamw` decays outside of the loss, so it has none.

    Returns:
        1 / variance of the noise, in 1 / the square of the unit of the targets.

    Raises:
        ValueError: a rate outside [0, 1), or another argument that is not positive.

    Source: Gal and Ghahramani 2016, eq. 7.

    Example:
        >>> round(dropout_precision(0.1, 0.5, 100, 0.001), 6)
        1.125
    """
    if not 0 <= dropout_rate < 1 or min(length_scale, num_examples, weight_decay) <= 0:
        raise ValueError(
            "expected a dropout_rate in [0, 1) and a positive length_scale, num_examples and "
            f"weight_decay; got {dropout_rate}, {length_scale}, {num_examples}, {weight_decay}"
        )
    return (1 - dropout_rate) * length_scale**2 / (2 * num_examples * weight_decay)


def _check_noise(model, variables, inputs, key):
    """Refuses by what the traced computation depends on, which holds under jit, too."""
    params, buffers = variables

    def passed(buffers, key):
        outputs, after = model.apply(Variables(params, buffers), inputs, key=key, train=True)
        return after, outputs

    traced = jax.make_jaxpr(passed)(buffers, key).jaxpr
    names, count = list(flat(buffers)), len(jax.tree.leaves(buffers))
    changed = [
        name
        for name, before, after in zip(names, traced.invars, traced.outvars, strict=False)
        if before is not after
    ]
    if changed:
        raise ValueError(
            f"a pass with dropout rewrites buffers of this model ({', '.join(changed)}): BatchNorm "
            "would normalise by the batch that is predicted. Take a model with LayerNorm or "
            "GroupNorm, or `jdl.bayes.laplace` or `jdl.bayes.swag` for this one"
        )
    if not _reaches(traced, traced.invars[-1], traced.outvars[count:]):
        raise ValueError(
            "this model draws no noise while training, so that all draws would be equal. "
            "Give it a dropout_rate above 0"
        )


def _reaches(traced, source, ends):
    """Whether some of the ends are computed from the source."""
    found = {source}
    for equation in traced.eqns:
        # Literals among the inputs are not hashable.
        if any(x in found for x in equation.invars if not hasattr(x, "val")):
            found.update(equation.outvars)
    return any(x in found for x in ends if not hasattr(x, "val"))
