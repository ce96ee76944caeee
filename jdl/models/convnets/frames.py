"""A network of images over the frames of a film, and behind it a network of sequences.

    frames [B, T, H, W, C]
      -> the network of images on each   [B, T, D]
      -> a recurrent network -> classes

    with_head(each_frame(resnet18(num_classes=None)), recurrent_network(512, 256, 10))

All frames share the weights, and the batch statistics are those of all frames of the batch. A
network that describes a single image in words is `jdl.models.multimodal.captioner`.

Source: Donahue et al. 2015, section 4 (recognition); 001 and 003 name the pair.

Axes: B films, T frames, H rows, W columns, C channels, D features.
"""

import jax

from jdl.core import Model


def each_frame(model: Model) -> Model:
    """The same Model over every frame.

    Args:
        model: images [B, H, W, C] -> arrays [B, ...], such as pooled features (num_classes=None).

    Returns:
        A Model: frames [B, T, H, W, C] -> arrays [B, T, ...], of the same variables.

    Raises:
        ValueError: from `apply`, frames of another rank.

    Example:
        >>> import jax.numpy as jnp
        >>> from jdl.models.convnets.small_cnns import cifar_cnn
        >>> model = each_frame(cifar_cnn(num_classes=None))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> frames = jax.ShapeDtypeStruct([2, 5, 32, 32, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, frames)[0].shape
        (2, 5, 512)
    """

    def apply(variables, frames, **options):
        if frames.ndim != 5:
            raise ValueError(
                f"frames are [B, T, H, W, C]; got {list(frames.shape)}. One film is frames[None]"
            )
        outputs, buffers = model.apply(variables, frames.reshape(-1, *frames.shape[2:]), **options)
        films = frames.shape[:2]
        return jax.tree.map(lambda x: x.reshape(*films, *x.shape[1:]), outputs), buffers

    return Model(model.init, apply)
