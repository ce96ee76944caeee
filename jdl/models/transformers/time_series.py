"""An encoder Transformer for series: what comes next, or of which kind the series is.

    x [B, T, C] -> x W + b, with sinusoidal positions                    [B, T, D]
      -> L times   x = x + attention(norm(x))
                   x = x + conv(relu(conv(norm(x))))                     along time
      -> norm
      -> head="lstm":     an LSTM of K units over time, its last output  [B, K]
         head="pooled":   mean over time -> dense layers -> K            [B, K]

By default 004's forecaster (sec. 6.3, example 6.3.2): four pre-norm blocks of two heads, and an
LSTM with a unit for each step to forecast, whose outputs lie in (-1, 1), as the series, scaled to
[0, 1], does; trained on the squared error, `jdl.train.regression`. "pooled" is the classifier of
Keras's examples (head_dim=256, num_heads=4, feed_forward_dim=4, mlp_dims=(128,)).

Departs from 004, which embeds nothing: the norm of a single feature is its bias whatever the
series, so that no block would see anything; which flattens the tokens before the LSTM, that wants
steps: it reads T steps of D features; and which names neither positions nor a norm behind the last
pre-norm block. It gives no sizes of heads, convolutions and windows; D = 32, F = D / 2, 4 D and
kernels of one step stand here. A kernel of more steps sees the future, and padding.

Parameters: C D + D + 2 D, a block 4 D H F + 3 H F + D + 2 k D N + N + D + 4 D, and the head, an
LSTM 4 (D K + K^2 + K); 51,080 for the default of one feature and one output.

Source: 004; Vaswani et al. 2017; Ntakouris 2021, "Timeseries classification with a Transformer
model" (keras.io); Hochreiter, Schmidhuber 1997.

Axes: B series, T steps, C features, D features inside, H heads of F, N hidden, K outputs.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.attention import padding_mask
from jdl.nn.lstm_cells import LSTMCell
from jdl.nn.positions import sinusoidal
from jdl.nn.recurrent_layers import RecurrentLayer
from jdl.nn.token_layers import LayerNorm, Linear
from jdl.nn.transformer_block import TransformerBlock

HEADS = ("lstm", "pooled")
POSITIONS = ("sinusoidal", "none")


def time_series_transformer(
    in_features: int = 1,
    num_outputs: int = 1,
    hidden_dim: int = 32,
    num_layers: int = 4,
    num_heads: int = 2,
    *,
    head_dim: int | None = None,
    feed_forward_dim: int | None = None,
    kernel_size: int = 1,
    positions: str = "sinusoidal",
    head: str = "lstm",
    mlp_dims: Sequence[int] = (128,),
    activation: Callable = jax.nn.relu,
    epsilon: float = 1e-6,
    dropout_rate: float = 0.0,
    mlp_dropout_rate: float = 0.0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """An encoder of series with a head.

    Args:
        in_features: C, of a step.
        num_outputs: K, steps to forecast, or classes.
        hidden_dim: D.
        num_layers: L.
        num_heads: H.
        head_dim: F; None is D / H.
        feed_forward_dim: N, maps of the first convolution; None is 4 D.
        kernel_size: of the convolutions, in steps.
        positions: "sinusoidal" or "none".
        head: "lstm" or "pooled".
        mlp_dims: widths of the layers between the mean and the outputs, of "pooled".
        activation: of the convolutions and of those layers.
        epsilon: of the norms; Keras's recipe has 1e-6.
        dropout_rate: of attention's weights, of hidden features, and of what a part adds.
        mlp_dropout_rate: of the layers of "pooled".
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: series [B, T, C] of any T, and if their lengths differ `is_step` [B, T], true where
        a step is no padding, which stands behind -> [B, K]. Its method "encode" gives [B, T, D].

    Raises:
        ValueError: another head or scheme of positions; heads that do not divide the features; from
            `apply`, series of another rank or of other features.

    Example:
        >>> model = time_series_transformer(3, 5, 8, 1)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([2, 12, 3]))[0].shape
        (2, 5)
    """
    for name, given, known in (("head", head, HEADS), ("positions", positions, POSITIONS)):
        if given not in known:
            raise ValueError(f"{name} is one of {known}; got {given!r}")
    made = {"dtype": dtype, "param_dtype": param_dtype}
    block = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "hidden_dim": feed_forward_dim,
        "head_dim": head_dim,
        "norm_placement": "pre",
        "activation": activation,
        "kernel_size": kernel_size,
        "dropout_rate": dropout_rate,
        "attention_dropout_rate": dropout_rate,
        "hidden_dropout_rate": dropout_rate,
        "epsilon": epsilon,
        **made,
    }

    def build(rngs):
        own = made | {"rngs": rngs}
        if head == "lstm":
            top = LSTMHead(hidden_dim, num_outputs, own)
        else:
            widths = (hidden_dim, *mlp_dims, num_outputs)
            top = MeanHead(widths, activation, mlp_dropout_rate, own)
        return TimeSeriesTransformer(in_features, num_layers, positions, block, top, own)

    return functional(build)


class TimeSeriesTransformer(nnx.Module):
    """The network of `time_series_transformer`."""

    def __init__(self, in_features, num_layers, positions, block, head, made):
        features = block["features"]
        self.in_features, self.features, self.scheme = in_features, features, positions
        self.embed = Linear(in_features, features, **made)
        self.dropout = nnx.Dropout(block["dropout_rate"])
        rngs = made["rngs"]
        self.blocks = nnx.List(TransformerBlock(**block, rngs=rngs) for _ in range(num_layers))
        self.norm = LayerNorm(features, epsilon=block["epsilon"], **made)
        self.head = head

    def __call__(
        self,
        series: jax.Array,
        *,
        is_step: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> jax.Array:
        """Series [B, T, C] -> [B, K]."""
        return self.head(self.encode(series, is_step=is_step, rngs=rngs), is_step, rngs=rngs)

    def encode(
        self,
        series: jax.Array,
        *,
        is_step: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> jax.Array:
        """Series [B, T, C] -> [B, T, D]."""
        if series.ndim != 3 or not series.shape[1] or series.shape[2] != self.in_features:
            raise ValueError(
                f"series are [B, T, {self.in_features}], of one step at least; "
                f"got {list(series.shape)}. A series of one feature has a last axis of length 1"
            )
        x = self.embed(series)
        if self.scheme == "sinusoidal":
            x = x + sinusoidal(jnp.arange(x.shape[1])[None], self.features).astype(x.dtype)
        x = self.dropout(x, rngs=rngs)
        mask = None if is_step is None else padding_mask(is_step)
        for block in self.blocks:
            x = block(x, mask=mask, rngs=rngs)
        return self.norm(x)


class LSTMHead(nnx.Module):
    """The last output of an LSTM of as many units as there are outputs."""

    def __init__(self, features, num_outputs, made):
        self.lstm = RecurrentLayer(LSTMCell(features, num_outputs, **made))

    def __call__(
        self, x: jax.Array, is_step: jax.Array | None, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """[B, T, D] -> [B, K]."""
        return self.lstm(x, mask=is_step).last


class MeanHead(nnx.Module):
    """The mean over time, and dense layers with dropout between."""

    def __init__(self, widths, activation, dropout_rate, made):
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.layers = nnx.List(Linear(*pair, **made) for pair in pairs)
        self.activation, self.dropout = activation, nnx.Dropout(dropout_rate)

    def __call__(
        self, x: jax.Array, is_step: jax.Array | None, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """[B, T, D] -> [B, K]."""
        if is_step is None:
            x = x.mean(1)
        else:
            counts = jnp.maximum(is_step.sum(1, keepdims=True), 1).astype(x.dtype)
            x = jnp.where(is_step[..., None], x, 0).sum(1) / counts
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)), rngs=rngs)
        return self.layers[-1](x)
