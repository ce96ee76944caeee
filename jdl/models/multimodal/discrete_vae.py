"""The discrete variational autoencoder of DALL-E: an image is a grid of words of a visual language.

    image [B, H, W, 3]      -> 7x7 convolution, n features
      -> 4 groups of 2 residual blocks of n, 2 n, 4 n, 8 n features, halved between -> relu -> 1x1
      -> logits of q(code | image)                                        [B, H / 8, W / 8, K]
      -> y = softmax((logits + Gumbel noise) / tau), or the most probable code
      -> 1x1 convolution -> 4 groups of 8 n, 4 n, 2 n, n features, doubled between -> relu -> 1x1
      -> mu, ln b of a logit-Laplace density of each pixel                [B, H, W, 3] each

    block(x) = x or its 1x1 convolution + (1 / 8^2) res(x), of four convolutions of a quarter of the
               features, each after a relu: 3 3 3 1 in the encoder, 1 3 3 3 in the decoder

    loss = [-log p(image | y) + beta KL(q || uniform)] / (3 H W)

n = 256 and K = 8192: an image of 256 x 256 pixels is 32 x 32 codes. 53,786,240 parameters of the
encoder and 43,829,766 of the decoder. tau falls along a cosine from 1 to 1/16 in 150,000 updates,
beta rises from 0 to 6.6 in 5,000; the buffer `updates` counts them.

Source: Ramesh, Pavlov, Goh and others 2021, section 2.1 and appendices A.1 to A.3; the released
code of openai/DALL-E for all sizes. Its initial weights are N(0, 1 / fan in).

Axes: B images, H rows, W columns, K codes.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.functional import functional
from jdl.nn.convolution_forms import Conv
from jdl.nn.gumbel import gumbel_softmax
from jdl.nn.logit_laplace import logit_laplace_nll, squeezed, unsqueezed
from jdl.nn.pooling import max_pool

Schedule = Callable[[jax.Array], jax.Array]
_halved = functools.partial(max_pool, window=2)
_INIT = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")


def discrete_vae(
    num_codes: int = 8192,
    features: int = 256,
    *,
    first_features: int = 128,
    num_groups: int = 4,
    blocks_per_group: int = 2,
    channels: int = 3,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A discrete VAE, by default the released one.

    Args:
        num_codes: K.
        features: n, of the finest grid; a multiple of 4.
        first_features: of the decoder's first layer.
        num_groups: of residual blocks; between two, the grid is halved or doubled.
        blocks_per_group: of them.
        channels: of the images.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] of 0 to 1, and a temperature if codes are to be drawn and
        relaxed -> DiscreteVAEOutput. Its methods: "encode", images -> codes [B, h, w], integers;
        "decode", codes -> images. Its buffer `updates` is a count that `evidence_bound` keeps.

    Raises:
        ValueError: features that four do not divide; from `apply`, images of another rank, or whose
            size the pooling does not divide; relaxed codes without a key.

    Example:
        >>> model = discrete_vae(16, 4, first_features=4)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jnp.ones([2, 16, 24, 3])
        >>> jax.eval_shape(lambda v: model.apply(v, images, method="encode")[0], variables).shape
        (2, 2, 3)
    """
    if features % 4:
        raise ValueError(f"a block has a quarter of the features inside; got features={features}")
    sizes = (num_codes, features, first_features, num_groups, blocks_per_group, channels)
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}
    return functional(lambda rngs: DiscreteVAE(*sizes, made={**dtypes, "rngs": rngs}))


def temperature_schedule(updates: int = 150_000, last: float = 1 / 16) -> Schedule:
    """tau: from 1 to its last value along half a cosine (appendix A.2)."""
    return optax.cosine_decay_schedule(1.0, updates, alpha=last)


def weight_schedule(updates: int = 5_000, last: float = 6.6) -> Schedule:
    """beta: from 0 to its last value along half a cosine (appendix A.2)."""
    falling = optax.cosine_decay_schedule(last, updates)
    return lambda t: last - falling(t)


def evidence_bound(
    model: Model, temperature: Schedule | None = None, weight: Schedule | None = None
) -> Objective:
    """The negative evidence lower bound of images, relaxed, per pixel and channel.

        [-log p(image | y) + beta KL(q || uniform)] / (H W C),   KL = sum_positions log K - H(q)

    With beta = 1 and tau to 0 it bounds the negative log-likelihood; DALL-E's beta is 6.6, so that
    codes are used.

    Args:
        model: of `discrete_vae`.
        temperature: tau by the count of updates; None is `temperature_schedule()`.
        weight: beta by it; None is `weight_schedule()`.

    Returns:
        An Objective of images [B, H, W, C] of 0 to 1. Its info has, in nats, "reconstruction" of a
        pixel's channel and "divergence" of a position, from 0 to log K; and "temperature". The
        buffer `updates` grows by one.
    """
    temperature = temperature_schedule() if temperature is None else temperature
    weight = weight_schedule() if weight is None else weight

    def objective(params, buffers, batch, key):
        tau, beta = temperature(buffers["updates"]), weight(buffers["updates"])
        output, buffers = model.apply(Variables(params, buffers), batch, tau, key=key, train=True)
        targets = squeezed(batch)
        reconstruction = logit_laplace_nll(output.means, output.log_scales, targets).mean()
        divergence = divergence_of_uniform(output.logits)
        share = divergence[0].size / batch[0].size
        info = {
            "reconstruction": reconstruction,
            "divergence": divergence.mean(),
            "temperature": jnp.asarray(tau),
        }
        loss = reconstruction + beta * share * divergence.mean()
        return loss, ({**buffers, "updates": buffers["updates"] + 1}, info)

    return objective


