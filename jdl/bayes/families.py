"""Variational families: distributions over params trees with parameters of their own.

    mean_field           theta = mean + std * noise,                std = softplus(rho)
    full_rank            theta = mean + L noise,                    L lower triangular
    low_rank             theta = mean + std * noise + F noise',     F [params, rank]
    from_distributions   a NumPyro distribution for each leaf: Normal, Gamma, Dirichlet, ...

A family is pure functions of its parameters, the tree that is learned: `jdl.bayes.elbo` descends
it. All draws are reparameterised: they have a derivative by these parameters. Many draws by
`jax.vmap(family.draw, (None, 0))`, which have a leading axis as those of a chain.

Source: 004 (Martinez-Ramon et al.), eq. 9.26 and section 9.3.3, which names normal, gamma and
Dirichlet families; Kucukelbir et al. 2017 (full rank); Ong, Nott, Smith 2018 (low rank); Figurnov,
Mohamed, Mnih 2018 (derivatives of gamma and Dirichlet draws).
"""

import fnmatch
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.core import Key, Tree
from jdl.nn.variational_layers import inverse_softplus
from jdl.train.records import flat


class Family(NamedTuple):
    """Pure functions of a tree of variational parameters.

    Attributes:
        init: (params, key=None) -> variational parameters about these params.
        draw: (variational, key) -> params.
        log_prob: (variational, params) -> nats [].
        entropy: variational -> nats [], or None where there is no closed form.
        moments: variational -> means and variances of the entries, two trees like params.
    """

    init: Callable[..., Tree]
    draw: Callable[[Tree, Key], Tree]
    log_prob: Callable[[Tree, Tree], jax.Array]
    entropy: Callable[[Tree], jax.Array] | None
    moments: Callable[[Tree], tuple[Tree, Tree]]


class Factor(NamedTuple):
    """The variational parameters of one leaf of `from_distributions`.

    Attributes:
        arguments: of the distribution, by name, each mapped to all real numbers.
    """

    arguments: dict[str, jax.Array]


def mean_field(initial_std: float = 0.1) -> Family:
    """Independent normal entries, theta = mean + softplus(rho) * noise.

    Args:
        initial_std: of every entry at the start.

    Returns:
        A Family; variational parameters {"mean": like params, "rho": like params}.

    Raises:
        ValueError: a deviation that is not positive.

    Example:
        >>> family = mean_field(0.5)
        >>> start = family.init({"w": jnp.ones(3)})
        >>> mean, variance = family.moments(start)
        >>> [round(float(tree["w"][0]), 4) for tree in (mean, variance)]
        [1.0, 0.25]
        >>> family.draw(start, jax.random.key(0))["w"].shape
        (3,)
    """
    rho = inverse_softplus(initial_std)

    def init(params, key=None):
        return {"mean": params, "rho": jax.tree.map(lambda x: jnp.full_like(x, rho), params)}

    def draw(variational, key):
        noise = normal_noise(key, variational["mean"])
        return reparameterized(variational, noise)

    def log_prob(variational, params):
        return _sum(
            lambda m, r, x: jax.scipy.stats.norm.logpdf(x, m, jax.nn.softplus(r)),
            variational["mean"],
            variational["rho"],
            params,
        )

    def entropy(variational):
        return _sum(lambda r: _normal_entropy(jax.nn.softplus(r)), variational["rho"])

    def moments(variational):
        variances = jax.tree.map(lambda r: jax.nn.softplus(r) ** 2, variational["rho"])
        return variational["mean"], variances

    return Family(init, draw, log_prob, entropy, moments)


