"""What a model consists of and what a forward pass costs, without allocating it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Key, Model


class Row(NamedTuple):
    """One array of a model.

    Attributes:
        path: `blocks.3.conv1.kernel`.
        shape: of the array.
        dtype: its name.
        count: of its entries.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    count: int


class Summary(NamedTuple):
    """The arrays of a model and the cost of a forward pass; printed as a table.

    Attributes:
        params: a row for each parameter.
        buffers: a row for each buffer.
        total: number of parameters.
        size: of the parameters, bytes.
        flops: of a forward pass as XLA counts them, a multiplication and an addition as two;
            None without inputs. Loops of unknown length count one turn.
    """

    params: tuple[Row, ...]
    buffers: tuple[Row, ...]
    total: int
    size: int
    flops: float | None

    def __str__(self):
        rows = [("params", "shape", "dtype", "count"), *map(_cells, self.params)]
        if self.buffers:
            rows += [("", "", "", ""), ("buffers", "", "", ""), *map(_cells, self.buffers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{path:<{widths[0]}}  {shape:<{widths[1]}}  {dtype:<{widths[2]}}  {count:>{widths[3]}}"
            for path, shape, dtype, count in rows
        ]
        cost = "" if self.flops is None else f", {_scaled(self.flops)}FLOP a forward pass"
        total = f"{self.total:,} parameters, {_scaled(self.size)}B{cost}"
        return "\n".join([*map(str.rstrip, lines), "", total])


def summary(
    model: Model,
    *inputs: Any,
    key: Key | None = None,
    train: bool = False,
    **options: Any,
) -> Summary:
    """Lists a model's arrays and has XLA count the operations of a forward pass.

    Nothing is computed or allocated, however large the model.

    Args:
        model: any.
        inputs: of `apply`: arrays, jax.ShapeDtypeStruct, or shapes of float32 arrays; without
            them nothing is counted.
        key: of `apply`, for a model whose forward pass draws noise.
        train: whether it is the pass of training.
        options: further arguments of `apply`, `method="decode"`.

    Returns:
        A Summary. Its FLOPs are those of the whole batch, before XLA optimizes the program. A
        scan counts once, however long: give a deep stack without `scan_layers`.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> print(summary(mlp([784, 100, 10]), [32, 784]))
        params           shape    dtype    count
        layers.0.bias    100      float32    100
        layers.0.kernel  784 100  float32  78400
        layers.1.bias    10       float32     10
        layers.1.kernel  100 10   float32   1000
        <BLANKLINE>
        79,510 parameters, 318 kB, 5.09 MFLOP a forward pass
    """
    variables = jax.eval_shape(model.init, jax.random.key(0))
    flops = None
    if inputs:

        def forward(variables, *inputs):
            return model.apply(variables, *inputs, key=key, train=train, **options)

        traced = jax.jit(forward).trace(variables, *map(_abstract, inputs))
        # Not as a CPU runs it, where a product may have more terms that are zero.
        lowered = traced.lower(lowering_platforms=("tpu",))
        flops = (lowered.cost_analysis() or {}).get("flops", 0.0)
    params, buffers = _rows(variables.params), _rows(variables.buffers)
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(variables.params))
    return Summary(params, buffers, sum(row.count for row in params), size, flops)


def _abstract(x):
    """Shapes as abstract float32 arrays; anything else as it is."""
    is_shape = isinstance(x, Sequence) and all(isinstance(size, int) for size in x)
    return jax.ShapeDtypeStruct(tuple(x), jnp.float32) if is_shape else x


def _rows(tree):
    return tuple(
        Row(
            jax.tree_util.keystr(path, simple=True, separator="."),
            x.shape,
            str(x.dtype),
            math.prod(x.shape),
        )
        for path, x in jax.tree.leaves_with_path(tree)
    )


def _cells(row):
    return row.path, " ".join(map(str, row.shape)) or "scalar", row.dtype, str(row.count)


def _scaled(number):
    """Three digits and the SI prefix: 5093000 -> 5.09 M."""
    for power, prefix in ((4, "T"), (3, "G"), (2, "M"), (1, "k")):
        if number >= 1000**power:
            return f"{number / 1000**power:.3g} {prefix}"
    return f"{number:.3g} "
