"""LoRA: a network is fine-tuned by matrices of low rank that are added to its weights.

    W' = W + (alpha / r) A B,    W [D, E] stays,  A [D, r] and B [r, E] learn

B starts at zero, so that the network starts as it was. For a kernel of D x E there are r (D + E)
parameters in place of D E; once trained, `merged` adds them, and the network is as fast as before.

Source: Hu and others 2022, section 4.1; A is drawn as in their code, uniform with variance
1 / (3 D). They adapt the projections of queries and values: `"*.attention.query.kernel"`,
`"*.attention.value.kernel"`.

Axes: D inputs and E outputs of a kernel, r the rank.
"""

import fnmatch
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jdl.core import Model, Tree, Variables

_DOWN = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def lora(
    model: Model,
    base: Variables,
    patterns: str | Sequence[str] = "*.kernel",
    *,
    rank: int = 8,
    alpha: float = 16.0,
) -> Model:
    """A model whose params are the adapters of another one, which stays.

    Args:
        model: that was trained.
        base: its variables. They are buffers of the new model, so that an optimizer holds nothing
            for them; its own buffers are among them, and go on as `model` rewrites them.
        patterns: shell patterns of the paths of the kernels that get adapters.
        rank: r.
        alpha: the adapters are scaled by alpha / r.

    Returns:
        A Model of the same inputs and outputs.

    Raises:
        ValueError: a pattern fits no parameter, or one that is no matrix.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> base = mlp([2, 4, 3])
        >>> adapted = lora(base, base.init(jax.random.key(0)), "layers.1.kernel", rank=1)
        >>> params, _ = adapted.init(jax.random.key(1))
        >>> jax.tree.map(jnp.shape, params)
        {'layers.1.kernel': {'down': (4, 1), 'up': (1, 3)}}
    """
    kernels = _kernels(base.params, [patterns] if isinstance(patterns, str) else list(patterns))

    def init(key):
        keys = jax.random.split(key, len(kernels))
        adapters = {
            path: {
                "down": _DOWN(one, (kernel.shape[0], rank), kernel.dtype),
                "up": jnp.zeros([rank, kernel.shape[1]], kernel.dtype),
            }
            for one, (path, kernel) in zip(keys, kernels.items(), strict=True)
        }
        return Variables(adapters, {"base": base.params, "buffers": base.buffers})

    def apply(variables, *inputs, **options):
        outputs, buffers = model.apply(merged(variables, alpha=alpha), *inputs, **options)
        return outputs, {**variables.buffers, "buffers": buffers}

    return Model(init, apply)


def merged(variables: Variables, *, alpha: float = 16.0) -> Variables:
    """The variables of the model that was adapted, with the adapters in its kernels.

    Args:
        variables: of `lora`.
        alpha: as it was there.

    Returns:
        Variables for the model that `lora` was given.
    """
    adapters = variables.params

    def added(path, kernel):
        found = adapters.get(jax.tree_util.keystr(path, simple=True, separator="."))
        if found is None:
            return kernel
        product = found["down"] @ found["up"]
        return kernel + (alpha / found["down"].shape[1] * product).astype(kernel.dtype)

    params = jax.tree.map_with_path(added, variables.buffers["base"])
    return Variables(params, variables.buffers["buffers"])


def _kernels(params: Tree, patterns: list[str]):
    found = {
        jax.tree_util.keystr(path, simple=True, separator="."): x
        for path, x in jax.tree.leaves_with_path(params)
    }
    for pattern in patterns:
        if not fnmatch.filter(found, pattern):
            raise ValueError(f"no parameter matches {pattern!r}; they are {', '.join(found)}")
    chosen = {
        path: x for path, x in found.items() if any(fnmatch.fnmatchcase(path, p) for p in patterns)
    }
    wrong = [f"{path} {x.shape}" for path, x in chosen.items() if x.ndim != 2]
    if wrong:
        raise ValueError(
            f"adapters are for matrices; got {', '.join(wrong)}. Leave these out of the patterns"
        )
    return chosen
