"""A network and what is put behind it, as one Model: any network here may be the backbone.

    images -> backbone (its maps, or its pooled features) -> head -> outputs

Weights of a backbone that was trained alone are put in by
`variables._replace(params=variables.params | {"backbone": weights})`, and its buffers likewise.
"""

from collections.abc import Callable

import jax

from jdl.core import Model, Variables


def with_head(
    backbone: Model,
    head: Model,
    *,
    method: str = "__call__",
    about: Callable[[jax.Array], dict] = lambda images: {},
) -> Model:
    """The two in a row.

    Args:
        backbone: images [B, H, W, C] -> what the head takes.
        head: outputs of the backbone -> outputs.
        method: of the backbone, such as "features".
        about: images -> more keyword arguments of the head, such as the size to come back to.

    Returns:
        A Model whose params and buffers are {"backbone": ..., "head": ...}. Its method "features"
        is the backbone's.

    Example:
        >>> import jax.numpy as jnp
        >>> from jdl.models.mlp import mlp
        >>> model = with_head(mlp([4, 3]), mlp([3, 2]))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([5, 4]))[0].shape
        (5, 2)
    """

    def init(key):
        keys = jax.random.split(key)
        parts = {"backbone": backbone.init(keys[0]), "head": head.init(keys[1])}
        params = {name: part.params for name, part in parts.items()}
        return Variables(params, {name: part.buffers for name, part in parts.items()})

    through = {} if method == "__call__" else {"method": method}

    def apply(variables, images, *, key=None, train=False, method="__call__"):
        if method not in ("__call__", "features"):
            raise ValueError(f'method is "__call__" or "features"; got {method!r}')
        keys = (None, None) if key is None else jax.random.split(key)
        wanted = {"method": "features"} if method == "features" else through
        own, behind = (
            Variables(variables.params[name], variables.buffers[name])
            for name in ("backbone", "head")
        )
        seen, buffers = backbone.apply(
            own, images, key=keys[0], train=below("backbone", train), **wanted
        )
        if method == "features":
            return seen, {**variables.buffers, "backbone": buffers}
        outputs, others = head.apply(
            behind, seen, key=keys[1], train=below("head", train), **about(images)
        )
        return outputs, {"backbone": buffers, "head": others}

    return Model(init, apply)


def below(name, train):
    """What a part is told of training, where a function of paths says it (`jdl.functional`)."""
    return (lambda path: train(f"{name}.{path}")) if callable(train) else train
