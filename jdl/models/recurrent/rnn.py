"""Recurrent networks for sequences, of any cell, in the four forms of inputs and outputs.

    many to one          x_1..x_T -> the last output of the stack -> head -> y       readout="last"
    many to many         x_1..x_T -> each output of the stack -> head -> y_1..y_T    readout="each"
    one to many          x -> y_1, which is the next input -> y_2 -> ... -> y_T      `one_to_many`
    other lengths        an encoder's state starts a decoder: not in this file

The head is affine and returns logits or values: a softmax output is that of logits with the
cross-entropy of `jdl.train.classification`, a linear one that with `jdl.train.regression`.

Elman's network is `cell=ElmanCell` (tanh, h_0 = 0), and 001's without biases that of
`functools.partial(ElmanCell, use_bias=False)` with `head_bias=False`.

Source: Elman 1990; 000 ch. 8-9; 001; 002; 003; 004 5.1-5.2. Parameters: D F + F^2 + F + F K + K for
one layer of Elman cells; 10,451 of 000's regressor (LSTM 50 of one feature, 1 output).

Axes: B sequences, T steps, D input features, F features of a cell, K outputs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.affine_cells import Carry
from jdl.nn.elman import ElmanCell, JordanCell
from jdl.nn.recurrence import valid_steps
from jdl.nn.recurrent_layers import CarriedStack, RecurrentLayer, RecurrentStack
from jdl.nn.token_layers import Linear


def recurrent_network(
    in_features: int,
    out_features: int,
    hidden_dim: int = 128,
    num_layers: int = 1,
    *,
    cell: Callable = ElmanCell,
    readout: str = "last",
    bidirectional: str | None = None,
    dropout_rate: float = 0.0,
    head_dropout_rate: float = 0.0,
    learned_start: bool = False,
    head_bias: bool = True,
    carried_batch: int | None = None,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A stack of recurrent layers and an affine head.

    Args:
        in_features: D.
        out_features: K.
        hidden_dim: F, of each cell.
        num_layers: of the stack.
        cell: cell(inputs, F, dtype=..., param_dtype=..., rngs=...), such as LSTMCell, or
            functools.partial(DeepTransitionCell, depth=3).
        readout: "last" or "each" output of the stack goes to the head.
        bidirectional: None, "concatenate" or "sum" of two directions.
        dropout_rate: between layers.
        head_dropout_rate: before the head.
        learned_start: whether the states before the first step are params.
        head_bias: whether the head has biases.
        carried_batch: B, if the state after a training pass is to be a buffer, where the next one
            starts: truncated backpropagation through time. `windows` cuts sequences for it.
        dtype: of the computation; None takes that of params and inputs.
        param_dtype: of the params.

    Returns:
        A Model: x [B, T, D] -> [B, K] or [B, T, K]. Options of `apply`: `mask` [B, T] of booleans
        or `lengths` [B] of padded sequences, and `resets` [B], true where a row of a carried
        batch begins anew. Method "step": (carry, x [B, D]) -> ([B, K], carry), and "initial_carry":
        (batch_size) -> carry.

    Raises:
        ValueError: a readout of another name; from `apply`, x of another rank or width, a mask and
            lengths, dropout without a key.

    Example:
        >>> model = recurrent_network(3, 2, hidden_dim=4)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> logits, _ = jax.eval_shape(model.apply, variables, jnp.ones([5, 7, 3]))
        >>> logits.shape
        (5, 2)
    """
    if readout not in ("last", "each"):
        raise ValueError(f"readout is 'last' or 'each'; got {readout!r}")
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}

    def build(rngs):
        stack = RecurrentStack(
            in_features,
            hidden_dim,
            num_layers,
            cell=cell,
            bidirectional=bidirectional,
            dropout_rate=dropout_rate,
            learned_start=learned_start,
            **dtypes,
            rngs=rngs,
        )
        stack = stack if carried_batch is None else CarriedStack(stack, carried_batch)
        head = Linear(stack.out_features, out_features, use_bias=head_bias, **dtypes, rngs=rngs)
        return RecurrentNetwork(stack, head, readout, head_dropout_rate)

    return functional(build)


