"""Where in an image a class is seen: class activation maps, by weights and by gradients.

    CAM        M_c = sum_k w_kc A_k                      w the head on the means of the maps A_k
    Grad-CAM   a_kc = mean over i, j of d y_c / d A_kij,   L_c = relu(sum_k a_kc A_k)

y_c is the logit. Where the head is linear on means of Z places, d y_c / d A_kij = w_kc / Z, so
L_c = relu(M_c) / Z; Grad-CAM asks nothing of the head. relu keeps what speaks for the class.

Source: Zhou et al. 2016, eq. 2 (CAM); Selvaraju et al. 2017, eqs. 1 and 2; 004 problem 4.6.

Axes: B images, H rows, W columns, C maps, K classes.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jdl.core import Model, Variables
from jdl.explain.class_scores import classes_or_best


def grad_cam(
    model: Model,
    variables: Variables,
    images: jax.Array,
    classes: jax.Array | None = None,
) -> jax.Array:
    """Grad-CAM of the last maps of a convolutional network.

    Args:
        model: with the methods `features`, images -> maps of each stage, and `classify`, the last
            of them -> logits, as all of `jdl.models.convnets` have. For maps of another stage, and
            networks without these methods, see `grad_cam_of`.
        variables: of the model.
        images: [B, H, W, C].
        classes: integers [B], or one for all; None takes the predicted ones.

    Returns:
        Heat [B, H', W'], at least 0, of the size of the maps; see `resized`.

    Raises:
        ValueError: classes of another shape.
        AttributeError: a model without the methods.
    """

    def features(images):
        return model.apply(variables, images, method="features")[0][-1]

    def classify(maps):
        return model.apply(variables, maps, method="classify")[0]

    return grad_cam_of(features, classify, images, classes)


def grad_cam_of(
    features: Callable[[jax.Array], jax.Array],
    classify: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    classes: jax.Array | None = None,
) -> jax.Array:
    """Grad-CAM of a network in two parts, in evaluation.

    Args:
        features: images -> maps [B, H', W', C].
        classify: maps -> logits [B, K], each of its own image alone.
        images: what `features` takes.
        classes: integers [B], or one for all; None takes the predicted ones.

    Returns:
        Heat [B, H', W'], at least 0.

    Raises:
        ValueError: maps of another rank, or classes of another shape.

    Example:
        >>> kernel = jnp.array([[1.0, -1.0]])
        >>> grad_cam_of(lambda x: x, lambda maps: maps.mean((1, 2)) @ kernel,
        ...             jnp.array([[[[4.0], [-8.0]]]]), 0).tolist()
        [[[2.0, 0.0]]]
    """
    maps = features(images)
    if maps.ndim != 4:
        raise ValueError(f"Grad-CAM needs maps [B, H, W, C]; got {list(maps.shape)}")
    logits, pullback = jax.vjp(classify, maps)
    chosen = classes_or_best(logits, classes)
    (slopes,) = pullback(jax.nn.one_hot(chosen, logits.shape[-1], dtype=logits.dtype))
    return jax.nn.relu(jnp.sum(slopes.mean((1, 2), keepdims=True) * maps, -1))


def class_activation_map(maps: jax.Array, kernel: jax.Array, classes: jax.Array) -> jax.Array:
    """CAM, for a head that is linear on the means of the maps.

    Args:
        maps: [B, H', W', C], which the head takes the means of.
        kernel: of the head [C, K].
        classes: integers [B].

    Returns:
        Evidence [B, H', W'] of either sign; its mean and the bias are the logit.
    """
    return jnp.einsum("bhwc,cb->bhw", maps, kernel[:, classes])


def resized(heat: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Heat of the size of the images, by linear interpolation.

    Args:
        heat: [B, H', W'].
        shape: (H, W).

    Returns:
        [B, H, W].
    """
    return jax.image.resize(heat, (len(heat), *shape), "linear")
