"""Dropout in the forms that Flax lacks. `nnx.Dropout` is inverted: it scales in training.

                      training                  evaluation
    nnx.Dropout       mask * x / (1 - rate)     x
    ClassicDropout    mask * x                  (1 - rate) x
    DropConnect       x (mask * W)              x (1 - rate) W

    one mask for a mini-batch   nnx.Dropout(rate, broadcast_dims=(0,)), ClassicDropout(...) too
    spatial dropout, NHWC       nnx.Dropout(rate, broadcast_dims=(1, 2))   (Tompson et al. 2015)

`rate` is the probability of dropping, everywhere. 001 scales by it in evaluation, which is right
at 0.5 alone; 004 writes p for the probability of dropping in its text and of keeping in eq. 2.5.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx


class ClassicDropout(nnx.Module):
    """Dropout that scales in evaluation (Srivastava et al. 2014; 000 ch. 6; 004 eq. 2.5)."""

    def __init__(self, rate: float, *, broadcast_dims: Sequence[int] = ()):
        _check(rate)
        self.rate = rate
        self.inverted = nnx.Dropout(rate, broadcast_dims=tuple(broadcast_dims))

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs of any shape -> the same shape."""
        return (1 - self.rate) * self.inverted(x, rngs=rngs)


class DropConnect(nnx.Module):
    """An affine layer that drops weights, other ones for each example (Wan et al. 2013).

    Biases are dropped too, as there. In evaluation the weights have their mean; Wan et al. draw
    the units from a normal distribution of that mean instead. Training holds [B, inputs, outputs].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rate: float,
        *,
        kernel_init=nnx.initializers.lecun_normal(),
        bias_init=nnx.initializers.zeros_init(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        _check(rate)
        self.rate, self.dtype, self.deterministic = rate, dtype, False
        shape = (in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(bias_init(rngs.params(), (out_features,), param_dtype))

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs [..., in_features] -> [..., out_features]."""
        dtype = self.dtype or jnp.result_type(x, self.kernel[...])
        x, kernel, bias = (a.astype(dtype) for a in (x, self.kernel[...], self.bias[...]))
        bias = bias.reshape((1,) * (x.ndim - 1) + bias.shape)
        if self.deterministic:
            return (1 - self.rate) * (x @ kernel + bias)
        examples = x.shape[:-1]
        kept = jax.random.bernoulli(rngs.dropout(), 1 - self.rate, examples + kernel.shape)
        biases_kept = jax.random.bernoulli(
            rngs.dropout(), 1 - self.rate, examples + bias.shape[-1:]
        )
        weights = jnp.where(kept, kernel.reshape((1,) * len(examples) + kernel.shape), 0)
        return jnp.einsum("...i,...io->...o", x, weights) + jnp.where(biases_kept, bias, 0)


def _check(rate):
    if not 0 <= rate < 1:
        raise ValueError(f"rate is the probability of dropping, in [0, 1); got {rate}")
