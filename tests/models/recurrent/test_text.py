"""Recurrent networks of texts: counts, padding, a writer that reads its window again."""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.decoding import bound, generate
from jdl.models.recurrent.text import next_word_network, recurrent_text_classifier
from jdl.nn.elman import ElmanCell
from jdl.nn.lstm_cells import LSTMCell
from tests.conformance.case import quick

PADDED_BEHIND = np.array([[3, 1, 2, 0, 0], [4, 5, 1, 2, 0]])
PADDED_BEFORE = np.array([[0, 0, 0, 3, 1, 2], [0, 0, 4, 5, 1, 2]])


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


def test_counts_are_those_of_the_books():
    small = recurrent_text_classifier(20, 1, 4, 16, 1, cell=LSTMCell)
    assert count(small) == 1_441  # 000, Keras
    recurrent = 3 * (400 * 256 + 256**2 + 256) + 3 * (2 * 256**2 + 256)  # 004 ex. 5.8.1
    assert count(recurrent_text_classifier(1000)) == 400_000 + recurrent + 2 * 257
    layers = 2 * 4 * 150 * (100 + 150 + 1) + 4 * 100 * (300 + 100 + 1)  # 004 ex. 5.7.2
    assert count(next_word_network(50)) == 5000 + layers + 100 * 101 + 101 * 50


def test_padding_in_front_or_behind_has_no_say():
    model = recurrent_text_classifier(7, 3, 4, 5, 1, cell=LSTMCell, bidirectional="concatenate")
    variables = model.init(jax.random.key(0))
    logits = quick(lambda v, tokens: model.apply(v, tokens)[0])
    behind, before = logits(variables, PADDED_BEHIND), logits(variables, PADDED_BEFORE)
    np.testing.assert_allclose(behind, before, rtol=1e-5, atol=1e-6)
    assert np.isfinite(logits(variables, np.zeros([2, 5], int))).all()  # nothing but padding


def test_the_writer_reads_all_that_stands():
    sizes = {"bidirectional_dim": 3, "hidden_dim": 4, "dense_dim": 5, "cell": ElmanCell}
    model = next_word_network(7, 3, **sizes)
    variables = model.init(jax.random.key(0))

    @quick
    def written(variables):
        carry, _ = model.apply(variables, 2, 6, method="start")
        return generate(bound(model, variables), carry, jnp.array([[3, 1], [4, 5]]), length=3)

    found = np.asarray(written(variables).tokens)
    whole = np.concatenate([[[0, 0], [0, 0]], [[3, 1], [4, 5]], found[:, :2]], 1)
    logits = quick(lambda v: model.apply(v, whole)[0])(variables)
    np.testing.assert_array_equal(logits.argmax(-1), found[:, 2])
