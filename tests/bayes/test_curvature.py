"""The nearest Kronecker product against known products, KFAC and a singular value decomposition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.curvature import diagonal_ggn, full_ggn, full_hessian, kronecker_ggn, summed
from tests.conformance.case import quick

ROWS, COLUMNS = 3, 2


def linear(params, x):
    """Outputs whose Jacobian is the input: G_k has x in column k."""
    return x @ params["w"]


def log_prob(outputs, weights):
    """Whose negative Hessian is given with each example."""
    return -0.5 * jnp.sum(outputs * (weights @ outputs))


PARAMS = {"w": jax.random.normal(jax.random.key(0), [ROWS, COLUMNS])}


def examples(count, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=[count, ROWS])
    roots = generator.normal(size=[count, COLUMNS, COLUMNS])
    return x.astype(np.float32), (roots @ roots.swapaxes(1, 2)).astype(np.float32)


def nearest(data, **options):
    """The Kronecker factors of the linear outputs, compiled fast."""
    return quick(lambda data: kronecker_ggn(linear, log_prob, PARAMS, data, **options))(data)


def matrix_of(measure, data, **options):
    """Of all of the curvature of the linear outputs."""
    return np.asarray(
        quick(lambda data: measure(linear, log_prob, PARAMS, data, **options).matrix)(data)
    )


def product(found):
    return np.kron(found.left["w"], found.right["w"])


def kfac(x, weights):
    """N times the product of the expectations."""
    return len(x) * np.kron(np.einsum("ni,nj->ij", x, x) / len(x), weights.mean(0))


def test_a_block_that_is_a_kronecker_product_is_found():
    x, weights = examples(7)
    data = x, np.repeat(weights[:1], 7, axis=0)
    found = product(nearest(data, batch_size=3))
    expected = matrix_of(full_ggn, data, batch_size=3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, np.kron(x.T @ x, weights[0]), rtol=1e-4, atol=1e-4)


def test_it_is_kfac_where_activations_and_gradients_are_independent():
    x, weights = examples(4)
    every = np.repeat(x, 4, axis=0), np.tile(weights, [4, 1, 1])  # each with each
    found = product(nearest(every))
    np.testing.assert_allclose(found, kfac(*every), rtol=1e-4, atol=1e-3)


def test_where_they_are_dependent_it_is_nearer_than_kfac_and_as_near_as_can_be():
    x, weights = examples(5, seed=1)
    full = matrix_of(full_ggn, (x, weights))
    found = product(nearest((x, weights), num_iterations=30))
    # Van Loan and Pitsianis: the rearranged matrix has the product as its best rank one.
    arranged = full.reshape(ROWS, COLUMNS, ROWS, COLUMNS).transpose(0, 2, 1, 3)
    singular = np.linalg.svd(arranged.reshape(ROWS**2, COLUMNS**2), compute_uv=False)
    distance = np.linalg.norm(full - found)
    np.testing.assert_allclose(distance, np.sqrt(np.sum(singular[1:] ** 2)), rtol=1e-3)
    assert distance < 0.99 * np.linalg.norm(full - kfac(x, weights))


def test_five_iterations_are_near_the_best():
    x, weights = examples(20, seed=2)
    full = matrix_of(full_ggn, (x, weights))
    few, many = (
        np.linalg.norm(full - product(nearest((x, weights), batch_size=20, num_iterations=n)))
        for n in (5, 30)
    )
    assert few < 1.01 * many


def test_leaves_that_are_vectors_numbers_and_kernels_of_convolutions_have_blocks():
    params = {"b": jnp.ones([2]), "s": jnp.array(0.5), "c": jnp.ones([2, 2, 3])}

    def outputs(params, x):
        return params["s"] * params["b"] * jnp.einsum("hwc,hw->c", params["c"], x)[:2]

    x = jax.random.normal(jax.random.key(1), [6, 2, 2])
    weights = examples(6)[1]
    found, full = quick(
        lambda *data: (
            kronecker_ggn(outputs, log_prob, params, data),
            full_ggn(outputs, log_prob, params, data).matrix,  # b, c, s
        )
    )(x, weights)
    assert found.left["c"].shape == (4, 4)
    assert found.right["c"].shape == (3, 3)
    np.testing.assert_allclose(
        np.kron(found.left["b"], found.right["b"]), full[:2, :2], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(found.left["s"] * found.right["s"], full[-1:, -1:], rtol=1e-4)


def test_a_leaf_that_moves_nothing_has_a_block_of_zeros():
    found = kronecker_ggn(
        lambda params, x: x @ params["w"], log_prob, PARAMS | {"z": jnp.ones([2, 2])}, examples(3)
    )
    assert np.all(np.kron(found.left["z"], found.right["z"]) == 0)


def test_without_curvature_of_the_outputs_ggn_and_hessian_agree():
    data = examples(9)
    ggn = matrix_of(full_ggn, data, batch_size=4)
    np.testing.assert_allclose(
        matrix_of(full_hessian, data, batch_size=4), ggn, rtol=1e-4, atol=1e-3
    )
    diagonal = diagonal_ggn(linear, log_prob, PARAMS, data, 4).values["w"]
    np.testing.assert_allclose(diagonal.ravel(), np.diag(ggn), rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_sums_over_batches_have_each_example_once(batch_size):
    data = jnp.arange(7.0)
    total = summed(lambda x, share: (jnp.sum(x * share), share.sum()), data, batch_size)
    assert [float(x) for x in total] == [21.0, 7.0]
