"""Layers of recurrent cells: one direction, both, a stack, and a stack that remembers its state.

    one direction    y_t from x_1..x_t, or reversed from x_t..x_T
    bidirectional    [f_t ; b_t] or f_t + b_t, of a forward and a backward layer
    stack            the outputs of a layer are the inputs of the next, dropped out between them
    carried          a stack whose state after a training pass is where the next one starts

All are called alike: `layer(xs, carry=None, mask=..., rngs=...) -> Pass(carry, outputs, last)`; a
stack alone draws noise, its dropout. The last output of a bidirectional layer is that of each
direction's own last step, T and 1.

Departs from 004 5.5 and 5.6, which name stacked and bidirectional networks "recursive".

Source: Schuster, Paliwal 1997 (both directions); Graves, Mohamed, Hinton 2013 (stack); Zaremba,
Sutskever, Vinyals 2014 (dropout between layers, not between steps); Williams, Peng 1990 (a carried
state); 001; 003; 004 eqs. 5.30-5.31.

Axes: B sequences, T steps, D input features, F features of a cell's output.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.affine_cells import Carry, Cell
from jdl.nn.recurrence import last_valid, unrolled


class Pass(NamedTuple):
    """What a layer finds in sequences.

    Attributes:
        carry: the state after the last step that counts.
        outputs: [B, T, F].
        last: the output of that step, [B, F].
    """

    carry: Carry
    outputs: jax.Array
    last: jax.Array


class RecurrentLayer(nnx.Module):
    """A cell over sequences.

    Args:
        cell: (carry, x) -> (carry, y), and `initial_carry`.
        reverse: from the last step to the first.
        learned_start: the state before the first step is a param, zeros at first; else it is 0.

    Example:
        >>> from jdl.nn.lstm_cells import LSTMCell
        >>> layer = RecurrentLayer(LSTMCell(3, 4, rngs=nnx.Rngs(0)))
        >>> layer(jnp.ones([2, 5, 3])).outputs.shape
        (2, 5, 4)
    """

    def __init__(self, cell: Cell, *, reverse: bool = False, learned_start: bool = False):
        self.cell, self.reverse = cell, reverse
        starts = jax.tree.leaves(cell.initial_carry(1)) if learned_start else []
        dtype = getattr(cell, "kernel", jnp.zeros(0)).dtype
        self.start = nnx.List([nnx.Param(x.astype(dtype)) for x in starts])

    def __call__(
        self,
        xs: jax.Array,
        carry: Carry | None = None,
        *,
        mask: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Pass:
        """xs [B, T, D], mask [B, T] -> Pass."""
        carry = self.initial_carry(xs.shape[0]) if carry is None else carry
        carry, ys = unrolled(self.cell, carry, xs, mask=mask, reverse=self.reverse)
        return Pass(carry, ys, last_valid(ys, mask, reverse=self.reverse))

    def step(
        self, carry: Carry, x: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[Carry, jax.Array]:
        """One step: x [B, D] -> (carry, y [B, F])."""
        return self.cell(carry, x)

    def initial_carry(self, batch_size: int) -> Carry:
        """The state before the first step."""
        zeros = self.cell.initial_carry(batch_size)
        if not self.start:
            return zeros
        leaves, structure = jax.tree.flatten(zeros)
        starts = [start[...].astype(x.dtype) for start, x in zip(self.start, leaves, strict=True)]
        return jax.tree.unflatten(
            structure, [jnp.broadcast_to(s, x.shape) for s, x in zip(starts, leaves, strict=True)]
        )


class BidirectionalLayer(nnx.Module):
    """A cell in each direction over the same sequences. Its carry is a pair.

    Args:
        forward: a cell.
        backward: a cell of as many features.
        merge: "concatenate" or "sum".
        learned_start: of both, as `RecurrentLayer` has it.

    Raises:
        ValueError: a merge of another name.
    """

    def __init__(
        self,
        forward: Cell,
        backward: Cell,
        merge: str = "concatenate",
        *,
        learned_start: bool = False,
    ):
        if merge not in ("concatenate", "sum"):
            raise ValueError(f"merge is 'concatenate' or 'sum'; got {merge!r}")
        self.merge = merge
        self.forward = RecurrentLayer(forward, learned_start=learned_start)
        self.backward = RecurrentLayer(backward, reverse=True, learned_start=learned_start)

    def __call__(
        self,
        xs: jax.Array,
        carry: Carry | None = None,
        *,
        mask: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Pass:
        """xs [B, T, D], mask [B, T] -> Pass, of 2 F features if they are concatenated."""
        carries = self.initial_carry(xs.shape[0]) if carry is None else carry
        there = self.forward(xs, carries[0], mask=mask)
        back = self.backward(xs, carries[1], mask=mask)
        carries = (there.carry, back.carry)
        pairs = [(there.outputs, back.outputs), (there.last, back.last)]
        if self.merge == "sum":
            return Pass(carries, *(one + other for one, other in pairs))
        return Pass(carries, *(jnp.concatenate(pair, -1) for pair in pairs))

    def initial_carry(self, batch_size: int) -> Carry:
        """The states before the first step and behind the last."""
        return self.forward.initial_carry(batch_size), self.backward.initial_carry(batch_size)


class RecurrentStack(nnx.Module):
    """Layers of cells, one on the other. Its carry is a tuple of theirs.

    Args:
        in_features: D.
        features: F, of each cell.
        num_layers: number of them.
        cell: cell(inputs, F, dtype=..., param_dtype=..., rngs=...), such as LSTMCell or
            functools.partial(GRUCell, reset="after").
        bidirectional: None, "concatenate" or "sum".
        dropout_rate: of the outputs of each layer but the last, other features at each step.
        learned_start: whether the states before the first step are params.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Attributes:
        out_features: of its outputs, F or 2 F.

    Raises:
        ValueError: no layer.

    Example:
        >>> from jdl.nn.gru_cells import GRUCell
        >>> stack = RecurrentStack(3, 4, 2, cell=GRUCell, rngs=nnx.Rngs(0))
        >>> found = stack(jnp.ones([2, 5, 3]))
        >>> found.outputs.shape, len(found.carry)
        ((2, 5, 4), 2)
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        num_layers: int = 1,
        *,
        cell: Callable[..., Cell],
        bidirectional: str | None = None,
        dropout_rate: float = 0.0,
        learned_start: bool = False,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if num_layers < 1:
            raise ValueError(f"a stack has at least one layer; got {num_layers}")
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.layers, width = nnx.List(), in_features
        for _ in range(num_layers):
            if bidirectional is None:
                layer = RecurrentLayer(cell(width, features, **made), learned_start=learned_start)
            else:
                cells = [cell(width, features, **made) for _ in range(2)]
                layer = BidirectionalLayer(*cells, bidirectional, learned_start=learned_start)
            self.layers.append(layer)
            width = 2 * features if bidirectional == "concatenate" else features
        self.out_features, self.bidirectional = width, bidirectional is not None
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(
        self,
        xs: jax.Array,
        carry: Carry | None = None,
        *,
        mask: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Pass:
        """xs [B, T, D], mask [B, T] -> Pass of the last layer, with the carries of all."""
        carries = self.initial_carry(xs.shape[0]) if carry is None else carry
        after = []
        for number, (layer, before) in enumerate(zip(self.layers, carries, strict=True)):
            xs = self.dropout(xs, rngs=rngs) if number else xs
            found = layer(xs, before, mask=mask)
            after.append(found.carry)
            xs = found.outputs
        return found._replace(carry=tuple(after))

    def step(
        self, carry: Carry, x: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[Carry, jax.Array]:
        """One step: x [B, D] -> (carry, y [B, F])."""
        if self.bidirectional:
            raise ValueError("a bidirectional stack needs the whole sequence: it has no step")
        after = []
        for number, (layer, before) in enumerate(zip(self.layers, carry, strict=True)):
            x = self.dropout(x, rngs=rngs) if number else x
            state, x = layer.step(before, x)
            after.append(state)
        return tuple(after), x

    def initial_carry(self, batch_size: int) -> Carry:
        """The states before the first step."""
        return tuple(layer.initial_carry(batch_size) for layer in self.layers)


class CarriedStack(nnx.Module):
    """A stack that starts where its last training pass ended: truncated backpropagation.

    The state is a buffer. No gradient leaves a pass through it, so that a long sequence is learned
    window by window, with gradients of no more steps than a window has. A pass in evaluation
    starts at the initial state and leaves the buffer alone.

    Args:
        stack: of one direction.
        batch_size: B, of every training pass; row b of a window follows row b of the last one.

    Raises:
        ValueError: a bidirectional stack; from a call, another batch.
    """

    def __init__(self, stack: RecurrentStack, batch_size: int):
        if stack.bidirectional:
            raise ValueError(
                "a bidirectional stack has no state to carry on: its backward layers start behind "
                "the window"
            )
        self.stack, self.batch_size, self.deterministic = stack, batch_size, False
        self.out_features = stack.out_features
        leaves = jax.tree.leaves(stack.initial_carry(batch_size))
        self.carry = nnx.List([nnx.Cache(jnp.array(x)) for x in leaves])

    def __call__(
        self,
        xs: jax.Array,
        carry: Carry | None = None,
        *,
        mask: jax.Array | None = None,
        resets: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Pass:
        """xs [B, T, D], mask [B, T], and resets [B], true where a new sequence begins -> Pass."""
        start = self.initial_carry(xs.shape[0])
        if self.deterministic or carry is not None:
            return self.stack(xs, start if carry is None else carry, mask=mask, rngs=rngs)
        if xs.shape[0] != self.batch_size:
            raise ValueError(
                f"the state of {self.batch_size} sequences is carried on; got {list(xs.shape)}"
            )
        leaves, structure = jax.tree.flatten(start)
        kept = [
            jax.lax.stop_gradient(x[...]).astype(s.dtype)
            for x, s in zip(self.carry, leaves, strict=True)
        ]
        if resets is not None:
            kept = [jnp.where(resets[:, None], s, x) for s, x in zip(leaves, kept, strict=True)]
        found = self.stack(xs, jax.tree.unflatten(structure, kept), mask=mask, rngs=rngs)
        for buffer, x in zip(self.carry, jax.tree.leaves(found.carry), strict=True):
            buffer[...] = jax.lax.stop_gradient(x).astype(buffer.dtype)
        return found

    def step(
        self, carry: Carry, x: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[Carry, jax.Array]:
        """One step: x [B, D] -> (carry, y [B, F])."""
        return self.stack.step(carry, x, rngs=rngs)

    def initial_carry(self, batch_size: int) -> Carry:
        """The states before the first step."""
        return self.stack.initial_carry(batch_size)
