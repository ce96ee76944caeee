"""Two networks whose outputs of a pair, an image and its text, shall be alike.

    u_i = image(x_i) / |image(x_i)|,   v_j = text(y_j) / |text(y_j)|        [B, E]
    logits_ij = exp(s) u_i . v_j                                            [B, B]
    loss = 1/2 mean_i [-log softmax_j(logits)_ii] + 1/2 mean_j [-log softmax_i(logits)_jj]

Each image is to find its text among those of the batch, and each text its image. exp(s), learned,
is 1 / 0.07 at first and 100 at most. Any two Models of equal width are towers; CLIP's are in
`jdl.models.multimodal.clip`.

Source: Radford et al. 2021, section 2.3 and figure 3; Oord et al. 2018 (InfoNCE). Departs from
CLIP, which clips s after each step: here exp(s) is limited where it is used, and s gets its
gradient all the same.

Axes: B pairs, E features of an embedding.
"""

import math

import jax
import jax.numpy as jnp
import optax

from jdl.core import Model, Objective, Variables
from jdl.models.convnets.backbone import below
from jdl.nn.similarity import unit

TOWERS = ("image", "text")


def two_towers(
    image: Model, text: Model, *, temperature: float = 0.07, largest_scale: float = 100.0
) -> Model:
    """A pair of towers and the scale of their products.

    Args:
        image: images -> [B, E].
        text: texts -> [B, E].
        temperature: exp(-s) at first.
        largest_scale: limit of exp(s).

    Returns:
        A Model: images, texts -> logits [B, B'] in float32, a row an image's. Its methods
        "encode_image" and "encode_text" give embeddings of length 1. Params are {"image": ...,
        "text": ..., "log_scale": s}, so that trained towers can be put in.

    Raises:
        ValueError: from `apply`, another method; towers of two widths.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> model = two_towers(mlp([5, 3]), mlp([7, 3]))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([4, 5]), jnp.ones([4, 7]))[0].shape
        (4, 4)
    """
    towers = dict(zip(TOWERS, (image, text), strict=True))

    def init(key):
        keys = dict(zip(TOWERS, jax.random.split(key), strict=True))
        parts = {name: towers[name].init(keys[name]) for name in TOWERS}
        params = {name: parts[name].params for name in TOWERS}
        params["log_scale"] = jnp.asarray(-math.log(temperature), jnp.float32)
        return Variables(params, {name: parts[name].buffers for name in TOWERS})

    def encode(name, variables, inputs, key, train):
        own = Variables(variables.params[name], variables.buffers[name])
        x, buffers = towers[name].apply(own, inputs, key=key, train=below(name, train))
        return unit(x), {**variables.buffers, name: buffers}

    def apply(variables, *inputs, key=None, train=False, method="__call__"):
        if method in ("encode_image", "encode_text"):
            return encode(method.removeprefix("encode_"), variables, *inputs, key, train)
        if method != "__call__":
            raise ValueError(
                f'method is "__call__", "encode_image" or "encode_text"; got {method!r}'
            )
        images, texts = inputs
        keys = (None, None) if key is None else jax.random.split(key)
        u, buffers = encode("image", variables, images, keys[0], train)
        v, buffers = encode("text", variables._replace(buffers=buffers), texts, keys[1], train)
        if u.shape[-1] != v.shape[-1]:
            raise ValueError(
                f"towers give embeddings of one width; got {u.shape[-1]} of images and "
                f"{v.shape[-1]} of texts"
            )
        return similarities(u, v, variables.params["log_scale"], largest_scale), buffers

    return Model(init, apply)


def similarities(
    images: jax.Array, texts: jax.Array, log_scale: jax.Array, largest_scale: float = 100.0
) -> jax.Array:
    """Scaled products of embeddings; zero-shot classification is this with a text a class.

    Args:
        images: [B, E], of length 1.
        texts: [B', E], of length 1.
        log_scale: s.
        largest_scale: limit of exp(s).

    Returns:
        [B, B'] in float32 at the least.
    """
    wide = jnp.promote_types(images.dtype, jnp.float32)
    excess = jax.nn.relu(log_scale - math.log(largest_scale))
    scale = jnp.exp(log_scale - jax.lax.stop_gradient(excess)).astype(wide)
    return scale * jnp.einsum("be,ce->bc", images, texts, preferred_element_type=wide)


def matching(model: Model) -> Objective:
    """The symmetric cross-entropy of finding one's pair in the batch.

    In nats; ln B where all are alike.

    Args:
        model: (images, texts) -> logits [B, B], of `two_towers` or another.

    Returns:
        An Objective of batches (images, texts), whose info has "accuracy", the share of images that
        find their text.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> objective = matching(two_towers(mlp([5, 3]), mlp([7, 3])))
    """

    def objective(params, buffers, batch, key):
        images, texts = batch
        logits, buffers = model.apply(
            Variables(params, buffers), images, texts, key=key, train=True
        )
        own = jnp.arange(len(logits))
        losses = (
            optax.softmax_cross_entropy_with_integer_labels(logits, own),
            optax.softmax_cross_entropy_with_integer_labels(logits.T, own),
        )
        found = jnp.mean(logits.argmax(-1) == own, dtype=jnp.float32)
        return (losses[0].mean() + losses[1].mean()) / 2, (buffers, {"accuracy": found})

    return objective
