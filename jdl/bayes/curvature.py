"""The curvature of a negative log likelihood in the params: dense, diagonal, Kronecker.

    Hessian   sum_n d^2 (-log p(y_n | f_n)) / d params^2
    GGN       sum_n J_n' Lambda_n J_n,    J_n = d f_n / d params [K, P]
              Lambda_n = -d^2 log p(y_n | f_n) / d f_n^2 [K, K]

with f_n the K outputs for example n. The generalised Gauss-Newton matrix leaves out the curvature
of f: it is the Hessian where f is linear in the params, and positive semidefinite where the
likelihood is log-concave in the outputs. Source: Schraudolph 2002; Martens 2020, section 8.

The Kronecker structure keeps a block A x B for each leaf. With the leaf as a matrix [rows, last
axis] and its Jacobians G_k, the block is H = sum_kl Lambda_kl vec(G_k) vec(G_l)', and

    A = sum_kl Lambda_kl G_k B G_l' / ||B||^2,    B = sum_kl Lambda_kl G_k' A G_l / ||A||^2

is the power iteration for the Kronecker product nearest to H in the Frobenius norm (Van Loan and
Pitsianis 1993). Departs from KFAC (Martens and Grosse 2015; Ritter, Botev, Barber 2018), whose
factors are means over the examples of products of activations, and of gradients, apart: no layer is
intercepted, so any model will do, and the product is at least as near to H. Both agree where
activations and gradients are independent. A bias is a row, so its block is exact. The price is
time: for the 61,706 params of LeNet-5 and 1,437 digits the factors took 178 s on two busy cores,
those of its last layer 7 s, the full GGN of that layer 4 to 19 s.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from jdl.core import Tree

Leaves = dict[str, jax.Array]  # by path
Outputs = Callable[[Leaves, Tree], jax.Array]  # (params, inputs of one example) -> [K]
LogProb = Callable[[jax.Array, Tree], jax.Array]  # (outputs [K], targets of one) -> nats []


class Precision(NamedTuple):
    """A curvature plus the precision of a prior, factored once: H = L L'.

    Attributes:
        log_determinant: [], not finite unless H is positive definite.
        color: leaves of standard normal noise -> L^-T noise, of covariance H^-1.
        whiten: Jacobians, leaves with a first axis K -> L^-1 J' as [K, P], so that the covariance
            of J params is its product with its transpose.
    """

    log_determinant: jax.Array
    color: Callable[[Leaves], Leaves]
    whiten: Callable[[Leaves], jax.Array]


class Dense(NamedTuple):
    """A curvature with all of its entries.

    Attributes:
        matrix: [P, P], over the raveled leaves in the order of their paths.
    """

    matrix: jax.Array

    def precision(self, prior: Leaves) -> Precision:
        """Factored with the precisions of the prior, leaves of the shapes of the params."""
        vector, unravel = ravel_pytree(prior)
        lower = jnp.linalg.cholesky(self.matrix + jnp.diag(vector))

        def color(noise):
            return unravel(solve_triangular(lower, ravel_pytree(noise)[0], trans=1, lower=True))

        def whiten(jacobian):
            return solve_triangular(lower, _rows(jacobian).T, lower=True).T

        return Precision(2 * jnp.sum(jnp.log(jnp.diag(lower))), color, whiten)

    def smallest_eigenvalue(self, prior: Leaves) -> jax.Array:
        """Of the sum with the precisions of the prior, []."""
        return jnp.linalg.eigvalsh(self.matrix + jnp.diag(ravel_pytree(prior)[0]))[0]


class Diagonal(NamedTuple):
    """The diagonal of a curvature.

    Attributes:
        values: leaves of the shapes of the params.
    """

    values: Leaves

    def precision(self, prior: Leaves) -> Precision:
        """Factored with the precisions of the prior, leaves of the shapes of the params."""
        total = jax.tree.map(jnp.add, self.values, prior)

        def color(noise):
            return jax.tree.map(lambda z, h: z / jnp.sqrt(h), noise, total)

        def whiten(jacobian):
            return _rows(jax.tree.map(lambda j, h: j / jnp.sqrt(h)[None], jacobian, total))

        return Precision(jnp.sum(jnp.log(ravel_pytree(total)[0])), color, whiten)

    def smallest_eigenvalue(self, prior: Leaves) -> jax.Array:
        """Of the sum with the precisions of the prior, []."""
        return jnp.min(ravel_pytree(self.values)[0] + ravel_pytree(prior)[0])


class Kronecker(NamedTuple):
    """A Kronecker product A x B for each leaf, and nothing between leaves.

    Attributes:
        left: A by path, [rows, rows].
        right: B by path, [columns, columns]; columns are the last axis of the leaf.
    """

    left: Leaves
    right: Leaves

    def precision(self, prior: Leaves) -> Precision:
        """Factored with the precisions of the prior, leaves of the shapes of the params.

        The eigenvalues of a block are a_i b_j + precision; exact where all entries of a leaf have
        one precision, as under a normal prior, and else with their mean.
        """
        vectors, values = self._spectrum(prior)

        def rotated(matrix, path, back):
            left, right = vectors[path]
            return left @ matrix @ right.T if back else left.T @ matrix @ right

        def color(noise):
            return {
                path: rotated(_matrix(z) / jnp.sqrt(values[path]), path, True).reshape(z.shape)
                for path, z in noise.items()
            }

        def whiten(jacobian):
            def whitened(row):
                return {
                    p: rotated(_matrix(j), p, False) / jnp.sqrt(values[p]) for p, j in row.items()
                }

            return _rows(jax.vmap(whitened)(jacobian))

        return Precision(jnp.sum(jnp.log(ravel_pytree(values)[0])), color, whiten)

    def smallest_eigenvalue(self, prior: Leaves) -> jax.Array:
        """Of the sum with the precisions of the prior, []."""
        return jnp.min(ravel_pytree(self._spectrum(prior)[1])[0])

    def _spectrum(self, prior):
        vectors, values = {}, {}
        for path, precision in prior.items():
            (a, left), (b, right) = _eigen(self.left[path]), _eigen(self.right[path])
            vectors[path] = left, right
            values[path] = a[:, None] * b[None] + jnp.mean(precision)
        return vectors, values


Curvature = Dense | Diagonal | Kronecker
Measure = Callable[[Outputs, LogProb, Leaves, Tree, int], Curvature]


def full_hessian(
    outputs: Outputs, log_prob: LogProb, params: Leaves, data: Tree, batch_size: int = 64
) -> Dense:
    """The Hessian of the negative log likelihood, indefinite where the params are no maximum.

    Args:
        outputs: of one example.
        log_prob: of one example, nats.
        params: leaves by path.
        data: (inputs, targets), all with a first axis N.
        batch_size: examples at a time.

    Returns:
        The sum over the examples.
    """
    vector, unravel = ravel_pytree(params)

    def of_batch(batch, shares):
        def loss(vector):
            each = jax.vmap(lambda x, y: log_prob(outputs(unravel(vector), x), y))(*batch)
            return -jnp.sum(shares * each)

        return jax.hessian(loss)(vector)

    return Dense(summed(of_batch, data, batch_size))


def full_ggn(
    outputs: Outputs, log_prob: LogProb, params: Leaves, data: Tree, batch_size: int = 64
) -> Dense:
    """The generalised Gauss-Newton matrix; arguments of `full_hessian`.

    Example:
        >>> linear = lambda params, x: x @ params["w"]
        >>> log_prob = lambda f, y: -0.5 * jnp.sum((y - f) ** 2)
        >>> data = jnp.array([[1.0, 0.0], [1.0, 2.0]]), jnp.zeros([2, 1])
        >>> full_ggn(linear, log_prob, {"w": jnp.zeros([2, 1])}, data).matrix.tolist()
        [[2.0, 2.0], [2.0, 4.0]]
    """

    def of_batch(batch, shares):
        jacobian, weight = _linearised(outputs, log_prob, params, batch, shares)
        rows = jax.vmap(_rows)(jacobian)
        weighted = jnp.einsum("bkl,blp->bkp", weight, rows)
        return jnp.einsum("bkp,bkq->pq", weighted, rows)

    return Dense(summed(of_batch, data, batch_size))


def diagonal_ggn(
    outputs: Outputs, log_prob: LogProb, params: Leaves, data: Tree, batch_size: int = 64
) -> Diagonal:
    """The diagonal of `full_ggn`, whose arguments it has; no matrix is made."""

    def of_batch(batch, shares):
        jacobian, weight = _linearised(outputs, log_prob, params, batch, shares)
        return jax.tree.map(lambda j: jnp.einsum("bkl,bk...,bl...->...", weight, j, j), jacobian)

    return Diagonal(summed(of_batch, data, batch_size))


def kronecker_ggn(
    outputs: Outputs,
    log_prob: LogProb,
    params: Leaves,
    data: Tree,
    batch_size: int = 64,
    num_iterations: int = 5,
) -> Kronecker:
    """The Kronecker products nearest to the blocks of `full_ggn`, whose arguments it has.

    Args:
        outputs: of one example.
        log_prob: of one example, nats.
        params: leaves by path.
        data: (inputs, targets), all with a first axis N.
        batch_size: examples at a time.
        num_iterations: of the power iteration, each two passes over the data.

    Returns:
        The factors.
    """

    shapes = {path: _matrix(x).shape for path, x in params.items()}

    def improved(others, formula):
        def of_batch(batch, shares):
            jacobian, weight = _linearised(outputs, log_prob, params, batch, shares)

            def factor(path):
                g = jacobian[path].reshape(*weight.shape[:2], *shapes[path])
                weighted = jnp.einsum("bkl,blij->bkij", weight, g)
                size = jnp.sum(others[path] ** 2)
                total = jnp.einsum(formula, weighted, others[path], g)
                return total / jnp.maximum(size, jnp.finfo(size.dtype).tiny)

            return {path: factor(path) for path in params}

        return summed(of_batch, data, batch_size)

    def body(_, factors):
        left = improved(factors[1], "bkij,jm,bknm->in")
        return left, improved(left, "bkij,in,bknm->jm")

    start = tuple({p: jnp.eye(s[axis]) for p, s in shapes.items()} for axis in (0, 1))
    return Kronecker(*jax.lax.fori_loop(0, num_iterations, body, start))


def summed(of_batch: Callable[[Tree, jax.Array], Tree], data: Tree, batch_size: int) -> Tree:
    """The sum of a function of batches over data of any length, one batch in memory.

    Args:
        of_batch: (batch, shares [B]) -> a tree; an example of share 0 fills up the last batch.
        data: a tree of arrays with a first axis N.
        batch_size: B.

    Returns:
        A tree like that of `of_batch`.
    """
    data = jax.tree.map(jnp.asarray, data)
    count = len(jax.tree.leaves(data)[0])
    size = min(batch_size, count)
    places = jnp.arange(-(-count // size) * size).reshape(-1, size)

    def picked(places):
        return jax.tree.map(lambda x: x[places % count], data), (places < count).astype(float)

    def body(total, places):
        return jax.tree.map(jnp.add, total, of_batch(*picked(places))), None

    shapes = jax.eval_shape(lambda places: of_batch(*picked(places)), places[0])
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(body, zeros, places)[0]


def _linearised(outputs, log_prob, params, batch, shares):
    """Jacobians, leaves [B, K, ...], and Lambda [B, K, K] times the share of each example."""

    def of_example(inputs, targets, share):
        jacobian = jax.jacrev(outputs)(params, inputs)
        return jacobian, -share * jax.hessian(log_prob)(outputs(params, inputs), targets)

    return jax.vmap(of_example)(*batch, shares)


def _rows(jacobian):
    return jnp.concatenate([j.reshape(len(j), -1) for j in jax.tree.leaves(jacobian)], axis=1)


def _matrix(leaf):
    return leaf.reshape(-1, leaf.shape[-1] if leaf.ndim else 1)


def _eigen(factor):
    """Eigenvalues, those that are rounding errors as 0, and eigenvectors in columns."""
    values, vectors = jnp.linalg.eigh(factor)
    noise = len(values) * jnp.finfo(values.dtype).eps * jnp.max(jnp.abs(values))
    return jnp.where(jnp.abs(values) > noise, values, 0.0), vectors
