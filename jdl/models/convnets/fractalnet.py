"""FractalNet: paths of 1, 2, 4, ... convolutions side by side, joined by their mean; no residuals.

    f_1(z)     = conv(z),   a unit: 3x3, batch norm, relu
    f_{c+1}(z) = mean(f_c(f_c(z)), conv(z)),   means of means taken as one mean of all

    of C = 3 columns:     row    column 1    column 2    column 3
                          1                              conv
                          2                  conv        conv       mean of columns 2, 3
                          3                              conv
                          4      conv        conv        conv       mean of all

    image [B, 32, 32, 3]
      -> 5 times: block, max pool 2x2   [B, 16, 16, 64] ... [B, 1, 1, 512]
      -> mean over space -> classes

Column c has 2^(c-1) units in each block, so that the deepest path of 5 blocks is 5 * 2^(C-1) long.
Drop-path draws a part of the network for each batch:

    local, half of the batches    each input of a mean is left out with probability 0.15, one stays
    global, the other half        one column of the whole network, each as likely

Means are of the inputs left. A column alone is a network of its own, in evaluation too:
`apply(variables, images, column=C)` computes the deepest and nothing else.

                     C    layers   maps of the blocks         parameters     of 10 classes
    fractalnet20     3    20       64, 128, 256, 512, 512     33,724,618
    fractalnet40     4    40       16, 32, 64, 128, 128       4,767,210      (4.8 M, table 3)

The 20-layer network has 38.6 M parameters in the table of Huang et al. 2017; what the paper says of
it adds up to 33.7 M.

Source: Larsson, Maire, Shakhnarovich 2017, eq. 1 and 2, section 3 (drop-path), section 4 (dropout).
Where the dropout goes is their code's, between convolution and norm.

Axes: B images, H rows, W columns, C channels, K classes.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.image_shape import check_images
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.pooling import max_pool
from jdl.nn.residual import BATCH_NORM, HE_CONV

WIDTHS = (64, 128, 256, 512, 512)
NARROW = (16, 32, 64, 128, 128)
DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4)


def fractalnet(
    columns: int = 3,
    widths: Sequence[int] = WIDTHS,
    *,
    block_dropout_rates: Sequence[float] | None = None,
    drop_path_rate: float = 0.15,
    global_rate: float = 0.5,
    num_classes: int | None = 10,
    in_channels: int = 3,
    dropout_rate: float = 0.0,
    norm: Callable = BATCH_NORM,
    conv: Callable = HE_CONV,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A fractal network.

    Args:
        columns: C of each block; the longest path of a block has 2^(C-1) units.
        widths: maps of each block.
        block_dropout_rates: of each block, while training; `DROPOUT` with augmentation, as
            published; none if None.
        drop_path_rate: probability that a mean leaves an input out, in local drop-path.
        global_rate: probability that a batch sees one column alone; 0 with a drop_path_rate of 0
            trains all paths at once.
        num_classes: K; None for no head, so that outputs are the means over space.
        in_channels: channels of the images.
        dropout_rate: probability of dropping a mean over space while training.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        conv: as nnx.Conv.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, channels] -> logits [B, K]; training passes take a key. `column`,
        1 to C, is an option of `apply`. `method="features"` gives the pooled maps of each block.

    Raises:
        ValueError: rates that do not go with the widths; from `apply`, images of other channels
            or of less than 2^blocks places a side, or a column that is not there.

    Example:
        >>> model = fractalnet(2, (4, 8))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> deepest = lambda v: model.apply(v, jnp.zeros([1, 8, 8, 3]), column=2)[0]
        >>> jax.eval_shape(deepest, variables).shape
        (1, 10)
    """
    rates = [0.0] * len(widths) if block_dropout_rates is None else block_dropout_rates
    if len(rates) != len(widths):
        raise ValueError(f"a dropout rate for each of {len(widths)} blocks; got {list(rates)}")

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        unit = functools.partial(Unit, norm=norm, conv=conv, **made)
        blocks, channels = nnx.List(), in_channels
        for features, rate in zip(widths, rates, strict=True):
            part = functools.partial(unit, dropout_rate=rate)
            blocks.append(FractalBlock(channels, features, columns, part))
            channels = features
        head = PooledHead(channels, num_classes, dropout_rate=dropout_rate, **made)
        return FractalNet(blocks, head, (in_channels, columns, drop_path_rate, global_rate))

    return functional(build)


