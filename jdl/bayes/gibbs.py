"""Gibbs sampling: each entry of the params drawn in turn, given all the others.

    systematic scan    for name in the order of the mapping: params[name] ~ p(. | the others)
    random scan        name ~ weights;                       params[name] ~ p(. | the others)

Each draw sees the entries as the draws before it left them. Source: Geman and Geman 1984; Gelfand
and Smith 1990. The systematic scan leaves the joint density invariant, the random scan is
reversible besides. A conditional may also be any update that leaves p(. | the others) invariant,
such as a Metropolis step (Metropolis within Gibbs). Entries that depend strongly on each other are
better drawn together, as one entry that holds a tree.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Key, Tree, Variables

Conditional = Callable[[Tree, Key], Tree]


class GibbsState(NamedTuple):
    """Where the chain is.

    Attributes:
        variables: its params, a dict, are the position.
    """

    variables: Variables


def gibbs(conditionals: Mapping[str, Conditional]) -> Algorithm:
    """A Gibbs chain whose step draws every entry once, in the order of `conditionals`.

    Args:
        conditionals: name of an entry -> its draw, (params, key) -> new entry. It is given all
            params, the old entry too, and returns a tree of the entry's shapes.

    Returns:
        An Algorithm over params that are a dict with those names; the batch is ignored. Info is
        empty: no draw is refused. Chains by `jax.vmap`.

    Raises:
        ValueError: from `init`, the names are not those of the params; from `step`, a draw has
            another shape or dtype than its entry.

    Example:
        A pair of standard normal variables of correlation 0.6.

        >>> def given(other):
        ...     return lambda params, key: 0.6 * params[other] + 0.8 * jax.random.normal(key)
        >>> chain = gibbs({"x": given("y"), "y": given("x")})
        >>> state = chain.init(Variables({"x": jnp.zeros([]), "y": jnp.zeros([])}))
        >>> state, info = chain.step(state, None, jax.random.key(0))
        >>> sorted(state.variables.params), info
        (['x', 'y'], {})
    """

    def init(variables, key=None):
        _check_names(conditionals, variables.params)
        return GibbsState(variables)

    def step(state, batch, key):
        params, buffers = state.variables
        keys = jax.random.split(key, len(conditionals))
        for own, (name, conditional) in zip(keys, conditionals.items(), strict=True):
            params = _drawn(name, conditional, params, own)
        return GibbsState(Variables(params, buffers)), {}

    return Algorithm(init, step)


def random_scan_gibbs(
    conditionals: Mapping[str, Conditional], weights: Sequence[float] | None = None
) -> Algorithm:
    """A Gibbs chain whose step draws one entry, chosen at random.

    Args:
        conditionals: name of an entry -> its draw, (params, key) -> new entry, as for `gibbs`.
        weights: chance of each, in the order of `conditionals`, up to a factor; None for the
            same chance.

    Returns:
        An Algorithm over params that are a dict with those names; the batch is ignored. Info:
        `entry`, the index of the one that was drawn. Chains by `jax.vmap`, where each step
        computes all the conditionals.

    Raises:
        ValueError: not one positive weight for each; from `init`, the names are not those of the
            params; from `step`, a draw has another shape or dtype than its entry.
    """
    weights = [1.0] * len(conditionals) if weights is None else list(weights)
    if len(weights) != len(conditionals) or not all(weight > 0 for weight in weights):
        raise ValueError(
            f"expected a positive weight for each of {list(conditionals)}, or an entry is never "
            f"drawn; got {weights}"
        )

    def init(variables, key=None):
        _check_names(conditionals, variables.params)
        return GibbsState(variables)

    def step(state, batch, key):
        key_entry, key_draw = jax.random.split(key)
        params, buffers = state.variables
        entry = jax.random.categorical(key_entry, jnp.log(jnp.array(weights)))
        branches = [
            lambda params, key, name=name, conditional=conditional: _drawn(
                name, conditional, params, key
            )
            for name, conditional in conditionals.items()
        ]
        params = jax.lax.switch(entry, branches, params, key_draw)
        return GibbsState(Variables(params, buffers)), {"entry": entry}

    return Algorithm(init, step)


def _drawn(name, conditional, params, key):
    entry = conditional(params, key)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        entry,
        params[name],
        exception_type=ValueError,
        custom_message=f"the conditional of {name!r} returns that entry alone, of its shape",
    )
    return {**params, name: entry}


def _check_names(conditionals, params):
    if not isinstance(params, Mapping) or set(conditionals) != set(params):
        found = sorted(params) if isinstance(params, Mapping) else type(params).__name__
        raise ValueError(
            f"expected params that are a dict with the entries {sorted(conditionals)}, one for "
            f"each conditional; got {found}. An entry that stays belongs in the conditionals"
        )
