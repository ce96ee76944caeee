import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.glove import glove, summed_vectors, weighted_log_counts
from jdl.text.contexts import Cooccurrences, cooccurrences
from tests.conformance.case import quick

RNG = np.random.default_rng(0)


def test_there_are_two_vectors_and_two_biases_a_word():
    params = jax.eval_shape(glove(1000, 50).init, jax.random.key(0)).params
    assert sum(x.size for x in jax.tree.leaves(params)) == 2 * 1000 * 51


def test_the_loss_is_that_of_the_formula(key):
    """Eqs. 8 and 9, with one count above x_max."""
    model = glove(4, 3)
    params = jax.tree.map(lambda x: RNG.normal(size=x.shape).astype(np.float32),
                          model.init(key).params)  # fmt: skip
    batch = Cooccurrences(np.array([0, 1, 3]), np.array([2, 1, 0]), np.array([0.5, 20.0, 300.0]))
    expected = []
    for i, j, count in zip(*batch, strict=True):
        predicted = params["words"]["embedding"][i] @ params["contexts"]["embedding"][j]
        predicted += params["word_biases"]["embedding"][i, 0]
        predicted += params["context_biases"]["embedding"][j, 0]
        weight = (count / 100) ** 0.75 if count < 100 else 1
        expected.append(weight * (predicted - np.log(count)) ** 2)
    loss, _ = weighted_log_counts(model)(params, (), batch, key)
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


def test_counts_of_full_rank_are_matched_exactly(key):
    """With D = V the squares can be made 0: log counts by unit vectors."""
    counts = cooccurrences([0, 1, 2, 1, 0, 2, 2, 1], 2)
    model = glove(3, 3)
    params = jax.tree.map(jnp.zeros_like, model.init(key).params)
    table = np.zeros([3, 3], np.float32)
    table[counts.contexts, counts.words] = np.log(counts.counts)
    params["words"]["embedding"], params["contexts"]["embedding"] = jnp.eye(3), jnp.array(table)
    program = quick(jax.value_and_grad(lambda p: weighted_log_counts(model)(p, (), counts, key)[0]))
    loss, gradient = program(params)
    assert loss < 1e-12 and max(np.abs(x).max() for x in jax.tree.leaves(gradient)) < 1e-6
    np.testing.assert_allclose(summed_vectors(params), np.eye(3) + table)


def test_mistakes_are_named(key):
    model = glove(4, 3)
    with pytest.raises(ValueError, match="words and contexts are"):
        model.apply(model.init(key), jnp.zeros([2], int), jnp.zeros([3], int))
