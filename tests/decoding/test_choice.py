"""Filters by hand and in the limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import greedy, min_p, nucleus, sampling, temperature, top_k
from tests.conformance.case import quick

CHANCES = np.array([[0.15, 0.5, 0.05, 0.3], [0.25, 0.25, 0.25, 0.25]])
LOGITS = jnp.log(jnp.asarray(CHANCES, jnp.float32))


def left(filtered):
    return np.isfinite(np.asarray(filtered)).astype(int).tolist()


@pytest.mark.parametrize(
    ("filter_", "first"),
    [
        (top_k(1), [0, 1, 0, 0]),
        (top_k(3), [1, 1, 0, 1]),
        (top_k(9), [1, 1, 1, 1]),
        (nucleus(0.01), [0, 1, 0, 0]),
        (nucleus(0.49), [0, 1, 0, 0]),
        (nucleus(0.51), [0, 1, 0, 1]),  # the word that crosses p is within
        (nucleus(0.79), [0, 1, 0, 1]),
        (nucleus(0.81), [1, 1, 0, 1]),
        (nucleus(1.0), [1, 1, 1, 1]),
        (min_p(0.29), [1, 1, 0, 1]),
        (min_p(0.31), [0, 1, 0, 1]),
        (min_p(1.0), [0, 1, 0, 0]),
    ],
)
def test_a_filter_leaves_these_and_does_not_change_them(filter_, first):
    found = filter_(LOGITS)
    assert left(found) == [first, [1, 1, 1, 1]]  # words alike stay or go together
    np.testing.assert_array_equal(jnp.where(jnp.isfinite(found), found, LOGITS), LOGITS)
    assert filter_(LOGITS.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_what_one_filter_took_the_next_does_not_count():
    # Of the two words left, .5 and .3, the first alone has .625.
    assert left(nucleus(0.6)(top_k(2)(LOGITS)))[0] == [0, 1, 0, 0]
    assert left(nucleus(0.6)(LOGITS))[0] == [0, 1, 0, 1]


def test_a_temperature_raises_the_probabilities_to_a_power():
    found = jax.nn.softmax(temperature(0.5)(LOGITS))
    np.testing.assert_allclose(found, CHANCES**2 / (CHANCES**2).sum(1, keepdims=True), rtol=1e-5)


def test_draws_come_in_the_proportions_that_are_left():
    draw = quick(
        lambda key: sampling(temperature(0.5), top_k(2))(jnp.tile(LOGITS[:1], [4000, 1]), key)
    )
    counts = np.bincount(draw(jax.random.key(0)), minlength=4)
    share = 0.25 / (0.25 + 0.09)
    assert counts[0] == counts[2] == 0
    assert counts[1] / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)


def test_of_words_alike_greedy_takes_the_first():
    assert greedy(LOGITS).tolist() == [1, 0]
    cold = sampling(temperature(1e-3))(jnp.tile(LOGITS[:1], [20, 1]), jax.random.key(1))
    assert set(cold.tolist()) == {1}


@pytest.mark.parametrize(
    ("make", "value", "said"),
    [
        (temperature, 0.0, "above 0; got 0.0.*greedy"),
        (top_k, 0, "a token at least; got k=0"),
        (nucleus, 0.0, r"nucleus takes a probability in \(0, 1\]; got 0.0"),
        (nucleus, 1.1, "got 1.1"),
        (min_p, 2, r"min-p takes a probability in \(0, 1\]; got 2"),
    ],
)
def test_mistakes_say_what_to_do(make, value, said):
    with pytest.raises(ValueError, match=said):
        make(value)
