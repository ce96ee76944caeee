"""NumPyro's HMC and NUTS as algorithms.

The kernel brings its own warm-up (Stan's windows: step size and mass), so this is both the
reference for the samplers written here and the way to the No-U-Turn sampler (Hoffman and Gelman
2014). NUTS under `jax.vmap` waits for its slowest chain.
"""

from typing import NamedTuple

from numpyro.infer.hmc import HMC, HMCState

from jdl.core import Algorithm, Variables


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
