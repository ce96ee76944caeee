"""Long short-term memory: the cell with a forget gate, the one of 1997 without, and peepholes.

    with z = x_t W + h_{t-1} R + b, cut into gates in the order i, f, g, o

    LSTM        c_t = sigma(f) c_{t-1} + sigma(i) tanh(g),     h_t = sigma(o) tanh(c_t)
    1997        c_t =          c_{t-1} + sigma(i) tanh(g)      three gates, i, g, o
    peepholes   f and i have also + c_{t-1} P, o has + c_t P   P diagonal (2000) or full (001)

Held gates aside, d c_t / d c_{t-1} = sigma(f): 1 in the cell of 1997, the constant error carousel.

Source: Hochreiter, Schmidhuber 1997, section 4; Gers, Schmidhuber, Cummins 2000, eqs. 3-8 (forget
gate); Gers, Schmidhuber 2000 (peepholes); Jozefowicz, Zaremba, Sutskever 2015, section 4 (forget
bias 1; 0 in the books). The order of gates is PyTorch's and Keras's. PyTorch's two biases
add up to the one here.

Departs from 000, 001 and 004, which name the forget gate as of 1997; from 002, whose
h_t multiplies by the candidate, not by tanh(c_t); and from 004 eq. 5.32, whose subscripts of f and
i are those of another gate, and whose text takes the gate o_t for the output.

Parameters: 4 (D F + F^2 + F); 1997 3 (D F + F^2 + F); peepholes 3 F more, or 3 F^2.

Axes: B sequences, D input features, F features of the state.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.affine_cells import add_weights, one_step, zeros_carry


class LSTMState(NamedTuple):
    """What an LSTM carries: the hidden state h [B, F] and the cell c [B, F]."""

    hidden: jax.Array
    cell: jax.Array


class LSTMCell(nnx.Module):
    """The cell with a forget gate, and with peepholes if they are asked for.

    Args:
        in_features: D.
        features: F.
        activation: of the candidate and of the cell on its way out.
        forget_bias: initial bias of the forget gate: 1, so that a new cell remembers, or 0.
        peepholes: None, "diagonal", each cell seen by its own gates, or "full". They start at 0.
        use_bias: whether there are biases at all.
        kernel_init: of each gate's block of W.
        recurrent_init: of each gate's block of R.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: peepholes of another name.

    Example:
        >>> cell = LSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(cell.initial_carry(2), jnp.ones([2, 3]))
        >>> carry.cell.shape, y.shape
        ((2, 4), (2, 4))
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        activation: Callable = jnp.tanh,
        *,
        forget_bias: float = 1.0,
        peepholes: str | None = None,
        use_bias: bool = True,
        kernel_init: Callable = nnx.initializers.glorot_uniform(),
        recurrent_init: Callable = nnx.initializers.orthogonal(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if peepholes not in (None, "diagonal", "full"):
            raise ValueError(f"peepholes are None, 'diagonal' or 'full'; got {peepholes!r}")
        self.features, self.activation, self.dtype = features, activation, dtype
        self.peepholes = peepholes
        inits = {"kernel": kernel_init, "recurrent_kernel": recurrent_init}
        shapes = {"kernel": (in_features, features, 4), "recurrent_kernel": (features, features, 4)}
        add_weights(self, shapes, inits, param_dtype, rngs)
        bias = jnp.zeros([4, features], param_dtype).at[1].set(forget_bias)
        self.bias = nnx.Param(bias.reshape(-1)) if use_bias else None
        if peepholes:
            rows = (features,) if peepholes == "full" else ()
            self.input_forget_peephole = nnx.Param(jnp.zeros([*rows, 2 * features], param_dtype))
            self.output_peephole = nnx.Param(jnp.zeros([*rows, features], param_dtype))

    @property
    def sums(self):
        """Names of biases and matrices."""
        full = ((None, "input_forget_peephole"), (None, "output_peephole"))
        return (("bias", "kernel", "recurrent_kernel"), *(full if self.peepholes == "full" else ()))

    def __call__(self, carry: LSTMState, x: jax.Array) -> tuple[LSTMState, jax.Array]:
        """(h, c) [B, F], x [B, D] -> ((h, c), h)."""
        return one_step(self, carry, x)

    def initial_carry(self, batch_size: int) -> LSTMState:
        """Zeros [B, F]."""
        return LSTMState(*(zeros_carry(self, batch_size, self.features) for _ in range(2)))

    def step(self, weights, affine, carry, x):
        """The formula. The output gate sees the new cell."""
        before = carry.cell
        z = affine("bias", kernel=x, recurrent_kernel=carry.hidden)
        i, f, g, o = jnp.split(z, 4, -1)
        if self.peepholes:
            seen = self._seen(weights, affine, "input_forget_peephole", before)
            i, f = i + seen[..., : self.features], f + seen[..., self.features :]
        cell = jax.nn.sigmoid(f) * before + jax.nn.sigmoid(i) * self.activation(g)
        if self.peepholes:
            o = o + self._seen(weights, affine, "output_peephole", cell)
        hidden = jax.nn.sigmoid(o) * self.activation(cell)
        return LSTMState(hidden, cell), hidden

    def _seen(self, weights, affine, name, cell):
        if self.peepholes == "full":
            return affine(None, **{name: cell})
        gates = weights[name].size // self.features
        return jnp.concatenate([cell] * gates, -1) * weights[name][None]


class CarouselCell(nnx.Module):
    """The LSTM cell of 1997: nothing is forgotten.

    The published cell squashes its candidate to [-2, 2] by 4 sigma(z) - 2; tanh is the books'.

    Args:
        in_features: D.
        features: F.
        activation: of the candidate.
        output_activation: of the cell on its way out.
        truncated: the gradient leaves the cell at the state h, and lives in the carousel alone, as
            published; False is the full gradient.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    sums = (("bias", "kernel", "recurrent_kernel"),)

    def __init__(
        self,
        in_features: int,
        features: int,
        activation: Callable = jnp.tanh,
        output_activation: Callable = jnp.tanh,
        *,
        truncated: bool = False,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.features, self.dtype, self.truncated = features, dtype, truncated
        self.activation, self.output_activation = activation, output_activation
        shapes = {"kernel": (in_features, features, 3), "recurrent_kernel": (features, features, 3)}
        add_weights(self, shapes, {}, param_dtype, rngs)
        self.bias = nnx.Param(jnp.zeros(3 * features, param_dtype))

    def __call__(self, carry: LSTMState, x: jax.Array) -> tuple[LSTMState, jax.Array]:
        """(h, c) [B, F], x [B, D] -> ((h, c), h)."""
        return one_step(self, carry, x)

    def initial_carry(self, batch_size: int) -> LSTMState:
        """Zeros [B, F]."""
        return LSTMState(*(zeros_carry(self, batch_size, self.features) for _ in range(2)))

    def step(self, weights, affine, carry, x):
        """The formula."""
        hidden = jax.lax.stop_gradient(carry.hidden) if self.truncated else carry.hidden
        z = affine("bias", kernel=x, recurrent_kernel=hidden)
        i, g, o = jnp.split(z, 3, -1)
        cell = carry.cell + jax.nn.sigmoid(i) * self.activation(g)
        hidden = jax.nn.sigmoid(o) * self.output_activation(cell)
        return LSTMState(hidden, cell), hidden
