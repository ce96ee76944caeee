"""Weight standardisation, which Flax lacks; the other normalisations are Flax's.

    weights         W_hat = (W - mean) / sqrt(variance + eps), over all axes but the units'
    batch           nnx.BatchNorm(C): over the batch, and in NHWC over space too
    layer           nnx.LayerNorm(C): over the features of a token
    layer, of CNNs  nnx.LayerNorm(C, reduction_axes=(1, 2, 3)): over space and channels
    instance        nnx.InstanceNorm(C): over space, for each channel
    group           nnx.GroupNorm(C, num_groups=G): G = C is instance, G = 1 the layer form of CNNs
    spectral        nnx.SpectralNorm(layer, rngs=rngs): W / (its largest singular value)

All variances are those of 1/N. 004 eq. 2.8 prints (z - m) / (variance + eps), without the root.
Running averages of nnx.BatchNorm are 0.99 old + 0.01 new unless `momentum` says otherwise.

Source: Qiao et al. 2019, eq. 5; Ioffe and Szegedy 2015; Ba et al. 2016; Ulyanov et al. 2016; Wu and
He 2018; Miyato et al. 2018.
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


class WeightStandardized(nnx.Module):
    """A layer with its kernel standardised: `WeightStandardized(nnx.Conv(...))`."""

    def __init__(self, layer: nnx.Module, eps: float = 1e-5):
        self.layer, self.eps = layer, eps

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs of the layer -> its outputs."""
        kernel = self.layer.kernel[...]
        self.layer.kernel[...] = standardized(kernel, self.eps)
        outputs = self.layer(x)
        self.layer.kernel[...] = kernel
        return outputs