def full_rank(initial_std: float = 0.1) -> Family:
    """A normal distribution with any covariance, L L', of n entries in all.

    L has softplus(rho) on its diagonal and `lower` beneath it.

    Args:
        initial_std: of every entry at the start, independent.

    Returns:
        A Family; variational parameters {"mean", "rho": like params, "lower": [n, n]}, of which
        what is not beneath the diagonal is not used.

    Raises:
        ValueError: a deviation that is not positive.
    """
    diagonal = mean_field(initial_std)

    def init(params, key=None):
        size = sum(x.size for x in jax.tree.leaves(params))
        return diagonal.init(params) | {"lower": jnp.zeros([size, size])}

    def draw(variational, key):
        mean, unravel = ravel_pytree(variational["mean"])
        return unravel(mean + _factor(variational) @ jax.random.normal(key, mean.shape))

    def log_prob(variational, params):
        offset = ravel_pytree(params)[0] - ravel_pytree(variational["mean"])[0]
        noise = jax.scipy.linalg.solve_triangular(_factor(variational), offset, lower=True)
        logarithm = _sum(lambda r: jnp.log(jax.nn.softplus(r)), variational["rho"])
        return jnp.sum(jax.scipy.stats.norm.logpdf(noise)) - logarithm

    def moments(variational):
        _, unravel = ravel_pytree(variational["mean"])
        return variational["mean"], unravel(jnp.sum(_factor(variational) ** 2, axis=1))

    return Family(init, draw, log_prob, diagonal.entropy, moments)


def low_rank(rank: int, initial_std: float = 0.1) -> Family:
    """A normal distribution of covariance diag(std^2) + F F', with n (rank + 2) parameters.

    Args:
        rank: columns of F.
        initial_std: of every entry at the start.

    Returns:
        A Family; variational parameters {"mean", "rho": like params, "factor": [n, rank]}. `init`
        takes a key: F = 0 is a saddle point, so F starts as noise of a hundredth of the deviation.

    Raises:
        ValueError: a deviation or rank that is not positive; from `init`, no key.
    """
    if rank < 1:
        raise ValueError(f"a rank is at least 1; got {rank}. Rank 0 is mean_field")
    diagonal = mean_field(initial_std)

    def init(params, key=None):
        if key is None:
            raise ValueError("low_rank starts its factor at random: give init(params, key) a key")
        size = sum(x.size for x in jax.tree.leaves(params))
        factor = 0.01 * initial_std * jax.random.normal(key, [size, rank])
        return diagonal.init(params) | {"factor": factor}

    def distribution(variational):
        mean, rho = (ravel_pytree(variational[name])[0] for name in ("mean", "rho"))
        variances = jax.nn.softplus(rho) ** 2
        return dist.LowRankMultivariateNormal(mean, variational["factor"], variances)

    def draw(variational, key):
        return ravel_pytree(variational["mean"])[1](distribution(variational).sample(key))

    def log_prob(variational, params):
        return distribution(variational).log_prob(ravel_pytree(params)[0])

    def moments(variational):
        unravel = ravel_pytree(variational["mean"])[1]
        return variational["mean"], unravel(distribution(variational).variance)

    return Family(init, draw, log_prob, lambda v: distribution(v).entropy(), moments)


