"""The gated recurrent unit, in the four forms that go by this name.

    r = sigma(x W_r + h R_r + b_r),   z = sigma(x W_z + h R_z + b_z)

    reset="before"         n = tanh(x W_n + (r h) R_n + b_n)             000, 001, 004, Cho et al.
    reset="after"          n = tanh(x W_n + b_n + r (h R_n + c))         cuDNN, PyTorch, Flax, Keras

    update_weighs="old"    h' = z h + (1 - z) n                          004, Cho et al., libraries
    update_weighs="new"    h' = (1 - z) h + z n                          000, 001, Chung et al.

"old" and "new" are one function of other weights, those of z negated. "before" and "after" are not:
they agree where r is 1 (and c is 0) alone. Weights of r and z lie side by side, in this order, in
`kernel`, `recurrent_kernel` and `bias`; those of n have names with `candidate`. Where a library has
two biases, those of r and z add up to the ones here.

Source: Cho et al. 2014, eqs. 5-8; Chung, Gulcehre, Cho, Bengio 2014, section 3.2; 000 ch. 8; 001;
004 eqs. 5.48-5.50. Departs from 004 eq. 5.48, whose update gate has one matrix for both inputs, and
from its text, which likens the reset gate to a forget gate: the update gate is that.

Parameters: 3 (D F + F^2 + F); F more for "after".

Axes: B sequences, D input features, F features of the state.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.affine_cells import add_weights, one_step, zeros_carry


class GRUCell(nnx.Module):
    """A gated recurrent unit. Its carry is h [B, F].

    Args:
        in_features: D.
        features: F.
        activation: of the candidate n.
        reset: "before" or "after" the product with R_n.
        update_weighs: what z multiplies, the "old" state or the "new" candidate.
        use_bias: whether there are biases.
        kernel_init: of each gate's block of W.
        recurrent_init: of each gate's block of R.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: a form of another name.

    Example:
        >>> cell = GRUCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(cell.initial_carry(2), jnp.ones([2, 3]))
        >>> y.shape
        (2, 4)
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        activation: Callable = jnp.tanh,
        *,
        reset: str = "before",
        update_weighs: str = "old",
        use_bias: bool = True,
        kernel_init: Callable = nnx.initializers.glorot_uniform(),
        recurrent_init: Callable = nnx.initializers.orthogonal(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if reset not in ("before", "after"):
            raise ValueError(f"reset is 'before' or 'after' the product; got {reset!r}")
        if update_weighs not in ("old", "new"):
            raise ValueError(f"update_weighs is 'old' or 'new'; got {update_weighs!r}")
        self.features, self.activation, self.dtype = features, activation, dtype
        self.reset, self.update_weighs = reset, update_weighs
        shapes = {
            "kernel": (in_features, features, 2),
            "recurrent_kernel": (features, features, 2),
            "candidate_kernel": (in_features, features, 1),
            "candidate_recurrent_kernel": (features, features, 1),
        }
        inits = dict(zip(shapes, [kernel_init, recurrent_init] * 2, strict=True))
        add_weights(self, shapes, inits, param_dtype, rngs)
        biases = {"bias": 2 * features, "candidate_bias": features}
        biases |= {"candidate_recurrent_bias": features} if reset == "after" else {}
        for name, size in biases.items() if use_bias else ():
            setattr(self, name, nnx.Param(jnp.zeros(size, param_dtype)))

    @property
    def sums(self):
        """Names of biases and matrices."""
        gates = ("bias", "kernel", "recurrent_kernel")
        of_x, of_h = ("candidate_bias", "candidate_kernel"), "candidate_recurrent_kernel"
        if self.reset == "before":
            return gates, (*of_x, of_h)
        return gates, of_x, ("candidate_recurrent_bias", of_h)

    def __call__(self, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """h [B, F], x [B, D] -> (h, h)."""
        return one_step(self, carry, x)

    def initial_carry(self, batch_size: int) -> jax.Array:
        """Zeros [B, F]."""
        return zeros_carry(self, batch_size, self.features)

    def step(self, weights, affine, carry, x):
        """The formula."""
        gates = jax.nn.sigmoid(affine("bias", kernel=x, recurrent_kernel=carry))
        r, z = jnp.split(gates, 2, -1)
        if self.reset == "before":
            sum_ = affine(
                "candidate_bias", candidate_kernel=x, candidate_recurrent_kernel=r * carry
            )
        else:
            recalled = affine("candidate_recurrent_bias", candidate_recurrent_kernel=carry)
            sum_ = affine("candidate_bias", candidate_kernel=x) + r * recalled
        n = self.activation(sum_)
        old, new = (z, 1 - z) if self.update_weighs == "old" else (1 - z, z)
        h = old * carry + new * n
        return h, h
