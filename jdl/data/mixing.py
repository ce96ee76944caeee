"""Examples mixed with others, and holes in images.

    mixup    x = weight x_i + (1 - weight) x_j,   y alike,   weight ~ beta(alpha, alpha)
    cutmix   a rectangle of image i is that of image j;   y = (1 - part) y_i + part y_j
    erasing  a rectangle of random area and shape is a constant, with a probability
    cutout   a square at a random place is 0, and may reach over the border

Pairs are those of a permutation of the batch, so that an example may meet itself. Targets are soft,
[B, K]: probabilities for a cross-entropy, or values of a regression.

Sources: Zhang, Cisse, Dauphin and Lopez-Paz 2018, eq. 1; Yun and others 2019, eq. 1 and 2; Zhong
and others 2020, algorithm 1; DeVries and Taylor 2017, section 3.2.

Axes: B examples, H rows, W columns, C channels, K classes.
"""

import math

import jax
import jax.numpy as jnp

from jdl.core import Key
from jdl.data.image_checks import for_each_image, require_images


def mixup(
    inputs: jax.Array, targets: jax.Array, key: Key, *, alpha: float = 0.2
) -> tuple[jax.Array, jax.Array]:
    """Mixes each example with another, inputs and targets by the same weight.

    Departs from the authors' program, which draws one weight for a batch: each pair has its own, as
    in the paper's equation.

    Args:
        inputs: floats [B, ...].
        targets: floats [B, K], such as `jax.nn.one_hot(labels, K)`.
        key: of the pairs and the weights.
        alpha: of the Beta distribution: 0.1 to 0.4 for ImageNet, 1 for CIFAR-10 in the paper.

    Returns:
        Inputs and targets of the same shapes.

    Raises:
        ValueError: numbers of inputs and targets differ.
        TypeError: integers.
    """
    inputs, targets = _soft(inputs, targets, "mixup")
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise TypeError(f"mixup takes floating inputs; got {inputs.dtype}")
    key_pairs, key_weights = jax.random.split(key)
    pairs = jax.random.permutation(key_pairs, len(inputs))
    weights = jax.random.beta(key_weights, alpha, alpha, [len(inputs)])

    def mixed(x):
        weight = weights.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        return x[pairs] + weight * (x - x[pairs])

    return mixed(inputs), mixed(targets)


