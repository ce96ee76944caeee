"""What is known of a network without computing, and variables at no special point."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Model, Variables


@functools.cache
def abstract(model: Model) -> Variables:
    """The variables, as shapes."""
    return jax.eval_shape(model.init, jax.random.key(0))


def count(model: Model) -> int:
    """Learned numbers."""
    return sum(x.size for x in jax.tree.leaves(abstract(model).params))


def output(model: Model, *image: int, **options):
    """The abstract output for two images [H, W, C]."""
    images, key = jax.ShapeDtypeStruct([2, *image], jnp.float32), jax.random.key(0)
    return jax.eval_shape(
        lambda v, x: model.apply(v, x, key=key, **options)[0], abstract(model), images
    )


def map_shapes(model: Model, *image: int) -> list[tuple[int, ...]]:
    """Of the maps that `features` gives of an image [H, W, C], without the batch."""
    return [x.shape[1:] for x in output(model, *image, method="features")]


def random_variables(model: Model, scale: float = 0.5) -> Variables:
    """Normal params, and buffers around 1."""
    rng = np.random.default_rng(0)
    params, buffers = abstract(model)
    params = jax.tree.map(lambda x: scale * rng.normal(size=x.shape).astype(x.dtype), params)
    buffers = jax.tree.map(lambda x: rng.uniform(0.5, 1.5, x.shape).astype(x.dtype), buffers)
    return Variables(params, buffers)