class FractalNet(nnx.Module):
    """The network of `fractalnet`."""

    def __init__(self, blocks, head, sizes):
        self.blocks, self.head = blocks, head
        self.in_channels, self.columns, self.drop_path_rate, self.global_rate = sizes
        self.deterministic = False

    def features(
        self, images: jax.Array, *, column: int | None = None, rngs: nnx.Rngs | None = None
    ) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> the pooled maps of each block, by way of all columns or of one."""
        check_images(images, self.in_channels, 2 ** len(self.blocks))
        if column is not None and not 1 <= column <= self.columns:
            raise ValueError(f"columns are 1 to {self.columns}; got {column}")
        alone = column is not None
        weights = None if alone or self.deterministic else self._weights(rngs)
        x, maps = images, []
        for index, block in enumerate(self.blocks):
            if alone:
                x = block.one(x, column, rngs=rngs)
            else:
                x = block(x, None if weights is None else weights[index], rngs=rngs)
            x = max_pool(x, 2)
            maps.append(x)
        return tuple(maps)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K]."""
        return self.head(maps, rngs=rngs)

    def __call__(
        self, images: jax.Array, *, column: int | None = None, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images, column=column, rngs=rngs)[-1], rngs=rngs)

    def _weights(self, rngs):
        """Of each column in each mean, [blocks, rows, C], drawn for a batch; None: all the same."""
        if not (self.drop_path_rate or self.global_rate):
            return None
        meets = meetings(self.columns)
        key_local, key_choice, key_column = jax.random.split(rngs.drop_path(), 3)
        scores = jax.random.uniform(key_local, [len(self.blocks), *meets.shape])
        scores = jnp.where(meets[None], scores, -1.0)
        last = scores == scores.max(-1, keepdims=True)
        local = meets[None] & ((scores > self.drop_path_rate) | last)
        chosen = jnp.arange(self.columns) == jax.random.randint(key_column, [], 0, self.columns)
        alone = meets & chosen[None]
        # A mean that the column has no part in leads nowhere; it stays as it is.
        whole = jnp.where(alone.any(-1, keepdims=True), alone, meets)
        kept = jnp.where(jax.random.bernoulli(key_choice, self.global_rate), whole[None], local)
        return kept / kept.sum(-1, keepdims=True)


class FractalBlock(nnx.Module):
    """A block of C columns, f_C.

    Args:
        in_features: of the maps that it sees.
        features: of those that it makes.
        columns: C.
        unit: unit(in_features, features) -> a module, maps -> maps.
    """

    def __init__(self, in_features: int, features: int, columns: int, unit: Callable):
        self.columns = nnx.List()
        for column in range(columns):
            inputs = [in_features] + [features] * (2**column - 1)
            self.columns.append(nnx.List([unit(channels, features) for channels in inputs]))

    def __call__(
        self, x: jax.Array, weights: jax.Array | None = None, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, D]; `weights` [rows, C] of the means, of sum 1."""
        meets = meetings(len(self.columns))
        weights = meets / meets.sum(1, keepdims=True) if weights is None else weights
        waiting, units = [x] * len(self.columns), [iter(units) for units in self.columns]
        for row, meeting in enumerate(meets):
            together = [column for column, ends in enumerate(meeting) if ends]
            outputs = [next(units[column])(waiting[column], rngs=rngs) for column in together]
            mean = sum(
                weights[row, column].astype(y.dtype) * y
                for column, y in zip(together, outputs, strict=True)
            )
            for column in together:
                waiting[column] = mean
        return mean

    def one(self, x: jax.Array, column: int, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, D] by the units of one column, 1 to C."""
        for unit in self.columns[column - 1]:
            x = unit(x, rngs=rngs)
        return x


class Unit(nnx.Module):
    """A 3x3 convolution, dropout, a norm and a rectifier."""

    def __init__(self, in_features, features, *, dropout_rate, norm, conv, **made):
        self.conv = conv(in_features, features, (3, 3), padding=1, **made)
        self.dropout = nnx.Dropout(dropout_rate)
        self.norm = norm(features, **made)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, D]."""
        return jax.nn.relu(self.norm(self.dropout(self.conv(x), rngs=rngs)))


def meetings(columns: int) -> np.ndarray:
    """Whether a unit of each column ends in each row of a block: those that do are averaged.

    Args:
        columns: C.

    Returns:
        [2^(C-1), C]; the last column, the deepest, ends in every row.

    Example:
        >>> meetings(3).astype(int).tolist()
        [[0, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]]
    """
    rows = np.arange(1, 2 ** (columns - 1) + 1)
    lengths = 2 ** np.arange(columns - 1, -1, -1)
    return rows[:, None] % lengths[None] == 0


fractalnet20 = functools.partial(fractalnet, 3)
fractalnet40 = functools.partial(fractalnet, 4, NARROW)
FRACTALNETS = {"fractalnet20": fractalnet20, "fractalnet40": fractalnet40}
