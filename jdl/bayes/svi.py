"""NumPyro's stochastic variational inference as an Algorithm, with any of its guides.

    loss = -ELBO of the guide, params of the guide descended by the optimizer of `SVI`

This is the way to the autoguides (normal, low rank, flows, Laplace) and to models written in
NumPyro; `jdl.bayes.elbo` is the same without NumPyro's handlers. Source: Hoffman, Blei, Wang,
Paisley 2013; 004 (Martinez-Ramon et al.), section 9.3.3; the NumPyro documentation of `SVI`.
"""

from typing import Any, NamedTuple

import jax
from numpyro.infer import SVI
from numpyro.infer.autoguide import AutoGuide
from numpyro.infer.svi import SVIState

from jdl.core import Algorithm, Key, Tree, Variables
from jdl.train.records import flat


class GuideState(NamedTuple):
    """The guide, and NumPyro's own state.

    Attributes:
        variables: its params are those of the guide by site, within their constraints; to be
            read, for NumPyro steps from its own.
        svi: the optimizer's state, which holds the params without constraints.
    """

    variables: Variables
    svi: SVIState


def from_svi(svi: SVI, batch: Any) -> Algorithm:
    """Runs NumPyro's SVI step by step.

    `init` traces model and guide, and NumPyro keeps what it finds in the SVI object itself: call
    it outside of `jax.jit`, once, before a step is traced.

    Args:
        svi: with model, guide, optimizer and loss; of `numpyro_model` give `num_examples=N` to
            SVI if batches are parts of the data.
        batch: a tuple of the model's arguments, or the only one, of the shapes of a step's batch.

    Returns:
        An Algorithm whose `init` needs a key; values of its variables by site replace the guide's
        first ones, `Variables({})` replaces none. Info: `loss`, nats.

    Raises:
        ValueError: from `init`, no key.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpyro
        >>> import optax
        >>> from numpyro.distributions import Normal
        >>> from numpyro.infer import Trace_ELBO
        >>> from numpyro.infer.autoguide import AutoNormal
        >>> def model(x):
        ...     mean = numpyro.sample("mean", Normal(0.0, 10.0))
        ...     numpyro.sample("x", Normal(mean, 1.0).expand(x.shape).to_event(1), obs=x)
        >>> svi = SVI(model, AutoNormal(model), optax.adam(0.1), Trace_ELBO())
        >>> algorithm = from_svi(svi, jnp.ones(3))
        >>> state = algorithm.init(Variables({}), jax.random.key(0))
        >>> state, info = algorithm.step(state, jnp.ones(3), jax.random.key(1))
        >>> sorted(state.variables.params)
        ['mean_auto_loc', 'mean_auto_scale']
    """

    def init(variables, key=None):
        if key is None:
            raise ValueError("guides start with a key: init(Variables({}), key)")
        inner = svi.init(key, *_arguments(batch), init_params=dict(variables.params))
        return GuideState(Variables(svi.get_params(inner), variables.buffers), inner)

    def step(state, batch, key):
        inner, loss = svi.update(state.svi._replace(rng_key=key), *_arguments(batch))
        params = svi.get_params(inner)
        return GuideState(Variables(params, state.variables.buffers), inner), {"loss": loss}

    return Algorithm(init, step)


def guide_draws(guide: AutoGuide, guide_params: Tree, like: Tree, key: Key, num_draws: int) -> Tree:
    """Draws of the params of a model from a guide over `numpyro_model`.

    Args:
        guide: after its SVI was started.
        guide_params: by site, `state.variables.params`.
        like: the model's params, or their shapes, `jax.eval_shape(model.init, key).params`.
        key: of the draws.
        num_draws: of each leaf.

    Returns:
        A tree like `like`, leaves [num_draws, ...].

    Raises:
        ValueError: the guide has no site of the path of a leaf.
    """
    keys = jax.random.split(key, num_draws)
    sites = jax.vmap(lambda key: guide.sample_posterior(key, guide_params))(keys)
    missing = [path for path in flat(like) if path not in sites]
    if missing:
        raise ValueError(
            f"the guide has no sites {missing}, but {sorted(sites)}; sites of "
            "jdl.bayes.densities.numpyro_model are the paths of the params"
        )
    return jax.tree.unflatten(jax.tree.structure(like), [sites[path] for path in flat(like)])


def _arguments(batch):
    return batch if isinstance(batch, tuple) else (batch,)
