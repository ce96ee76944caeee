"""Deep convolutional networks of waveforms: wide filters first, narrow ones after.

    wave [B, T, 1], T = 32,000, 4 s of 8 kHz
      -> 80 taps, stride 4 [B, 8000, n]    -> norm -> relu -> max pool 4
      -> groups of layers of 3 taps, norm, relu; each but the fifth followed by a max pool 4
         [B, 2000, n], [B, 500, n], [B, 125, n], [B, 32, n]
      -> mean over time -> classes

          first   groups (maps x layers)                     parameters, 10 classes
    M3    256     256                                            221,194    0.2 M in table 1
    M5    128     128, 256, 512                                  559,114
    M11   64      64 x 2, 128 x 2, 256 x 3, 512 x 2            1,786,442    1.8 M
    M18   64      64 x 4, 128 x 4, 256 x 4, 512 x 4            3,683,786    3.7 M

The first filters take the place of a spectrogram: 80 taps are 10 ms, of 2.5 ms steps.

Source: Dai, Dai, Qu, Li, Das 2017, table 1 and section 3 (Glorot's first weights, no dropout); 000,
001, 003 in words (1-D networks).

Axes: B waves, T times, C channels, K classes.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.pooling import max_pool
from jdl.nn.residual import BATCH_NORM

WIDE, STRIDE, NARROW, POOL = 80, 4, 3, 4
POOLED_GROUPS = 4  # the first layer and three more; 32 of 32,000 times are left


def audio_cnn(
    first: int = 128,
    groups: Sequence[tuple[int, int]] = ((128, 1), (256, 1), (512, 1)),
    *,
    num_classes: int | None = 10,
    in_channels: int = 1,
    dropout_rate: float = 0.0,
    norm: Callable = BATCH_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A network of waveforms, M5 unless the table says otherwise.

    Args:
        first: maps of the first layer.
        groups: (maps, layers) of each.
        num_classes: K; None for no head: the outputs are the pooled features.
        in_channels: C; 1 is mono.
        dropout_rate: of the pooled features.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: waves [B, T, C] of any length -> logits [B, K]. method="features" gives the maps of
        the first layer and of each group, pooled where they are; `classify` takes the last.

    Raises:
        ValueError: from `apply`, inputs of another rank or other channels.

    Example:
        >>> model = m3()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([2, 8000, 1]))[0].shape
        (2, 10)
    """
    made = {"dtype": dtype, "param_dtype": param_dtype}
    sizes = in_channels, first, groups, num_classes, dropout_rate
    return functional(lambda rngs: AudioCNN(*sizes, norm, {**made, "rngs": rngs}))


class AudioCNN(nnx.Module):
    """The network of `audio_cnn`."""

    def __init__(self, in_channels, first, groups, num_classes, dropout_rate, norm, made):
        self.in_channels, channels = in_channels, in_channels
        self.groups = nnx.List()
        for maps, layers in ((first, 1), *groups):
            group = nnx.List()
            for _ in range(layers):
                taps, stride = (NARROW, 1) if self.groups else (WIDE, STRIDE)
                group.append(TimeUnit(channels, maps, taps, stride, norm, made))
                channels = maps
            self.groups.append(group)
        self.head = PooledHead(channels, num_classes, dropout_rate=dropout_rate, **made)

    def features(self, waves: jax.Array) -> tuple[jax.Array, ...]:
        """Waves [B, T, C] -> maps of each group [B, T', maps]."""
        if waves.ndim != 3 or waves.shape[-1] != self.in_channels:
            raise ValueError(
                f"waves are [B, T, {self.in_channels}]; got {list(waves.shape)}. One channel is "
                "waves[..., None]"
            )
        x, maps = waves, []
        for number, group in enumerate(self.groups):
            for unit in group:
                x = unit(x)
            x = max_pool(x, POOL, padding="SAME") if number < POOLED_GROUPS else x
            maps.append(x)
        return tuple(maps)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps of `features` -> logits [B, K]."""
        return self.head(maps[:, :, None], rngs=rngs)

    def __call__(self, waves: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Waves [B, T, C] -> logits [B, K]."""
        return self.classify(self.features(waves)[-1], rngs=rngs)


class TimeUnit(nnx.Module):
    """A convolution over time, norm, relu."""

    def __init__(self, in_features, features, taps, stride, norm, made):
        glorot = nnx.initializers.glorot_uniform()
        self.conv = nnx.Conv(in_features, features, (taps,), stride, kernel_init=glorot, **made)
        self.norm = norm(features, **made)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, C] -> [B, T / stride, features]."""
        return jax.nn.relu(self.norm(self.conv(x)))


m3 = functools.partial(audio_cnn, 256, ((256, 1),))
m5 = functools.partial(audio_cnn, 128, ((128, 1), (256, 1), (512, 1)))
m11 = functools.partial(audio_cnn, 64, ((64, 2), (128, 2), (256, 3), (512, 2)))
m18 = functools.partial(audio_cnn, 64, ((64, 4), (128, 4), (256, 4), (512, 4)))
AUDIO_CNNS = {"m3": m3, "m5": m5, "m11": m11, "m18": m18}
