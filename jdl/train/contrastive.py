"""Contrastive divergence, for any model that gives a free energy and can make a Gibbs sweep.

    direction = d/dparams [ mean F(v) - mean F(v') ],      v' after k sweeps that start from
        the data                              contrastive divergence, CD-k
        where the chains of the last step are persistent contrastive divergence

The gradient of the negative log-likelihood has v' drawn from the model itself, k = infinity. For
a restricted Boltzmann machine dF/dW_ij = - v_i p(h_j | v), so the direction is
<v h>_model - <v h>_data with probabilities of the hidden units, which has less variance than
states and the same mean (Hinton 2010, section 3.2). v' are states.

Sources: Hinton 2002; Tieleman 2008; 004 eq. 7.10 to 7.13, which sums over the batch and takes
states; here it is the mean over the batch, as everywhere, so its rate is ours divided by B. 004
gives the gradient of the divergence with the opposite sign before eq. 7.6; its update 7.11 is
right, and so is this.
"""

import jax
import jax.numpy as jnp

from jdl.core import Estimator, Key, Model, Variables


def contrastive_divergence(model: Model, sweeps: int = 1) -> Estimator:
    """CD-k.

    Args:
        model: v [B, V] -> free energy [B], with a method `gibbs`: v and a key -> (v', h).
        sweeps: k.

    Returns:
        An Estimator of batches v [B, V]. Info: `reconstruction_error`, the mean of (v - v')^2;
        `contrast`, mean F(v) - mean F(v'), nats, which is no loss: it does not measure progress.

    Raises:
        ValueError: `sweeps` below 1.
    """
    _check(sweeps)

    def estimate(params, buffers, batch, key):
        end = swept(model, Variables(params, buffers), batch, key, sweeps)
        direction, contrast = _contrast(model, params, buffers, batch, end)
        error = jnp.mean((batch - end) ** 2)
        return direction, buffers, {"contrast": contrast, "reconstruction_error": error}

    return estimate


def persistent_contrastive_divergence(model: Model, sweeps: int = 1) -> Estimator:
    """CD-k whose chains go on from step to step.

    Args:
        model: as of `contrastive_divergence`.
        sweeps: k, in each step.

    Returns:
        An Estimator of batches v [B, V] and of buffers as `with_chains` makes them. Info:
        `contrast`.

    Raises:
        ValueError: `sweeps` below 1; from the Estimator, buffers without chains.
    """
    _check(sweeps)

    def estimate(params, buffers, batch, key):
        if not isinstance(buffers, dict) or "chains" not in buffers:
            raise ValueError(
                "persistent chains are kept in the buffers; got none there. Start from "
                "algorithm.init(with_chains(variables, chains))"
            )
        own = buffers["model"]
        end = swept(model, Variables(params, own), buffers["chains"], key, sweeps)
        direction, contrast = _contrast(model, params, own, batch, end)
        return direction, {"model": own, "chains": end}, {"contrast": contrast}

    return estimate


def with_chains(variables: Variables, chains: jax.Array) -> Variables:
    """The variables of a model with the chains of persistent contrastive divergence.

    Args:
        variables: of the model.
        chains: where they start [C, V], drawn at random or from the data.

    Returns:
        Variables with buffers {"model": ..., "chains": ...}; `model_variables` are the model's
        again, to evaluate.
    """
    return Variables(variables.params, {"model": variables.buffers, "chains": chains})


def swept(model: Model, variables: Variables, v: jax.Array, key: Key, sweeps: int) -> jax.Array:
    """Runs chains for some sweeps: what the model dreams, started at v.

    Args:
        model: with a method `gibbs`: v and a key -> (v', h).
        variables: of it.
        v: where the chains start [B, V].
        key: of the draws.
        sweeps: number of them.

    Returns:
        [B, V], states, of the dtype that `gibbs` gives.
    """

    def sweep(v, key):
        return model.apply(variables, v, key=key, method="gibbs")[0][0]

    keys = jax.random.split(key, sweeps)
    start = v.astype(jax.eval_shape(sweep, v, key).dtype)
    return jax.lax.scan(lambda v, key: (sweep(v, key), None), start, keys)[0]


def _contrast(model, params, buffers, data, dreamt):
    """The derivative of mean F(data) - mean F(dreamt) with both held, and its value."""
    data, dreamt = jax.lax.stop_gradient((data, dreamt))

    def contrast(params):
        variables = Variables(params, buffers)
        return model.apply(variables, data)[0].mean() - model.apply(variables, dreamt)[0].mean()

    value, direction = jax.value_and_grad(contrast)(params)
    return direction, value


def _check(sweeps):
    if sweeps < 1:
        raise ValueError(f"chains make at least one sweep in a step; got sweeps={sweeps}")
