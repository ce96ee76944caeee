"""NumPyro's HMC and NUTS as algorithms.

The kernel brings its own warm-up (Stan's windows: step size and mass), so this is both the
reference for the samplers written here and the way to the No-U-Turn sampler (Hoffman and Gelman
2014). NUTS under `jax.vmap` waits for its slowest chain.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from numpyro.infer import NUTS
from numpyro.infer.hmc import HMC, HMCState

from jdl.core import Algorithm, Tree, Variables


class KernelState(NamedTuple):
    """The variables, and the kernel's own state."""

    variables: Variables
    kernel: HMCState


def from_numpyro(kernel: HMC, num_warmup: int) -> Algorithm:
    """Runs NumPyro's kernel step by step.

    Args:
        kernel: HMC or NUTS of `numpyro.infer`, made with `potential_fn=lambda params:
            -log_density(params)`.
        num_warmup: the first steps, which adapt; leave their draws out.

    Returns:
        An Algorithm whose `init` needs a key; the batch is ignored. Info: `acceptance`,
        `diverged` 0 or 1, `num_steps` leapfrogs, and `energy` in nats.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> kernel = HMC(potential_fn=lambda x: jnp.sum(x**2) / 2)
        >>> chain = from_numpyro(kernel, num_warmup=50)
        >>> state = chain.init(Variables(jnp.zeros(2)), jax.random.key(0))
        >>> state, info = chain.step(state, None, jax.random.key(1))
        >>> sorted(info)
        ['acceptance', 'diverged', 'energy', 'num_steps']
    """

    def init(variables, key=None):
        if key is None:
            raise ValueError("NumPyro's kernels start with a key: init(variables, key)")
        return KernelState(variables, kernel.init(key, num_warmup, variables.params, (), {}))

    def step(state, batch, key):
        inner = kernel.sample(state.kernel._replace(rng_key=key), (), {})
        info = {
            "acceptance": inner.accept_prob,
            "diverged": inner.diverging.astype(float),
            "num_steps": inner.num_steps,
            "energy": inner.energy,
        }
        return KernelState(Variables(inner.z, state.variables.buffers), inner), info

    return Algorithm(init, step)


def nuts(
    log_density: Callable[[Tree], jax.Array],
    num_warmup: int,
    *,
    target: float = 0.8,
    max_tree_depth: int = 10,
    dense_mass: bool = False,
) -> Algorithm:
    """The No-U-Turn sampler of NumPyro, which finds step size, mass and length of a trajectory.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        num_warmup: steps that tune; leave their draws out.
        target: mean acceptance aimed at.
        max_tree_depth: a draw takes at most 2^depth leapfrogs.
        dense_mass: whether all covariances are found, not the variances alone.

    Returns:
        An Algorithm; see `from_numpyro`.
    """
    kernel = NUTS(
        potential_fn=lambda params: -log_density(params),
        target_accept_prob=target,
        max_tree_depth=max_tree_depth,
        dense_mass=dense_mass,
    )
    return from_numpyro(kernel, num_warmup)
