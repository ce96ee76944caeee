"""Recurrent cells of one nonlinearity: Elman's, Jordan's, and one with a deep transition.

    Elman            h_t = phi(x_t W + h_{t-1} R + b)                             y_t = h_t
    Jordan           h_t = phi(x_t W + s_t R + b),    y_t = h_t V + c
                     s_{t+1} = decay s_t + feedback(y_t)
    deep transition  u   = phi(x_t W + h_{t-1} R + b),   then phi(u V_l + b_l), l = 2..L; h_t = u_L

Elman's softmax or linear output is a layer of the network over it: `recurrent_network`. Jordan's
output is a part of the cell, for it is what the cell remembers.

Source: Elman 1990; Jordan 1986, whose state keeps a part `decay` of itself; Pascanu, Gulcehre, Cho,
Bengio 2014, eq. 9 (DT-RNN); 000 ch. 8; 001; 002, which has no biases; 003; 004 eq. 5.1 and 5.1.1.
Input matrices are Glorot's, the others orthogonal (Saxe, McClelland, Ganguli 2014; Keras).
Parameters: Elman D F + F^2 + F; Jordan D H + K H + H + H K + K; each further transition F^2 + F.

Axes: B sequences, D input features, F or H features of the state, K outputs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.affine_cells import add_weights, one_step, zeros_carry


class ElmanCell(nnx.Module):
    """The simple recurrent cell. Its carry is h [B, F].

    Args:
        in_features: D.
        features: F.
        activation: elementwise function phi; 001 has jax.nn.relu too.
        use_bias: 001's and 002's have none.
        kernel_init: of W.
        recurrent_init: of R.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> cell = ElmanCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(cell.initial_carry(2), jnp.ones([2, 3]))
        >>> y.shape
        (2, 4)
    """

    sums = (("bias", "kernel", "recurrent_kernel"),)

    def __init__(
        self,
        in_features: int,
        features: int,
        activation: Callable = jnp.tanh,
        *,
        use_bias: bool = True,
        kernel_init: Callable = nnx.initializers.glorot_uniform(),
        recurrent_init: Callable = nnx.initializers.orthogonal(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.features, self.activation, self.dtype = features, activation, dtype
        inits = {"kernel": kernel_init, "recurrent_kernel": recurrent_init}
        shapes = {"kernel": (in_features, features, 1), "recurrent_kernel": (features, features, 1)}
        add_weights(self, shapes, inits, param_dtype, rngs)
        self.bias = nnx.Param(jnp.zeros(features, param_dtype)) if use_bias else None

    def __call__(self, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """h [B, F], x [B, D] -> (h, h)."""
        return one_step(self, carry, x)

    def initial_carry(self, batch_size: int) -> jax.Array:
        """Zeros [B, F]."""
        return zeros_carry(self, batch_size, self.features)

    def step(self, weights, affine, carry, x):
        """The formula."""
        h = self.activation(affine("bias", kernel=x, recurrent_kernel=carry))
        return h, h


class DeepTransitionCell(nnx.Module):
    """An Elman cell with several layers between a state and the next. Its carry is h [B, F].

    Args:
        in_features: D.
        features: F, of the state and of the layers within.
        depth: L, layers of a step; 1 is Elman's.
        activation: elementwise function phi.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        depth: int = 2,
        activation: Callable = jnp.tanh,
        *,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if depth < 1:
            raise ValueError(f"depth counts the layers of a step, from 1; got {depth}")
        self.features, self.dtype = features, dtype
        self.transitions = tuple(range(2, depth + 1))
        self.activation = activation
        shapes = {"kernel": (in_features, features, 1)}
        shapes |= {sum_[-1]: (features, features, 1) for sum_ in self.sums}
        add_weights(self, shapes, {}, param_dtype, rngs)
        for bias, *_ in self.sums:
            setattr(self, bias, nnx.Param(jnp.zeros(features, param_dtype)))

    @property
    def sums(self):
        """Names of biases and matrices."""
        names = [(f"transition_bias_{n}", f"transition_kernel_{n}") for n in self.transitions]
        return (("bias", "kernel", "recurrent_kernel"), *names)

    def __call__(self, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """h [B, F], x [B, D] -> (h, h)."""
        return one_step(self, carry, x)

    def initial_carry(self, batch_size: int) -> jax.Array:
        """Zeros [B, F]."""
        return zeros_carry(self, batch_size, self.features)

    def step(self, weights, affine, carry, x):
        """The formula."""
        h = self.activation(affine("bias", kernel=x, recurrent_kernel=carry))
        for bias, kernel in self.sums[1:]:
            h = self.activation(affine(bias, **{kernel: h}))
        return h, h


class JordanCell(nnx.Module):
    """A cell that remembers what it put out. Its carry is s [B, K].

    Args:
        in_features: D.
        features: H, hidden ones.
        out_features: K.
        activation: elementwise function phi of the hidden layer.
        feedback: function of the output on its way back, such as jax.nn.softmax where the outputs
            are logits.
        decay: part of the state that stays, in [0, 1).
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: a decay outside of [0, 1).
    """

    sums = (("bias", "kernel", "feedback_kernel"), ("output_bias", "output_kernel"))

    def __init__(
        self,
        in_features: int,
        features: int,
        out_features: int,
        activation: Callable = jnp.tanh,
        *,
        feedback: Callable = lambda y: y,
        decay: float = 0.0,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if not 0 <= decay < 1:
            raise ValueError(f"decay is the part of the state that stays, in [0, 1); got {decay}")
        self.features, self.activation, self.dtype = out_features, activation, dtype
        self.feedback, self.decay = feedback, decay
        shapes = {
            "kernel": (in_features, features, 1),
            "feedback_kernel": (out_features, features, 1),
            "output_kernel": (features, out_features, 1),
        }
        inits = {"output_kernel": nnx.initializers.glorot_uniform()}
        add_weights(self, shapes, inits, param_dtype, rngs)
        self.bias = nnx.Param(jnp.zeros(features, param_dtype))
        self.output_bias = nnx.Param(jnp.zeros(out_features, param_dtype))

    def __call__(self, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """s [B, K], x [B, D] -> (s, y [B, K])."""
        return one_step(self, carry, x)

    def initial_carry(self, batch_size: int) -> jax.Array:
        """Zeros [B, K]."""
        return zeros_carry(self, batch_size, self.features)

    def step(self, weights, affine, carry, x):
        """The formula."""
        h = self.activation(affine("bias", kernel=x, feedback_kernel=carry))
        y = affine("output_bias", output_kernel=h)
        return self.decay * carry + self.feedback(y), y
