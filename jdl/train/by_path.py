"""Another optimizer for each part of the params, by patterns of their paths.

Layer-wise rates, as fine-tuning wants them (Howard and Ruder 2018, section 3.2: each layer 2.6
times less than the one above), frozen parts, another optimizer for the head: 003.
"""

import fnmatch
from collections.abc import Mapping

import jax
import optax


def by_path(
    optimizers: Mapping[str, optax.GradientTransformation],
) -> optax.GradientTransformation:
    """Gives each parameter the optimizer of the first pattern that its path matches.

    Args:
        optimizers: shell pattern -> Optax transform, in order of precedence. Paths join names by
            dots, `layers.0.kernel`; `*` matches dots too. `optax.set_to_zero()` freezes.

    Returns:
        An Optax transform.

    Raises:
        ValueError: from `init`, a parameter that no pattern matches, or a pattern that is first
            for none.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> optimizer = by_path({"layers.0.*": optax.set_to_zero(), "*": optax.adam(1e-3)})
        >>> memory = optimizer.init(mlp([2, 4, 1]).init(jax.random.key(0)).params)
    """

    def pattern_of(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        for pattern in optimizers:
            if fnmatch.fnmatchcase(name, pattern):
                return pattern
        raise ValueError(
            f"no pattern of {sorted(optimizers)} matches {name}; add '*' for what is left"
        )

    def patterns(params):
        labels = jax.tree.map_with_path(pattern_of, params)
        idle = sorted(optimizers.keys() - set(jax.tree.leaves(labels)))
        if idle:
            raise ValueError(f"the patterns {idle} are first for no parameter; mind their order")
        return labels

    return optax.partition(dict(optimizers), patterns)
