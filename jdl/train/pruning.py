"""Magnitude pruning: the weights nearest to zero are set to zero, and stay there.

    mask = rank of |w| >= round(sparsity * n)          over all weights, or layer by layer
    w    = mask * w
    sparsity_t = final + (initial - final) (1 - (t - begin) / (end - begin))^3      gradual

One shot: `magnitude_masks`, `masked`, then go on training with `keep_zeros` last in the chain.
Gradual: `gradual_pruning` last in the chain of a single run.

Source: Han et al. 2015 (prune, then train on); Zhu and Gupta 2017, eq. 1 (the cubic schedule, whose
masks are renewed every so many steps). Biases, scales and shifts are not pruned, unless `where`
says so.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Tree
from jdl.nn.penalties import Where, is_weight
from jdl.train.schedules import Schedule


def magnitude_masks(
    params: Tree,
    sparsity: float | jax.Array,
    *,
    where: Where = is_weight,
    per_layer: bool = False,
) -> Tree:
    """Which weights stay.

    Args:
        params: of a model.
        sparsity: the share of the weights that goes, in [0, 1]; it may be traced.
        where: (path, leaf) -> whether it is pruned at all.
        per_layer: whether each array loses this share of itself. Otherwise all weights are ranked
            together, and some layers lose more.

    Returns:
        A tree like `params` of booleans, True for what stays. Exactly round(sparsity * n) are
        False, with ties in the order of the tree.

    Raises:
        ValueError: a number outside [0, 1], or nothing to prune.

    Example:
        >>> masks = magnitude_masks({"kernel": jnp.array([0.1, -3.0, 2.0, 0.0])}, 0.5)
        >>> masks["kernel"].tolist()
        [False, True, True, False]
    """
    if isinstance(sparsity, float | int) and not 0 <= sparsity <= 1:
        raise ValueError(f"a sparsity lies in [0, 1]; got {sparsity}")
    chosen = _chosen(params, where)
    leaves, structure = jax.tree.flatten(params)
    if not any(chosen):
        raise ValueError("no parameter is a weight to prune; got where=False for all")
    sizes = [jnp.abs(x) for x, goes in zip(leaves, chosen, strict=True) if goes]
    if per_layer:
        stay = [_largest(x.ravel(), sparsity).reshape(x.shape) for x in sizes]
    else:
        ends = np.cumsum([x.size for x in sizes])[:-1]
        together = _largest(jnp.concatenate([x.ravel() for x in sizes]), sparsity)
        stay = [
            part.reshape(x.shape) for part, x in zip(jnp.split(together, ends), sizes, strict=True)
        ]
    found = iter(stay)
    return structure.unflatten(
        next(found) if goes else jnp.ones(x.shape, bool)
        for x, goes in zip(leaves, chosen, strict=True)
    )


def masked(params: Tree, masks: Tree) -> Tree:
    """The params with zeros where the masks are False.

    Args:
        params: of a model.
        masks: a tree like them, of booleans.
    """
    return jax.tree.map(lambda x, stays: jnp.where(stays, x, 0), params, masks)


def zero_share(params: Tree, where: Where = is_weight) -> jax.Array:
    """The share of the weights that are exactly zero, [].

    Args:
        params: of a model.
        where: (path, leaf) -> whether it counts.
    """
    counted = [x for x, c in zip(jax.tree.leaves(params), _chosen(params, where), strict=True) if c]
    return sum(jnp.sum(x == 0) for x in counted) / sum(x.size for x in counted)


def cubic_sparsity(final: float, begin: int, end: int, *, initial: float = 0.0) -> Schedule:
    """The sparsity of Zhu and Gupta: it rises fast at first, while there is much to lose.

    Args:
        final: from step `end` on.
        begin: the step it starts to rise at; `initial` before.
        end: the step it is reached at.
        initial: in [0, final].

    Returns:
        Step -> sparsity.

    Raises:
        ValueError: numbers in another order.

    Example:
        >>> schedule = cubic_sparsity(0.8, 10, 30)
        >>> [round(float(schedule(t)), 3) for t in (0, 10, 20, 30, 99)]
        [0.0, 0.0, 0.7, 0.8, 0.8]
    """
    if not 0 <= initial <= final <= 1 or not 0 <= begin < end:
        raise ValueError(
            "expected 0 <= initial <= final <= 1 and 0 <= begin < end; "
            f"got {initial}, {final}, {begin}, {end}"
        )

    def schedule(step):
        left = 1 - jnp.clip((step - begin) / (end - begin), 0, 1)
        return final + (initial - final) * left**3

    return schedule


class ZerosState(NamedTuple):
    """What stays zero: a tree of booleans like the params, False there."""

    masks: Tree


def keep_zeros(where: Where = is_weight) -> optax.GradientTransformation:
    """The last of a chain of transforms: weights that are zero at the start stay zero.

    Args:
        where: (path, leaf) -> whether its zeros are kept.

    Returns:
        An Optax transform. Its masks are a part of its state, so that params of another sparsity
        take no other program.

    Raises:
        ValueError: from `update`, without params.
    """

    def init(params):
        leaves, structure = jax.tree.flatten(params)
        return ZerosState(
            structure.unflatten(
                (x != 0) if goes else jnp.ones(x.shape, bool)
                for x, goes in zip(leaves, _chosen(params, where), strict=True)
            )
        )

    def update(updates, state, params=None):
        return _towards_zero(updates, state.masks, params), state

    return optax.GradientTransformation(init, update)


class PruningState(NamedTuple):
    """Of `gradual_pruning`.

    Attributes:
        step: [], updates made.
        masks: a tree of booleans like the params, False for what is zero.
    """

    step: jax.Array
    masks: Tree


def gradual_pruning(
    sparsity: Callable[[jax.Array], jax.Array],
    every: int,
    *,
    where: Where = is_weight,
    per_layer: bool = False,
) -> optax.GradientTransformation:
    """The last of a chain of transforms: it prunes more and more while the rest learns.

    What was pruned is zero, thus among the smallest, and stays pruned while the sparsity rises.

    Args:
        sparsity: step -> share of the weights that are zero, `cubic_sparsity(0.9, 100, 1000)`.
        every: steps from one renewal of the masks to the next; 100 to 1000 in the paper.
        where: as `magnitude_masks` has it.
        per_layer: as `magnitude_masks` has it.

    Returns:
        An Optax transform, `optax.chain(optax.adam(1e-3), gradual_pruning(schedule, 100))`.

    Raises:
        ValueError: `every` below 1; from `update`, without params.
    """
    if every < 1:
        raise ValueError(f"masks are renewed every so many steps, at least 1; got {every}")

    def init(params):
        return PruningState(
            jnp.int32(0), jax.tree.map(lambda x: jnp.ones(jnp.shape(x), bool), params)
        )

    def update(updates, state, params=None):
        after = masked(optax.apply_updates(params, updates), state.masks)
        masks = jax.lax.cond(
            state.step % every == 0,
            lambda: magnitude_masks(after, sparsity(state.step), where=where, per_layer=per_layer),
            lambda: state.masks,
        )
        return _towards_zero(updates, masks, params), PruningState(state.step + 1, masks)

    return optax.GradientTransformation(init, update)


def _towards_zero(updates, masks, params):
    """The updates, and where the mask is False the one that ends at exactly zero."""
    if params is None:
        raise ValueError("pruning moves params to zero; call update(updates, state, params)")
    return jax.tree.map(lambda u, stays, p: jnp.where(stays, u, -p), updates, masks, params)


def _largest(sizes, sparsity):
    ranks = jnp.argsort(jnp.argsort(sizes))
    return ranks >= jnp.round(sparsity * sizes.size)


def _chosen(params, where):
    return [
        bool(where(jax.tree_util.keystr(path, simple=True, separator="."), x))
        for path, x in jax.tree.leaves_with_path(params)
    ]
