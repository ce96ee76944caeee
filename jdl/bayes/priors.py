"""Priors of the params of a model: a NumPyro distribution for every entry, chosen by its path.

    log prior(params) = sum over leaves, sum over entries of log p_path(entry)

A path is what `jdl.train.records.flat` and checkpoints call a leaf: `layers.0.kernel`. A normal
prior of variance s^2 is weight decay of 1/s^2 (004, Martinez-Ramon et al., eq. 9.6).
"""

import fnmatch
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro import distributions as dist

from jdl.core import Key, Tree
from jdl.train.records import flat


class ByPattern(NamedTuple):
    """A prior that looks up the path of a leaf among patterns; made by `by_pattern`.

    Attributes:
        patterns: from pattern to the distribution of an entry.
    """

    patterns: Mapping[str, dist.Distribution]

    def __call__(self, path: str) -> dist.Distribution:
        """The distribution of the entries of the leaf at a path.

        Raises:
            ValueError: no pattern fits the path, or more than one.
        """
        fitting = [name for name in self.patterns if fnmatch.fnmatchcase(path, name)]
        if len(fitting) != 1:
            said = f"{len(fitting)} do: {', '.join(map(repr, fitting))}" if fitting else "none does"
            raise ValueError(
                f"one pattern of a prior fits each parameter, so that it has one density; of "
                f"{sorted(self.patterns)} for {path!r} {said}"
            )
        return self.patterns[fitting[0]]


Prior = dist.Distribution | ByPattern | Callable[[str], dist.Distribution]


def by_pattern(patterns: Mapping[str, dist.Distribution]) -> ByPattern:
    """A prior for each of the groups of params that a pattern names.

    Args:
        patterns: from a pattern of paths, as of the shell (`*.bias`, `layers.[01].*`), to the
            distribution of an entry. Each path must fit one of them, each pattern some path.

    Returns:
        A Prior.

    Example:
        >>> prior = by_pattern({"*kernel": dist.Normal(0.0, 1.0), "*bias": dist.Normal(0.0, 10.0)})
        >>> float(prior("layers.0.bias").scale)
        10.0
    """
    return ByPattern(dict(patterns))


def scale_mixture(weight: float, wide_std: float, narrow_std: float) -> dist.Distribution:
    """The scale mixture prior: weight * N(0, wide^2) + (1 - weight) * N(0, narrow^2).

    Args:
        weight: of the wide component, in (0, 1).
        wide_std: its standard deviation.
        narrow_std: of the other, much smaller: most weights are near 0.

    Returns:
        The distribution of one entry.

    Raises:
        ValueError: the weight is not in (0, 1), or a deviation is not positive.

    Source: Blundell, Cornebise, Kavukcuoglu, Wierstra 2015, eq. 7, who search weight in
    {1/4, 1/2, 3/4}, -log wide in {0, 1, 2} and -log narrow in {6, 7, 8}.
    """
    if not 0 < weight < 1 or min(wide_std, narrow_std) <= 0:
        raise ValueError(
            "a mixture has a weight in (0, 1) and positive deviations; got "
            f"weight={weight}, wide_std={wide_std}, narrow_std={narrow_std}"
        )
    mixing = dist.Categorical(probs=jnp.array([weight, 1 - weight]))
    return dist.MixtureSameFamily(mixing, dist.Normal(0.0, jnp.array([wide_std, narrow_std])))


def entry_prior(prior: Prior, path: str) -> dist.Distribution:
    """The distribution of one entry of the leaf at a path.

    Raises:
        ValueError: it is not of a single number.
    """
    own = prior if isinstance(prior, dist.Distribution) else prior(path)
    if own.batch_shape or own.event_shape:
        raise ValueError(
            "a prior is the distribution of one number, which is applied to each entry; got "
            f"{type(own).__name__} of shape {own.batch_shape + own.event_shape} for {path!r}"
        )
    return own


def prior_terms(prior: Prior, params: Tree) -> dict[str, jax.Array]:
    """The log density of each leaf.

    Args:
        prior: of the params.
        params: a tree.

    Returns:
        From path to nats [].

    Raises:
        ValueError: a path that no pattern fits or several do, a pattern that fits no path, or a
            distribution of more than one number.
    """
    leaves = flat(params)
    if isinstance(prior, ByPattern):
        idle = [p for p in prior.patterns if not fnmatch.filter(leaves, p)]
        if idle:
            raise ValueError(
                f"each pattern of a prior fits some parameter; {idle} fit none of {list(leaves)}"
            )
    return {path: _sum_of_entries(entry_prior(prior, path), leaf) for path, leaf in leaves.items()}


def log_prior(prior: Prior) -> Callable[[Tree], jax.Array]:
    """The log density of params whose entries are independent.

    Args:
        prior: a NumPyro distribution of a single number, which every entry has; one by patterns;
            or any function from the path of a leaf to the distribution of its entries.

    Returns:
        params -> nats [].

    Raises:
        ValueError: at the call, see `prior_terms`.

    Example:
        >>> by_path = lambda path: dist.Normal(0.0, 10.0 if path.endswith("bias") else 1.0)
        >>> density = log_prior(by_path)
        >>> round(float(density({"kernel": jnp.ones(2), "bias": jnp.zeros(1)})), 3)
        -6.059
    """
    return lambda params: sum(prior_terms(prior, params).values(), start=jnp.zeros([]))


def sample_prior(prior: Prior, like: Tree, key: Key) -> Tree:
    """Draws params from their prior.

    Args:
        prior: of the params.
        like: a tree of arrays or of their shapes, `jax.eval_shape(model.init, key).params`.
        key: of the draw.

    Returns:
        A tree like `like`.
    """
    paths, structure = list(flat(like)), jax.tree.structure(like)
    keys = jax.random.split(key, len(paths))

    def of_leaf(path, key, leaf):
        draw = jax.vmap(entry_prior(prior, path).sample)
        return draw(jax.random.split(key, leaf.size)).reshape(leaf.shape).astype(leaf.dtype)

    drawn = map(of_leaf, paths, keys, jax.tree.leaves(like))
    return jax.tree.unflatten(structure, list(drawn))


def _sum_of_entries(own, leaf):
    """Entry by entry: a mixture would promote the rank of the whole leaf."""
    return jnp.sum(jax.vmap(own.log_prob)(jnp.ravel(leaf)))
