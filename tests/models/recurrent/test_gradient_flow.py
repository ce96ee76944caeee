"""How far a gradient reaches: Jacobians by their formula, closed forms, the bound, the carousel."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.recurrent.gradient_flow import (
    gradient_norms,
    jacobian_products,
    spectral_bound,
    state_jacobians,
)
from jdl.models.recurrent.rnn import recurrent_network
from jdl.nn.lstm_cells import CarouselCell, LSTMState
from jdl.nn.recurrence import unrolled
from tests.conformance.case import quick

RANDOM = np.random.default_rng(0)
XS = RANDOM.normal(size=[6, 3]).astype(np.float32)


def test_jacobians_of_an_elman_network_are_their_formula_and_lie_below_the_bound():
    model = recurrent_network(3, 2, 4, readout="each")
    variables = model.init(jax.random.key(0))
    kernel = RANDOM.normal(size=[4, 4]).astype(np.float32)
    cell = variables.params["stack"]["layers"]["0"]["cell"]
    cell["recurrent_kernel"] = kernel

    @quick
    def found(variables):
        jacobians = state_jacobians(model, variables, XS)
        products = jacobian_products(jacobians)
        return jacobians, products, gradient_norms(jacobians), spectral_bound(kernel)

    jacobians, products, norms, bound = (np.asarray(x) for x in found(variables))
    h = np.zeros(4)
    for t, x in enumerate(XS):
        h = np.tanh(x @ cell["kernel"] + h @ kernel + cell["bias"])
        np.testing.assert_allclose(jacobians[t], (1 - h**2)[:, None] * kernel.T, atol=1e-5)
    np.testing.assert_allclose(products[2], jacobians[5] @ jacobians[4], atol=1e-5)
    np.testing.assert_allclose(bound, np.linalg.norm(kernel, 2), rtol=1e-5)
    assert (norms <= bound ** np.arange(7) * (1 + 1e-5)).all()


def test_a_linear_network_vanishes_or_explodes_as_the_powers_of_its_matrix():
    orthogonal = np.linalg.qr(RANDOM.normal(size=[4, 4]))[0]
    for size in (0.5, 1.0, 1.5):
        jacobians = np.broadcast_to((size * orthogonal).T, [6, 4, 4]).astype(np.float32)
        norms = quick(gradient_norms)(jacobians)
        np.testing.assert_allclose(norms, size ** np.arange(7.0), rtol=1e-4)
    matrix = np.array([[0.5, 3.0], [0.0, 0.5]])  # its norm is 3.08: the bound alone says nothing
    norms = gradient_norms(np.broadcast_to(matrix, [40, 2, 2]).astype(np.float32))
    assert norms[1] > 3
    assert norms[40] < 1e-7


class Carousel(nnx.Module):
    """The last cell, of the first."""

    def __init__(self, rngs):
        self.cell = CarouselCell(3, 4, truncated=True, rngs=rngs)

    def __call__(self, cell, xs):
        return unrolled(self.cell, LSTMState(jnp.zeros_like(cell), cell), xs)[0].cell


def test_the_carousel_of_1997_carries_an_error_back_unchanged():
    model = functional(Carousel)
    params = model.init(jax.random.key(0)).params

    def last(cell):
        return jnp.sum(model.apply(Variables(params, {}), cell, XS[None])[0])

    cell = RANDOM.normal(size=[1, 4]).astype(np.float32)
    np.testing.assert_array_equal(quick(jax.grad(last))(cell), np.ones([1, 4]))
