"""Weight standardisation and local response normalisation; the others are Flax's.

    weights         W_hat = (W - mean) / sqrt(variance + eps), over all axes but the units'
    local response  y_c = x_c / (k + alpha sum_{c - n/2 .. c + n/2} x^2)^beta, between channels
    batch           nnx.BatchNorm(C): over the batch, and in NHWC over space too
    layer           nnx.LayerNorm(C): over the features of a token
    layer, of CNNs  nnx.LayerNorm(C, reduction_axes=(1, 2, 3)): over space and channels
    instance        nnx.InstanceNorm(C): over space, for each channel
    group           nnx.GroupNorm(C, num_groups=G): G = C is instance, G = 1 the layer form of CNNs
    spectral        nnx.SpectralNorm(layer, rngs=rngs): W / (its largest singular value)

All variances are those of 1/N. 004 eq. 2.8 prints (z - m) / (variance + eps), without the root.
Running averages of nnx.BatchNorm are 0.99 old + 0.01 new unless `momentum` says otherwise.

Source: Qiao et al. 2019, eq. 5; Krizhevsky, Sutskever, Hinton 2012, section 3.3 (local response);
Ioffe and Szegedy 2015; Ba et al. 2016; Ulyanov et al. 2016; Wu and He 2018; Miyato et al. 2018.
"""

import jax
import jax.numpy as jnp
from flax import nnx


def standardized(kernel: jax.Array, eps: float = 1e-5) -> jax.Array:
    """Weights of mean 0 and variance 1 into each unit.

    Args:
        kernel: [..., units].
        eps: added to the variance; 1e-5 of Qiao et al., 1e-10 of BiT.

    Returns:
        The same shape. Adding a constant to a unit's weights changes nothing, nor does scaling.
    """
    axes = tuple(range(kernel.ndim - 1))
    centred = kernel - kernel.mean(axes, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axes, keepdims=True) + eps)


def local_response_norm(
    x: jax.Array, size: int = 5, *, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """Each channel divided by a power of the activity of its neighbours at the same place.

        y_c = x_c / (k + alpha * sum_{d = c - floor(n/2)}^{c + floor((n - 1)/2)} x_d^2)^beta

    The channels at the borders have fewer neighbours. Departs from PyTorch's and Caffe's
    convention, whose alpha is n times this one: they have the mean over n places, not the sum.

    Args:
        x: [..., C].
        size: n.
        k: the constant.
        alpha: of the sum.
        beta: the power.

    Returns:
        The same shape and dtype; powers are taken in float32 at the least.

    Example:
        >>> x = jnp.array([2.0, 4.0])  # divided by 12 + 4 + 16
        >>> local_response_norm(x, 3, k=12.0, alpha=1.0, beta=1.0).tolist()
        [0.0625, 0.125]
    """
    squares = jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    around = [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)]
    squares = jnp.pad(squares, around)
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(size))
    return (x * (k + alpha * total) ** -beta).astype(x.dtype)


class WeightStandardized(nnx.Module):
    """A layer with its kernel standardised: `WeightStandardized(nnx.Conv(...))`."""

    def __init__(self, layer: nnx.Module, eps: float = 1e-5):
        self.layer, self.eps = layer, eps

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs of the layer -> its outputs."""
        kernel = self.layer.kernel[...]
        self.layer.kernel.set_value(standardized(kernel, self.eps))
        outputs = self.layer(x)
        self.layer.kernel.set_value(kernel)
        return outputs