def divergence_of_uniform(logits: jax.Array) -> jax.Array:
    """KL(softmax(logits) || uniform) = log K - entropy: [..., K] -> [...], in nats."""
    log_q = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    return jnp.sum(jnp.exp(log_q) * log_q, axis=-1) + jnp.log(logits.shape[-1])


class DiscreteVAEOutput(NamedTuple):
    """What the autoencoder says of images.

    Attributes:
        logits: of the codes, [B, h, w, K].
        means: mu of the pixels' logits, [B, H, W, C].
        log_scales: ln b, [B, H, W, C].
    """

    logits: jax.Array
    means: jax.Array
    log_scales: jax.Array


class DiscreteVAE(nnx.Module):
    """The network of `discrete_vae`."""

    def __init__(
        self, num_codes, features, first_features, num_groups, blocks_per_group, channels, *, made
    ):
        self.num_codes, self.stride = num_codes, 2 ** (num_groups - 1)
        widths = [features * 2**group for group in range(num_groups)]
        common = {"per_group": blocks_per_group, "made": made}
        self.encoder = Tower(
            channels, 7, features, widths, num_codes, (3, 3, 3, 1), _halved, **common
        )
        self.decoder = Tower(
            num_codes,
            1,
            first_features,
            widths[::-1],
            2 * channels,
            (1, 3, 3, 3),
            _doubled,
            **common,
        )
        self.updates = nnx.Variable(jnp.zeros([], jnp.int32))

    def __call__(
        self,
        images: jax.Array,
        temperature: float | jax.Array | None = None,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> DiscreteVAEOutput:
        """Images [B, H, W, C] -> DiscreteVAEOutput, of the most probable codes or relaxed ones."""
        logits = self._logits(images)
        if temperature is None:
            chosen = self._one_hot(jnp.argmax(logits, axis=-1))
        else:
            chosen = gumbel_softmax(logits, rngs.codes(), temperature)
        return DiscreteVAEOutput(logits, *jnp.split(self.decoder(chosen), 2, axis=-1))

    def encode(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> the most probable codes [B, h, w], integers."""
        return jnp.argmax(self._logits(images), axis=-1)

    def decode(self, codes: jax.Array) -> jax.Array:
        """Codes [B, h, w] -> images [B, H, W, C] of 0 to 1, the medians of their densities."""
        if codes.ndim != 3 or not jnp.issubdtype(codes.dtype, jnp.integer):
            raise ValueError(f"codes are integers [B, h, w]; got {codes.dtype} {list(codes.shape)}")
        means, _ = jnp.split(self.decoder(self._one_hot(codes)), 2, axis=-1)
        return unsqueezed(jax.nn.sigmoid(means))

    def _logits(self, images):
        if images.ndim != 4 or images.shape[1] % self.stride or images.shape[2] % self.stride:
            raise ValueError(
                f"images are [B, H, W, C], of sizes that {self.stride} divides; "
                f"got {list(images.shape)}. Crop or resize them"
            )
        return self.encoder(squeezed(images))

    def _one_hot(self, codes):
        first = self.decoder.first
        dtype = first.dtype or first.param_dtype
        return jax.nn.one_hot(codes, self.num_codes, dtype=dtype)


class Tower(nnx.Module):
    """A convolution, groups of residual blocks with a change of the grid between, a convolution."""

    def __init__(
        self, inputs, first_size, first, widths, outputs, kernel_sizes, resize, *, per_group, made
    ):
        self.resize = resize
        self.first = _conv(inputs, first, first_size, made)
        gain = (len(widths) * per_group) ** -2
        groups, width = [], first
        for wide in widths:
            blocks = []
            for _ in range(per_group):
                blocks.append(ResidualBlock(width, wide, kernel_sizes, gain, made=made))
                width = wide
            groups.append(nnx.List(blocks))
        self.groups = nnx.List(groups)
        self.last = _conv(width, outputs, 1, made)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, inputs] -> [B, H', W', outputs]."""
        x = self.first(x)
        for number, group in enumerate(self.groups):
            x = self.resize(x) if number else x
            for block in group:
                x = block(x)
        return self.last(jax.nn.relu(x))


class ResidualBlock(nnx.Module):
    """Four convolutions of a quarter of the features, scaled down, beside the input."""

    def __init__(self, inputs, outputs, kernel_sizes, gain, *, made):
        self.gain = gain
        hidden = [outputs // 4] * (len(kernel_sizes) - 1)
        widths = zip([inputs, *hidden], [*hidden, outputs], kernel_sizes, strict=True)
        self.convs = nnx.List(_conv(*sizes, made) for sizes in widths)
        self.skip = _conv(inputs, outputs, 1, made) if inputs != outputs else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, inputs] -> [B, H, W, outputs]."""
        hidden = x
        for conv in self.convs:
            hidden = conv(jax.nn.relu(hidden))
        return (x if self.skip is None else self.skip(x)) + self.gain * hidden


def _conv(inputs, outputs, size, made):
    return Conv(inputs, outputs, (size, size), kernel_init=_INIT, **made)


def _doubled(x):
    """Each place four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