def from_distributions(starts: Mapping[str, dist.Distribution]) -> Family:
    """Independent leaves with a NumPyro distribution for each, the arguments learned.

    Args:
        starts: from a pattern of paths, as of the shell (`*.bias`), to the distribution that an
            entry has at the start; the first that fits counts. A distribution of vectors, such as
            Dirichlet, is over the last axis. Its draws must be reparameterised.

    Returns:
        A Family; variational parameters are a tree of `Factor`, one for each leaf, with the
        arguments mapped to all real numbers by `numpyro.distributions.biject_to`. Its entropy is
        None if a distribution has none in closed form.

    Raises:
        ValueError: a distribution whose draws have no derivative; from `init`, a leaf that no
            pattern fits or whose last axis is not the distribution's.

    Example:
        >>> family = from_distributions({"rate": dist.Gamma(2.0, 4.0), "*": dist.Normal(0.0, 1.0)})
        >>> start = family.init({"rate": jnp.ones(2), "shift": jnp.ones([])})
        >>> family.moments(start)[0]["rate"].tolist()
        [0.5, 0.5]
    """
    for pattern, own in starts.items():
        if not own.has_rsample or not own.reparametrized_params:
            raise ValueError(
                f"draws of {type(own).__name__} for {pattern!r} have no derivative; take a "
                "reparameterised distribution, or jdl.bayes.elbo.score_function with a Family of "
                "your own"
            )

    def start_of(path):
        for pattern, own in starts.items():
            if fnmatch.fnmatchcase(path, pattern):
                return own
        raise ValueError(f"no pattern of {sorted(starts)} fits {path!r}; add '*' for the rest")

    def init(params, key=None):
        factors = [_factor_of(start_of(path), path, x.shape) for path, x in flat(params).items()]
        return jax.tree.unflatten(jax.tree.structure(params), factors)

    def by_leaf(function, variational, *trees):
        def apply(path, factor, *leaves):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            return function(_distribution(start_of(name), factor), *leaves)

        return jax.tree.map_with_path(
            apply, variational, *trees, is_leaf=lambda x: isinstance(x, Factor)
        )

    def draw(variational, key):
        structure = jax.tree.structure(variational, is_leaf=lambda x: isinstance(x, Factor))
        keys = jax.tree.unflatten(structure, list(jax.random.split(key, structure.num_leaves)))
        return by_leaf(lambda own, key: own.rsample(key), variational, keys)

    def log_prob(variational, params):
        terms = by_leaf(lambda own, x: jnp.sum(own.log_prob(x)), variational, params)
        return sum(jax.tree.leaves(terms), start=jnp.zeros([]))

    def entropy(variational):
        terms = by_leaf(lambda own: jnp.sum(own.entropy()), variational)
        return sum(jax.tree.leaves(terms), start=jnp.zeros([]))

    def moments(variational):
        means = by_leaf(lambda own: own.mean, variational)
        return means, by_leaf(lambda own: own.variance, variational)

    closed = all(type(own).entropy is not dist.Distribution.entropy for own in starts.values())
    return Family(init, draw, log_prob, entropy if closed else None, moments)


def normal_noise(key: Key, like: Tree) -> Tree:
    """Standard normal noise, a tree like the one given."""
    # In one draw: XLA compiles the generator anew for each leaf, half of what LeNet-5 waits for.
    vector, unravel = ravel_pytree(like)
    return unravel(jax.random.normal(key, vector.shape, vector.dtype))


def reparameterized(variational: Tree, noise: Tree) -> Tree:
    """The params mean + softplus(rho) * noise.

    Args:
        variational: {"mean", "rho"}, trees like params.
        noise: a tree like params.
    """
    return jax.tree.map(
        lambda m, r, e: m + jax.nn.softplus(r) * e, variational["mean"], variational["rho"], noise
    )


def _sum(function, *trees):
    terms = jax.tree.map(lambda *leaves: jnp.sum(function(*leaves)), *trees)
    return sum(jax.tree.leaves(terms), start=jnp.zeros([]))


def _normal_entropy(std):
    return jnp.log(std) + (1 + math.log(2 * math.pi)) / 2


def _factor(variational):
    std = jax.nn.softplus(ravel_pytree(variational["rho"])[0])
    return jnp.tril(variational["lower"], -1) + jnp.diag(std)


def _factor_of(start, path, shape):
    """The arguments of a distribution for each entry of a leaf, mapped to all real numbers."""
    batch = shape[: len(shape) - start.event_dim]
    if start.batch_shape or batch + start.event_shape != shape:
        raise ValueError(
            f"{type(start).__name__} with batch shape {start.batch_shape} and event shape "
            f"{start.event_shape} is no distribution of the entries of {path!r}, {shape}"
        )
    arguments = {}
    for name in start.reparametrized_params:
        free = dist.biject_to(start.arg_constraints[name]).inv(getattr(start, name))
        arguments[name] = jnp.broadcast_to(free, batch + jnp.shape(free)).astype(jnp.float32)
    return Factor(arguments)


def _distribution(start, factor):
    constrained = {
        name: dist.biject_to(start.arg_constraints[name])(free)
        for name, free in factor.arguments.items()
    }
    return type(start)(**constrained)
