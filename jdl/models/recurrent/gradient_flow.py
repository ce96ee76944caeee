"""How far back in time a gradient reaches: Jacobians of the state, their products, and a bound.

    J_t = d h_t / d h_{t-1}                 of Elman's cell, diag(phi'(z_t)) R'
    d h_T / d h_{T-k} = J_T J_{T-1} ... J_{T-k+1}                          in this order
    ||d h_T / d h_{T-k}|| <= (||R|| max phi')^k

A bound below 1 says that the gradient vanishes, exponentially in the lag k; above 1 it says nothing
of itself, and the product may explode. With a linear cell the product is R'^k: its eigenvalues are
those of R to the power k, and the largest in size decides. An LSTM's cells have sigma(f) in place
of phi' R, and 1 in 1997: they need not vanish.

Source: Hochreiter 1991; Bengio, Simard, Frasconi 1994; Pascanu, Mikolov, Bengio 2013; 001; 003; 004
eqs. 5.28-5.29. Departs from 004 eq. 5.28, which leaves the order of the product open; from 5.29,
Q L Q', which is right for symmetric matrices alone (Q L Q^-1 otherwise); and from its text, which
compares eigenvalues, not their sizes, with 1.

Axes: T steps, F numbers of the state, D input features.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jdl.core import Model, Variables


def state_jacobians(model: Model, variables: Variables, xs: jax.Array) -> jax.Array:
    """The Jacobian of each step of a sequence.

    Args:
        model: with the methods "step" and "initial_carry", `recurrent_network`.
        variables: of the model.
        xs: one sequence, [T, D].

    Returns:
        [T, F, F]: entry (i, j) of the t-th is d h_t[i] / d h_{t-1}[j]. F counts all numbers of the
        carry, in the order of its leaves.
    """
    carry = model.apply(variables, 1, method="initial_carry")[0]
    state, shaped = ravel_pytree(carry)

    def step(state, x):
        after = model.apply(variables, shaped(state), x[None], method="step")[0][1]
        return ravel_pytree(after)[0]

    def body(state, x):
        return step(state, x), jax.jacrev(step)(state, x)

    return jax.lax.scan(body, state, xs)[1]


def jacobian_products(jacobians: jax.Array) -> jax.Array:
    """Derivatives of the last state by each state before, and by itself.

    Args:
        jacobians: [T, F, F], of the steps.

    Returns:
        [T + 1, F, F]: at k, d h_T / d h_{T-k}; at 0 the identity.

    Example:
        >>> jacobian_products(jnp.full([2, 1, 1], 0.5))[:, 0, 0].tolist()
        [1.0, 0.5, 0.25]
    """
    identity = jnp.eye(jacobians.shape[-1], dtype=jacobians.dtype)

    def body(product, jacobian):
        product = product @ jacobian
        return product, product

    products = jax.lax.scan(body, identity, jacobians, reverse=True)[1]
    return jnp.concatenate([identity[None], products[::-1]])


def gradient_norms(jacobians: jax.Array) -> jax.Array:
    """The norm of a gradient against its lag: spectral norms of `jacobian_products`.

    Args:
        jacobians: [T, F, F], of the steps.

    Returns:
        [T + 1], at k that of lag k.
    """
    return jnp.linalg.norm(jacobian_products(jacobians), 2, axis=(-2, -1))


def spectral_bound(recurrent_kernel: jax.Array, max_slope: float = 1.0) -> jax.Array:
    """The most that a step of an Elman cell can stretch a gradient, ||R|| max phi'.

    Args:
        recurrent_kernel: R [F, F].
        max_slope: greatest derivative of the activation: 1 of tanh and ReLU, 1/4 of the sigmoid.

    Returns:
        []; to the power k it bounds `gradient_norms` at lag k.

    Example:
        >>> float(spectral_bound(0.5 * jnp.eye(3)))
        0.5
    """
    return max_slope * jnp.linalg.norm(recurrent_kernel, 2)