def jordan_network(
    in_features: int,
    out_features: int,
    hidden_dim: int = 128,
    *,
    activation: Callable = jnp.tanh,
    feedback: Callable = jax.nn.sigmoid,
    decay: float = 0.0,
    readout: str = "each",
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """Jordan's network: what it put out comes back to its hidden layer.

    Args:
        in_features: D; 1986 a plan, the same at each step.
        out_features: K.
        hidden_dim: H.
        activation: of the hidden layer.
        feedback: from an output to what is remembered of it; outputs are logits or values.
        decay: part of what was remembered that stays, in [0, 1).
        readout: "last" or "each" output.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model, with the options and methods of `recurrent_network`.
    """
    if readout not in ("last", "each"):
        raise ValueError(f"readout is 'last' or 'each'; got {readout!r}")
    made = {"feedback": feedback, "decay": decay, "dtype": dtype, "param_dtype": param_dtype}

    def build(rngs):
        cell = JordanCell(in_features, hidden_dim, out_features, activation, **made, rngs=rngs)
        return RecurrentNetwork(RecurrentLayer(cell), None, readout, 0.0)

    return functional(build)


def one_to_many(
    in_features: int,
    out_features: int,
    num_steps: int,
    hidden_dim: int = 128,
    num_layers: int = 1,
    *,
    cell: Callable = ElmanCell,
    feedback: Callable = lambda y: y,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A sequence from one vector: each output is the next input.

        u_1 = context W + b,   y_t = head(stack(u_t)),   u_{t+1} = feedback(y_t)

    Args:
        in_features: D, of the context, an image's features or a seed.
        out_features: K, of an output and of an input of the stack.
        num_steps: T.
        hidden_dim: F, of each cell.
        num_layers: of the stack.
        cell: as `recurrent_network` has it.
        feedback: of an output on its way back; jax.nn.softmax where the outputs are logits.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: context [B, D] -> [B, T, K]. Option of `apply`: `targets` [B, T, K]; then u_{t+1}
        is the target at t, which is called teacher forcing.

    Example:
        >>> model = one_to_many(3, 2, num_steps=5, hidden_dim=4)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> ys, _ = jax.eval_shape(model.apply, variables, jnp.ones([6, 3]))
        >>> ys.shape
        (6, 5, 2)
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}

    def build(rngs):
        enter = Linear(in_features, out_features, **dtypes, rngs=rngs)
        stack = RecurrentStack(out_features, hidden_dim, num_layers, cell=cell, **dtypes, rngs=rngs)
        head = Linear(hidden_dim, out_features, **dtypes, rngs=rngs)
        return OneToMany(enter, stack, head, num_steps, feedback)

    return functional(build)


def windows(sequences: jax.Array, length: int) -> jax.Array:
    """Cuts sequences into windows that follow each other.

    Args:
        sequences: [B, T, ...].
        length: steps of a window; what is left over behind the last is dropped.

    Returns:
        [T // length, B, length, ...]: each is a batch for a network of `carried_batch=B`.

    Raises:
        ValueError: a window longer than the sequences.

    Example:
        >>> windows(jnp.arange(10).reshape(2, 5), 2).tolist()
        [[[0, 1], [5, 6]], [[2, 3], [7, 8]]]
    """
    rows, steps, *rest = sequences.shape
    if not 1 <= length <= steps:
        raise ValueError(f"a window has 1 to {steps} steps, those of the sequences; got {length}")
    number = steps // length
    cut = sequences[:, : number * length].reshape(rows, number, length, *rest)
    return cut.swapaxes(0, 1)


class RecurrentNetwork(nnx.Module):
    """The network of `recurrent_network`; without a head the outputs are those of the stack."""

    def __init__(self, stack, head, readout, head_dropout_rate):
        self.stack, self.head, self.readout = stack, head, readout
        self.head_dropout = nnx.Dropout(head_dropout_rate)

    def __call__(
        self,
        x: jax.Array,
        *,
        mask: jax.Array | None = None,
        lengths: jax.Array | None = None,
        resets: jax.Array | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> jax.Array:
        """x [B, T, D] -> [B, K] or [B, T, K]."""
        if mask is not None and lengths is not None:
            raise ValueError("padded sequences have a mask or lengths; got both")
        mask = mask if lengths is None else valid_steps(lengths, x.shape[1])
        resets = {} if resets is None else {"resets": resets}
        found = self.stack(x, mask=mask, rngs=rngs, **resets)
        return self._read(found.last if self.readout == "last" else found.outputs, rngs)

    def step(
        self, carry: Carry, x: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[jax.Array, Carry]:
        """One step: x [B, D] -> ([B, K], carry)."""
        carry, y = self.stack.step(carry, x, rngs=rngs)
        return self._read(y, rngs), carry

    def initial_carry(self, batch_size: int) -> Carry:
        """The states before the first step."""
        return self.stack.initial_carry(batch_size)

    def _read(self, y, rngs):
        return y if self.head is None else self.head(self.head_dropout(y, rngs=rngs))


class OneToMany(nnx.Module):
    """The network of `one_to_many`."""

    def __init__(self, enter, stack, head, num_steps, feedback):
        self.enter, self.stack, self.head = enter, stack, head
        self.num_steps, self.feedback = num_steps, feedback

    def __call__(self, context: jax.Array, *, targets: jax.Array | None = None) -> jax.Array:
        """context [B, D] -> [B, T, K]."""
        first = self.enter(context)
        if targets is not None:
            entered = jnp.concatenate([first[:, None], targets[:, :-1].astype(first.dtype)], 1)
            return self.head(self.stack(entered).outputs)

        def body(state, _):
            carry, u = state
            carry, h = self.stack.step(carry, u)
            y = self.head(h)
            return (carry, self.feedback(y).astype(u.dtype)), y

        start = (self.stack.initial_carry(context.shape[0]), first)
        ys = jax.lax.scan(body, start, length=self.num_steps)[1]
        return ys.swapaxes(0, 1)
