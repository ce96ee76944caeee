"""Kernels that are known beforehand, and a filter of each channel by itself.

    finite difference   g[n] - g[n - 1]               1-D; [1, -1] for a convolution (004 eq. 4.2)
    Sobel               [-1, 0, 1] along, [1, 2, 1] across;   / 8: the slope per pixel
    Prewitt             [-1, 0, 1] along, [1, 1, 1] across;   / 6: the slope per pixel
    Laplacian           [1, -2, 1] along each axis, summed;   with diagonals: 3 x 3 of 1, centre -8
    edges of 004        eq. 4.4: all -1, centre 8, the negative of the latter; its size is taken
    Gaussian            e^(-n^2 / (2 std^2)), sum 1

All but the last sum to 0, so that an even image gives 0. They are written for `correlate`, which
does not reverse; reversing changes the sign of slopes and nothing else. The kernel of 002's example
is Sobel's.

Axes: rows come first; axis 0 is down the rows, axis 1 along the columns.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.nn.convolution import Paddings, correlate


def finite_difference(*, central: bool = False) -> np.ndarray:
    """The kernel of a difference along one axis, for `correlate`.

    Args:
        central: (g[n + 1] - g[n - 1]) / 2, [3], in place of g[n] - g[n - 1], [2]. The latter is
            padded by one zero before to stay in place.

    Example:
        >>> finite_difference().tolist(), finite_difference(central=True).tolist()
        ([-1.0, 1.0], [-0.5, 0.0, 0.5])
    """
    return np.array([-0.5, 0, 0.5] if central else [-1, 1], np.float32)


def sobel(axis: int, *, normalized: bool = False) -> np.ndarray:
    """Sobel's kernel [3, 3] of the slope along an axis.

    Args:
        axis: 0 down the rows, 1 along the columns.
        normalized: divide by 8, so that a ramp of slope 1 gives 1.

    Example:
        >>> sobel(1).astype(int).tolist()
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    """
    return _slope([1, 2, 1], axis, normalized)


def prewitt(axis: int, *, normalized: bool = False) -> np.ndarray:
    """Prewitt's kernel [3, 3] of the slope along an axis.

    Args:
        axis: 0 down the rows, 1 along the columns.
        normalized: divide by 6, so that a ramp of slope 1 gives 1.
    """
    return _slope([1, 1, 1], axis, normalized)


def laplacian(*, diagonals: bool = False) -> np.ndarray:
    """The kernel [3, 3] of the sum of second differences; a quadratic x^2 + y^2 gives 4.

    Args:
        diagonals: count the diagonal neighbours too, centre -8; the negative is 004's eq. 4.4, and
            x^2 + y^2 gives 12.

    Example:
        >>> (-laplacian(diagonals=True)).astype(int).tolist()
        [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    """
    kernel = np.ones([3, 3]) if diagonals else np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    kernel = kernel.astype(np.float32)
    kernel[1, 1] -= kernel.sum()
    return kernel


def gaussian(std: float, radius: int | None = None) -> np.ndarray:
    """The Gaussian kernel [2 radius + 1] of one axis, of sum 1.

        w[n] = e^(-n^2 / (2 std^2)) / sum of the same

    A blur of images is separable: `np.outer(w, w)`, or one axis after the other.

    Args:
        std: in pixels, above 0.
        radius: where it is cut off; 4 std, rounded, as SciPy does.

    Raises:
        ValueError: a std of 0 or less.
    """
    if std <= 0:
        raise ValueError(f"std is above 0; got {std}")
    n = np.arange(-(r := int(4 * std + 0.5) if radius is None else radius), r + 1)
    weights = np.exp(-0.5 * (n / std) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def filtered(x: jax.Array, kernel: jax.Array, padding: Paddings = "SAME") -> jax.Array:
    """Correlates each channel with one kernel.

    Args:
        x: [B, T, C] or [B, H, W, C], floats.
        kernel: [K] or [K, L].
        padding: as `correlate` takes it; zeros. For other borders pad by jnp.pad and take "VALID".

    Returns:
        [B, T', C] or [B, H', W', C], in the dtype of x.

    Raises:
        ValueError: a kernel of another rank.

    Example:
        >>> ramp = jnp.arange(4.0)[None, None, :, None] * jnp.ones([1, 4, 1, 1])
        >>> filtered(ramp, sobel(1, normalized=True), "VALID").ravel().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    x = jnp.asarray(x)
    kernel = jnp.asarray(kernel, x.dtype)
    if kernel.ndim != x.ndim - 2:
        raise ValueError(f"images {x.shape} have {x.ndim - 2} axes of space; got {kernel.shape}")
    channels = x.shape[-1]
    each = jnp.broadcast_to(kernel[..., None, None], (*kernel.shape, 1, channels))
    return correlate(x, each, padding=padding, groups=channels)


def _slope(across, axis, normalized):
    kernel = np.outer(across, [-1, 0, 1]).astype(np.float32)  # along the columns
    kernel = kernel / (2 * sum(across)) if normalized else kernel
    return kernel if axis == 1 else kernel.T
