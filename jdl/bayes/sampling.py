"""Draws from a posterior: many chains, their warm-up, and whether to believe them, in one call.

    starts      one a chain, drawn again where the density is not finite
    warm-up     steps of the sampler that are left out
    draws       every `thin`-th position after it, on the host

The params are one vector inside, however many leaves they have: samplers run fastest so, and dense
masses are matrices. What stays in memory is chains * draws * params; steps cost none.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jdl.bayes.densities import Posterior
from jdl.bayes.diagnostics import Diagnosis, diagnose
from jdl.core import Algorithm, Key, Tree, Variables
from jdl.train.dispatch import dispatcher
from jdl.train.ensemble import ensemble
from jdl.train.feed import feed
from jdl.train.pace import Pace, bar, interrupts

Sampler = Callable[[Callable[[Tree], jax.Array], int], Algorithm]

TRIES = 20  # starts of a chain before it is given up
DISPATCH_BYTES = 2**25  # of draws that wait on the device
PROBES = 128  # function values that are diagnosed


class Sampled(NamedTuple):
    """What `sample` returns.

    Attributes:
        draws: tree like the params, leaves [chains, draws, ...].
        info: by name, what the sampler reported at each draw, [chains, draws].
        diagnosis: whether to believe the draws; print it.
        state: of all chains after the last step.
        reason: why it ended, in words.
    """

    draws: Tree
    info: dict[str, np.ndarray]
    diagnosis: Diagnosis
    state: Any
    reason: str


def sample(
    posterior: Posterior,
    sampler: Sampler,
    key: Key,
    *,
    chains: int = 4,
    warmup: int = 1000,
    draws: int = 1000,
    thin: int = 1,
    starts: Tree | None = None,
    mesh: Mesh | None = None,
    progress: bool | None = None,
) -> Sampled:
    """Draws from a posterior by chains that do not know each other.

    Args:
        posterior: of `jdl.bayes.posterior`, or `density_target` for any log density.
        sampler: (log density, steps of warm-up) -> Algorithm: `adaptive_hmc`, `nuts`,
            `adaptive_metropolis`, with other settings by `functools.partial`; or a lambda that
            leaves out the warm-up.
        key: of the starts and of all steps.
        chains: how many, side by side by `jax.vmap`; four tell whether they agree.
        warmup: steps of each chain that are left out.
        draws: of each chain that are kept.
        thin: steps from one kept draw to the next.
        starts: params with a leading axis of chains; None draws them by `posterior.init`.
        mesh: of one axis, whose devices share the chains; see `jdl.train.parallel.data_mesh`.
        progress: whether a bar is shown; None shows it in a terminal and in a notebook.

    Returns:
        Sampled. Its diagnosis is logged as a warning if there is reason to doubt the draws. After
        Ctrl-C it has the draws so far.

    Raises:
        ValueError: no start with a finite density was found: says which term of it is not.

    Example:
        >>> from numpyro.distributions import Normal
        >>> from jdl.bayes import adaptive_hmc, posterior
        >>> from jdl.bayes.likelihoods import gaussian
        >>> from jdl.models.mlp import mlp
        >>> data = jnp.array([[-1.0], [1.0]]), jnp.array([[-2.0], [2.0]])
        >>> target = posterior(mlp([1, 1]), Normal(0.0, 1.0), gaussian(0.5), data)
        >>> sampled = sample(target, adaptive_hmc, jax.random.key(0), warmup=300, draws=300)
        >>> slope = sampled.draws["layers"]["0"]["kernel"]
        >>> slope.shape, round(float(slope.mean()), 1)  # 2 * 8 / (8 + 1)
        ((4, 300, 1, 1), 1.8)
    """
    options = {"chains": chains, "warmup": warmup, "draws": draws, "thin": thin}
    options |= {"starts": starts, "mesh": mesh, "progress": progress}
    return sample_jointly(posterior, lambda d, w: ensemble(sampler(d, w)), key, **options)


def sample_jointly(
    posterior: Posterior,
    sampler: Sampler,
    key: Key,
    *,
    chains: int = 16,
    warmup: int = 1000,
    draws: int = 1000,
    thin: int = 1,
    starts: Tree | None = None,
    mesh: Mesh | None = None,
    progress: bool | None = None,
) -> Sampled:
    """Draws from a posterior by a sampler whose chains learn from each other: `chees_hmc`.

    Args:
        posterior: see `sample`.
        sampler: (log density of one chain, steps of warm-up) -> Algorithm whose variables and info
            have a leading axis of chains.
        key: see `sample`.
        chains: how many.
        warmup: see `sample`.
        draws: see `sample`.
        thin: see `sample`.
        starts: see `sample`.
        mesh: see `sample`.
        progress: see `sample`.

    Returns:
        Sampled, as `sample` does.

    Raises:
        ValueError: see `sample`.
    """
    if min(chains, thin) < 1 or draws < 4 or warmup < 0:
        raise ValueError(
            "there is at least one chain, four draws of each (fewer cannot be diagnosed), one step "
            "to a draw, and the warm-up is not negative; got "
            f"chains={chains}, draws={draws}, thin={thin}, warmup={warmup}"
        )
    key_start, key_init, key_steps = jax.random.split(key, 3)
    shapes = jax.eval_shape(posterior.init, key_start)
    _, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))

    def log_density(vector):
        return posterior.log_density(unravel(vector))

    vectors = _starts(posterior, log_density, unravel, key_start, chains, starts)
    if mesh is not None:
        vectors = jax.device_put(vectors, NamedSharding(mesh, PartitionSpec(*mesh.axis_names)))
    algorithm = _with_position(sampler(log_density, warmup))
    state = jax.jit(algorithm.init)(Variables(vectors), key_init)
    state, kept, reason = _chains(algorithm, state, key_steps, warmup, draws, thin, progress)

    drawn = jax.tree.map(np.asarray, jax.vmap(jax.vmap(unravel))(kept.pop("position")))
    diagnosis = diagnose(drawn, kept, _values(posterior, drawn))
    if diagnosis.problems:
        logging.getLogger(__name__).warning("%s", diagnosis)
    return Sampled(drawn, kept, diagnosis, state, reason)


def _with_position(algorithm):
    def step(state, batch, key):
        state, info = algorithm.step(state, batch, key)
        return state, {"position": state.variables.params, **info}

    return Algorithm(algorithm.init, step)


def _chains(algorithm, state, key, warmup, draws, thin, progress):
    """The last state, what was kept [chains, draws, ...], and why it ended."""
    steps, step, kept, reason = warmup + draws * thin, 0, [], ""
    size = state.variables.params.nbytes
    source = feed(None, key, None, 0, max(1, min(1000, DISPATCH_BYTES // size)))
    dispatch, pace = dispatcher(algorithm, source), Pace(source.capacity)
    with interrupts() as interrupted, bar(progress, steps, 0) as shown:
        while step < steps and not interrupted:
            rows, count = source.rows(step, min(pace.steps(), steps - step))
            with pace.timing(count):
                state, info, count, _ = dispatch(state, rows, key, step, count)
            chosen = np.arange(step, step + count) - warmup
            chosen = (chosen >= 0) & (chosen % thin == thin - 1)
            kept.append({name: x[chosen] for name, x in info.items()})
            step += count
            shown.update(count)
    joined = {name: np.concatenate([x[name] for x in kept]) for name in kept[0]}
    found = len(joined["position"])
    if found < 4:
        raise KeyboardInterrupt(f"interrupted after step {step}, with {found} draws of a chain")
    reason = f"all {steps} steps are done" if step == steps else f"interrupted after step {step}"
    return state, {name: np.moveaxis(x, 0, 1) for name, x in joined.items()}, reason


def _starts(posterior, log_density, unravel, key, chains, given):
    """Vectors [chains, D] at which the density and its gradient are finite."""

    def is_finite(vector):
        value, slope = jax.value_and_grad(log_density)(vector)
        return jnp.isfinite(value) & jnp.isfinite(slope).all()

    def ravel(params):
        return ravel_pytree(params)[0]

    check = jax.jit(jax.vmap(is_finite))
    if given is not None:
        vectors = jax.vmap(ravel)(given)
        if len(vectors) != chains:
            raise ValueError(f"`starts` holds one start a chain, {chains}; got {len(vectors)}")
        good, tries = check(vectors), 1
    else:
        draw = jax.jit(jax.vmap(lambda key: ravel(posterior.init(key))))
        vectors, good, tries = 0.0, jnp.zeros([chains], bool), 0
        while tries < TRIES and not good.all():
            keys = jax.random.split(jax.random.fold_in(key, tries), chains)
            vectors = jnp.where(good[:, None], vectors, draw(keys))
            good, tries = check(vectors), tries + 1
    if not good.all():
        bad = int(jnp.argmin(good))
        terms = jax.jit(posterior.terms)(unravel(vectors[bad]))
        culprits = [name for name, x in terms.items() if not jnp.isfinite(x)]
        raise ValueError(
            f"no start of chain {bad} has a finite density and gradient, in {tries} tries; not "
            f"finite: {', '.join(culprits) or 'the gradient alone'}. Look at that term, or give "
            "`starts` where it is finite, of training for instance"
        )
    return vectors


def _values(posterior, draws):
    """Function values at the data [chains, draws, at most PROBES]."""
    flattened = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), draws)

    def values(params):
        outputs, _ = ravel_pytree(posterior.outputs(params))
        return outputs[:: -(-outputs.size // PROBES)]

    found = jax.jit(lambda draws: jax.lax.map(values, draws, batch_size=64))(flattened)
    return np.asarray(found).reshape(*jax.tree.leaves(draws)[0].shape[:2], -1)