def extrapolated(
    features: jax.Array, labels: jax.Array, key: Key, *, amount: float = 0.5
) -> jax.Array:
    """New examples in a space of features, away from others of the same class.

        x' = x + amount (x - y),   y a random example of the class of x in the batch

    In the space of an encoder, or of the samples of a generator, the way from one example to
    another is one of meaning. An example alone in its class stays. amount < 0 goes towards y.

    Source: DeVries, Taylor 2017, Dataset Augmentation in Feature Space, whose amount is 0.5; 001.
    New examples of a GAN are `jdl.models.gans.gan.generate`.

    Args:
        features: [B, D], floats.
        labels: [B], integers.
        key: of the partners.
        amount: how far, as a fraction of the distance.

    Returns:
        [B, D], of the same labels.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> features = jnp.array([[0.0], [1.0]])
        >>> extrapolated(features, jnp.array([0, 1]), jax.random.key(0)).ravel().tolist()
        [0.0, 1.0]
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"features are [B, D] and labels [B]; got {list(features.shape)}, {list(labels.shape)}"
        )
    alike = labels[:, None] == labels[None]
    others = alike & ~jnp.eye(len(labels), dtype=bool)
    partner = jax.random.categorical(key, jnp.where(others, 0.0, -jnp.inf), axis=1)
    partner = jnp.where(others.any(1), partner, jnp.arange(len(labels)))
    return features + amount * (features - features[partner])


def cutmix(
    images: jax.Array, targets: jax.Array, key: Key, *, alpha: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """Puts a rectangle of another image into each; targets mix by its area.

        area = (1 - weight) H W,   weight ~ beta(alpha, alpha),   of the shape of the image
        centre uniform in the image; what reaches over the border is cut off
        part = pixels of the rectangle / (H W)

    Args:
        images: [B, H, W, C], of any dtype.
        targets: floats [B, K], such as `jax.nn.one_hot(labels, K)`.
        key: of the pairs and the rectangles.
        alpha: of the Beta distribution.

    Returns:
        Images and targets of the same shapes.

    Raises:
        ValueError: images of another rank, or numbers of images and targets differ.
        TypeError: integer targets.
    """
    images = require_images(images, "cutmix", floats=False)
    images, targets = _soft(images, targets, "cutmix")
    key_pairs, key_weights, key_centres = jax.random.split(key, 3)
    pairs = jax.random.permutation(key_pairs, len(images))
    side = jnp.sqrt(1 - jax.random.beta(key_weights, alpha, alpha, [len(images)]))
    sizes = (side[:, None] * jnp.array(images.shape[1:3])[None]).astype(int)
    inside = _rectangles(images, sizes, _centres(images, key_centres))
    part = inside.mean((1, 2, 3), dtype=targets.dtype)[:, None]
    return (
        jnp.where(inside, images[pairs], images),
        targets + part * (targets[pairs] - targets),
    )


def cutout(images: jax.Array, key: Key, *, size: int, fill: float = 0.0) -> jax.Array:
    """Puts a square of one value at a random place of each image.

    The centre is uniform in the image, and the square may reach over the border, which the authors
    found to matter.

    Args:
        images: [B, H, W, C], of any dtype; the authors' are standardised, so that 0 is the mean.
        key: of the places.
        size: pixels of a side: 16 for CIFAR-10, 8 for CIFAR-100 in the paper.
        fill: the value.

    Raises:
        ValueError: images of another rank.
    """
    images = require_images(images, "cutout", floats=False)
    sizes = jnp.full([len(images), 2], size)
    inside = _rectangles(images, sizes, _centres(images, key))
    return jnp.where(inside, jnp.asarray(fill, images.dtype), images)


def random_erasing(
    images: jax.Array,
    key: Key,
    *,
    probability: float = 0.5,
    areas: tuple[float, float] = (0.02, 0.4),
    ratios: tuple[float, float] = (0.3, 1 / 0.3),
    fill: float = 0.0,
    attempts: int = 10,
) -> jax.Array:
    """Puts a rectangle of one value at a random place of some images.

        height width = area ~ uniform(areas) * H * W,   height / width = ratio ~ uniform(ratios)

    Rounded to pixels. It lies within the image: of some attempts the first that fits counts; if
    none does, the image stays.

    Args:
        images: [B, H, W, C], of any dtype.
        key: of the choices and the rectangles.
        probability: of an image to get a rectangle.
        areas: least and greatest part of the image's area.
        ratios: least and greatest height / width; drawn evenly in the logarithm, so that both
            directions are alike. Departs from the paper, which draws the ratio itself.
        fill: the value; the paper prefers random ones, or the mean colour.
        attempts: to find a rectangle that fits.

    Raises:
        ValueError: images of another rank.
    """
    images = require_images(images, "random_erasing", floats=False)
    batch, height, width, _ = images.shape
    key_choice, key_area, key_ratio, key_corner = jax.random.split(key, 4)
    area = jax.random.uniform(key_area, [batch, attempts], minval=areas[0], maxval=areas[1])
    low, high = map(math.log, ratios)
    ratio = jnp.exp(jax.random.uniform(key_ratio, area.shape, minval=low, maxval=high))
    area = area * height * width
    sizes = jnp.stack([jnp.sqrt(area * ratio), jnp.sqrt(area / ratio)], -1)
    sizes = jnp.round(sizes).astype(int)
    bounds = jnp.array([height, width])
    fits = jnp.all(sizes <= bounds[None, None], -1)
    size = jnp.take_along_axis(sizes, fits.argmax(1)[:, None, None], 1)[:, 0]
    room = jnp.maximum(bounds[None] - size, 0)
    corner = jax.random.randint(key_corner, [batch, 2], 0, room + 1)
    inside = _rectangles(images, size, corner + size // 2)
    chosen = jax.random.bernoulli(key_choice, probability, [batch]) & fits.any(1)
    inside &= for_each_image(chosen, images)
    return jnp.where(inside, jnp.asarray(fill, images.dtype), images)


def _soft(inputs, targets, caller):
    inputs, targets = jnp.asarray(inputs), jnp.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        raise TypeError(
            f"{caller} takes soft targets [B, K]; got {targets.dtype}; labels become soft by "
            "jax.nn.one_hot(labels, num_classes)"
        )
    if targets.ndim != 2 or len(inputs) != len(targets):
        raise ValueError(
            f"{caller} takes targets [B, K] of the B = {len(inputs)} inputs; "
            f"got {list(targets.shape)}"
        )
    return inputs, targets


def _centres(images, key):
    """Pixels [B, 2], uniform in the image."""
    return jax.random.randint(key, [len(images), 2], 0, jnp.array(images.shape[1:3])[None])


def _rectangles(images, sizes, centres):
    """Whether a pixel is inside, [B, H, W, 1]; sizes and centres [B, 2], in pixels."""
    first = centres - sizes // 2
    last = first + sizes
    along = [
        (jnp.arange(n)[None] >= first[:, i, None]) & (jnp.arange(n)[None] < last[:, i, None])
        for i, n in enumerate(images.shape[1:3])
    ]
    return (along[0][:, :, None] & along[1][:, None])[..., None]
