"""Means, deviations and principal colours of a training set, and what is done with them.

    mean subtraction   x - mean,   of each channel (VGG), or of each pixel (AlexNet)
    standardisation    (x - mean) / std
    PCA colour         x + sum_i normal_i std lambda_i p_i,   one draw of three normals an image

lambda_i and p_i are eigenvalues and eigenvectors of the covariance [3, 3] of the colours of all
pixels of the training set; std is 0.1. Sources: Krizhevsky, Sutskever and Hinton 2012, sections 2
and 4.1; Simonyan and Zisserman 2015, section 2.1; 004 ch. 4. Statistics are of the training part
alone, in the unit of its images, and so is what is added: a lambda is a square, so that with images
in bytes the paper's formula adds 255 times as much.

Axes: N or B images, H rows, W columns, C channels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Key
from jdl.data.image_checks import require_colour, require_images


class ImageStatistics(NamedTuple):
    """Of a training set.

    Attributes:
        mean: [C], or [H, W, C] of each pixel.
        std: of the same shape, above 0.
    """

    mean: np.ndarray
    std: np.ndarray


class ColourComponents(NamedTuple):
    """Principal components of the colours of a training set.

    Attributes:
        variances: eigenvalues [3] of the covariance, the greatest first.
        directions: eigenvectors [3, 3], one a row.
    """

    variances: np.ndarray
    directions: np.ndarray


def image_statistics(images: np.ndarray, *, per_pixel: bool = False) -> ImageStatistics:
    """Means and standard deviations of images, on the host.

    Args:
        images: [N, H, W, C], of the training part.
        per_pixel: of each pixel by itself, in place of each channel.

    Returns:
        float32, in the unit of the images; a deviation of 0 is given as 1, so that dividing by it
        leaves a constant at 0.

    Raises:
        ValueError: images of another rank.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(f"image_statistics takes [N, H, W, C]; got {list(images.shape)}")
    axes = 0 if per_pixel else (0, 1, 2)
    mean, std = (f(images, axes, dtype=np.float64).astype(np.float32) for f in (np.mean, np.std))
    return ImageStatistics(mean, np.where(std > 0, std, np.float32(1)))


def standardised(images: jax.Array, statistics: ImageStatistics) -> jax.Array:
    """(x - mean) / std; for the mean alone, `statistics._replace(std=1)`.

    Args:
        images: floats [B, H, W, C], in the unit of the statistics.
        statistics: of the training part.

    Raises:
        ValueError: images of another rank, or whose channels are not those of the statistics.
        TypeError: integers.

    Example:
        >>> statistics = ImageStatistics(np.float32([0.5]), np.float32([0.25]))
        >>> standardised(jnp.ones([1, 1, 1, 1]), statistics).item()
        2.0
    """
    images = require_images(images, "standardised")
    mean, std = (jnp.asarray(x, images.dtype) for x in statistics)
    if mean.shape not in (images.shape[-1:], images.shape[1:]):
        raise ValueError(
            f"images {list(images.shape)} and statistics of {list(mean.shape)}: other data"
        )
    mean, std = (x.reshape((1,) * (4 - x.ndim) + x.shape) for x in (mean, std))
    return (images - mean) / std


def colour_components(images: np.ndarray) -> ColourComponents:
    """Principal components of the colours of all pixels, on the host.

    Args:
        images: [N, H, W, 3], of the training part, in the unit of training.

    Raises:
        ValueError: images of another shape.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"colour_components takes [N, H, W, 3]; got {list(images.shape)}")
    mean = images.mean((0, 1, 2), dtype=np.float64)
    covariance = np.zeros([3, 3])
    for image in images:  # one at a time, for large sets
        pixels = image.reshape(-1, 3) - mean[None]
        covariance += pixels.T @ pixels
    values, vectors = np.linalg.eigh(covariance / (images.size // 3))
    return ColourComponents(
        np.maximum(values[::-1], 0).astype(np.float32), vectors.T[::-1].astype(np.float32)
    )


def random_pca_colour(
    images: jax.Array,
    key: Key,
    components: ColourComponents,
    *,
    std: float = 0.1,
    deviations: bool = False,
) -> jax.Array:
    """Adds one colour to all pixels of an image, drawn along the principal components.

    Args:
        images: floats [B, H, W, 3], in the unit of the components.
        key: of the three normals of each image.
        components: of the training part.
        std: of the normals.
        deviations: multiply by the square roots of the eigenvalues, which have the images' unit, in
            place of the paper's eigenvalues.

    Returns:
        Images of the same shape, not clipped.

    Raises:
        ValueError: images of another shape.
        TypeError: integers.
    """
    images = require_colour(images, "random_pca_colour")
    variances, directions = (jnp.asarray(x, images.dtype) for x in components)
    scales = jnp.sqrt(variances) if deviations else variances
    normals = std * jax.random.normal(key, [len(images), 3], images.dtype)
    colours = jnp.matmul(normals * scales[None], directions, precision="highest")
    return images + colours[:, None, None]
