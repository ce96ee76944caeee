"""The feature pyramid network: maps of all scales, each with the meaning of the coarsest.

    M_l = lateral_l(C_l) + upsampled(M_{l+1}),   lateral 1 x 1;   M_last = lateral_last(C_last)
    P_l = smooth_l(M_l),   smooth 3 x 3;         P_{last+1} = every second place of P_last

Upsampling repeats the nearest place (for odd sizes as PyTorch does, floor(i in / out)). There is no
activation, and neither has a normalisation. Parameters: sum_l D (C_l + 1) + D (9 D + 1).

Source: Lin, Dollar, Girshick, He, Hariharan, Belongie 2017, section 3 and footnote 2 (P6).

Axes: B images, C_l channels of level l, D channels of the pyramid, 256.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


class FeaturePyramid(nnx.Module):
    """The pyramid of maps of a network.

    Args:
        in_features: C_l, finest first.
        features: D.
        pooled: one level more, of every second place of the last; of the proposals alone.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: FeaturePyramid([4, 8], 6, rngs=rngs))
        >>> maps = jnp.zeros([1, 10, 10, 4]), jnp.zeros([1, 5, 5, 8])
        >>> variables = model.init(jax.random.key(0))
        >>> [maps.shape[1:] for maps in model.apply(variables, maps)[0]]
        [(10, 10, 6), (5, 5, 6), (3, 3, 6)]
    """

    def __init__(
        self,
        in_features: Sequence[int],
        features: int = 256,
        *,
        pooled: bool = True,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        conv = functools.partial(
            nnx.Conv,
            kernel_init=nnx.initializers.variance_scaling(1.0, "fan_in", "uniform"),
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.pooled = pooled
        self.laterals = nnx.List([conv(channels, features, (1, 1)) for channels in in_features])
        self.smooths = nnx.List([conv(features, features, (3, 3), padding=1) for _ in in_features])

    def __call__(self, maps: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
        """Maps [B, H_l, W_l, C_l], finest first -> [B, H_l, W_l, D], and the pooled."""
        if len(maps) != len(self.laterals):
            raise ValueError(f"this pyramid is of {len(self.laterals)} maps; got {len(maps)}")
        merged = [self.laterals[-1](maps[-1])]
        for lateral, finer in zip(self.laterals[-2::-1], maps[-2::-1], strict=True):
            merged.append(lateral(finer) + _resized(merged[-1], finer.shape[1:3]))
        pyramid = [smooth(x) for smooth, x in zip(self.smooths, reversed(merged), strict=True)]
        if self.pooled:
            pyramid.append(pyramid[-1][:, ::2, ::2])
        return tuple(pyramid)


def _resized(x, shape):
    """Maps with the nearest place of each of the places wanted."""
    rows, columns = (
        np.arange(wanted) * n // wanted for n, wanted in zip(x.shape[1:3], shape, strict=True)
    )
    return x[:, rows][:, :, columns]
