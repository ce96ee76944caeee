"""Which pixels move a class's logit: gradients with respect to the image.

    saliency      max over channels of |d y_c / d x|
    SmoothGrad    the same of the mean over draws of  d y_c / d x  at x + noise

and two rules of what a ReLU passes back, g the gradient at its output:

    backpropagation    g where x > 0
    deconvolution      g where g > 0                 what the unit above would have to see
    guided             g where x > 0 and g > 0

They replace the activation: a network with `activation=guided_relu` takes the variables that were
trained with ReLU. What they show is sharp, and depends little on the class and on the upper layers
(Adebayo et al. 2018): it is the image's edges more than an explanation.

Source: Simonyan, Vedaldi, Zisserman 2014, section 3; Smilkov et al. 2017; Zeiler and Fergus 2014,
section 2.1; Springenberg et al. 2015, section 3.4.

Axes: B images, H rows, W columns, C channels.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key, Model, Variables
from jdl.explain.class_scores import classes_or_best, scores_of


def saliency(
    model: Model,
    variables: Variables,
    images: jax.Array,
    classes: jax.Array | None = None,
) -> jax.Array:
    """The size of the gradient of a class's logit at each pixel.

    Args:
        model: images -> logits [B, K], each of its own image alone.
        variables: of the model.
        images: [B, H, W, C].
        classes: integers [B], or one for all; None takes the predicted ones.

    Returns:
        [B, H, W], at least 0.

    Raises:
        ValueError: classes of another shape.
    """
    return jnp.abs(_slopes(model, variables, images, classes)).max(-1)


def smooth_grad(
    model: Model,
    variables: Variables,
    images: jax.Array,
    key: Key,
    classes: jax.Array | None = None,
    *,
    noise: float = 0.15,
    draws: int = 50,
    chunk: int | None = None,
) -> jax.Array:
    """Saliency of a mean gradient over noisy copies of the image.

    Args:
        model: images -> logits [B, K], each of its own image alone.
        variables: of the model.
        images: [B, H, W, C].
        key: of the noise.
        classes: integers [B], or one for all; None takes those predicted without noise.
        noise: standard deviation over the range of the image; the paper has 0.1 to 0.2.
        draws: copies.
        chunk: copies at once, each of B images; None takes all.

    Returns:
        [B, H, W], at least 0.

    Raises:
        ValueError: classes of another shape.
    """
    classes = classes_or_best(model.apply(variables, images)[0], classes)
    axes = tuple(range(1, images.ndim))
    spread = images.max(axes, keepdims=True) - images.min(axes, keepdims=True)

    def slopes(key):
        noisy = images + noise * spread * jax.random.normal(key, images.shape, images.dtype)
        return _slopes(model, variables, noisy, classes)

    keys = jax.random.split(key, draws)
    found = jax.vmap(slopes)(keys) if chunk is None else jax.lax.map(slopes, keys, batch_size=chunk)
    return jnp.abs(found.mean(0)).max(-1)


@jax.custom_vjp
def guided_relu(x: jax.Array) -> jax.Array:
    """ReLU that passes back what is positive, where its input was: guided backpropagation."""
    return jax.nn.relu(x)


guided_relu.defvjp(
    lambda x: (jax.nn.relu(x), x), lambda x, g: (jnp.where((x > 0) & (g > 0), g, 0),)
)


@jax.custom_vjp
def deconvolution_relu(x: jax.Array) -> jax.Array:
    """ReLU that passes back what is positive, whatever its input was: a deconvolutional network."""
    return jax.nn.relu(x)


deconvolution_relu.defvjp(lambda x: (jax.nn.relu(x), None), lambda _, g: (jax.nn.relu(g),))


def _slopes(model, variables, images, classes):
    def total(images):
        logits = model.apply(variables, images)[0]
        return scores_of(logits, classes_or_best(logits, classes)).sum()

    return jax.grad(total)(images)
