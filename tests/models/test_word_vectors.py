import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.word_vectors import (
    full_softmax,
    hierarchical_softmax,
    negative_sampling,
    word_vectors,
)
from jdl.text.contexts import Contexts, huffman, noise_probabilities, window_bags
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
V, D = 5, 3
BATCH = Contexts(np.array([0, 1, 4, 1]), np.array([2, 3, 2, 0]))


def tables(targets=V):
    return {
        "words": {"embedding": RNG.normal(size=[V, D]).astype(np.float32)},
        "targets": {"embedding": RNG.normal(size=[targets, D]).astype(np.float32)},
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loss_and_gradient(objective, params, batch, seed=0):
    program = quick(jax.value_and_grad(lambda p: objective(p, (), batch, jax.random.key(seed))[0]))
    return program(params)


def test_there_are_two_tables():
    variables = jax.eval_shape(word_vectors(10000, 300).init, jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(variables.params)) == 2 * 10000 * 300


def test_the_start_is_that_of_the_released_code(key):
    params = quick(word_vectors(1000, 4).init)(key).params
    words = params["words"]["embedding"]
    assert -0.125 <= words.min() < -0.12 and 0.12 < words.max() <= 0.125
    assert not params["targets"]["embedding"].any()


def test_full_softmax_has_the_gradient_of_the_formula():
    """d loss / d u = sum over examples of (softmax - one-hot) h / B."""
    params = tables()
    words, targets = params["words"]["embedding"], params["targets"]["embedding"]
    scores = words[BATCH.words] @ targets.T
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    errors = shares - np.eye(V)[BATCH.targets]
    loss, gradient = loss_and_gradient(full_softmax(word_vectors(V, D)), params, BATCH)
    assert loss == pytest.approx(-np.log(shares[range(4), BATCH.targets]).mean(), rel=1e-5)
    expected = errors.T @ words[BATCH.words] / 4
    np.testing.assert_allclose(gradient["targets"]["embedding"], expected, atol=1e-5)
    expected = np.zeros([V, D])
    np.add.at(expected, BATCH.words, errors @ targets / 4)
    np.testing.assert_allclose(gradient["words"]["embedding"], expected, atol=1e-5)


@pytest.mark.parametrize("keep_hits", [True, False])
def test_negative_sampling_has_the_gradient_of_the_formula(keep_hits):
    """All noise is word 2, the target of examples 0 and 2."""
    params, noise = tables(), np.eye(V)[2]
    words, targets = params["words"]["embedding"], params["targets"]["embedding"]
    hidden = words[BATCH.words]
    right = np.sum(hidden * targets[BATCH.targets], 1)
    wrong = hidden @ targets[2]
    counts = 3 * (np.ones(4) if keep_hits else np.array([0, 1, 0, 1]))
    expected = np.mean(-np.log(sigmoid(right)) - counts * np.log(sigmoid(-wrong)))
    objective = negative_sampling(word_vectors(V, D), noise, 3, keep_hits=keep_hits)
    loss, gradient = loss_and_gradient(objective, params, BATCH)
    assert loss == pytest.approx(expected, rel=1e-5)
    expected = np.zeros([V, D])
    np.add.at(expected, BATCH.targets, (sigmoid(right) - 1)[:, None] * hidden / 4)
    expected[2] += (counts * sigmoid(wrong)) @ hidden / 4
    np.testing.assert_allclose(gradient["targets"]["embedding"], expected, atol=1e-5)


def test_shifted_mutual_information_is_where_negative_sampling_rests():
    """Levy and Goldberg 2014, eq. 7: score = log (n_wc n / (n_w P_n(c) n)) - log K.

    Word vectors are unit vectors, so the target table holds the scores themselves.
    """
    counts = np.array([[6.0, 2.0, 1.0], [1.0, 5.0, 3.0], [2.0, 2.0, 8.0]])
    negatives, noise = 4000, noise_probabilities([16, 4, 1])
    scores = np.log(counts / (counts.sum(1, keepdims=True) * noise[None] * negatives))
    places = np.repeat(np.arange(9), counts.astype(int).ravel())
    batch = Contexts(places // 3, places % 3)
    objective = negative_sampling(word_vectors(3, 3), noise, negatives, keep_hits=True)
    params = {"words": {"embedding": np.eye(3)}, "targets": {"embedding": scores.T}}
    params = jax.tree.map(jnp.float32, params)
    _, rest = loss_and_gradient(objective, params, batch)
    params["targets"]["embedding"] += 0.5
    _, moved = loss_and_gradient(objective, params, batch)
    assert np.abs(rest["targets"]["embedding"]).max() < 0.004
    assert np.abs(moved["targets"]["embedding"]).min() > 0.015


def test_hierarchical_softmax_is_a_distribution_with_the_paths_of_the_tree():
    tree = huffman([8, 4, 2, 1, 1])
    params = tables(V - 1)
    objective = hierarchical_softmax(word_vectors(V, D, num_targets=V - 1), tree)
    program = quick(lambda target: objective(params, (), Contexts(np.array([3]), target), None)[0])
    losses = np.array([program(np.array([target])) for target in range(V)])
    assert np.exp(-losses).sum() == pytest.approx(1, abs=1e-5)
    scores = params["targets"]["embedding"] @ params["words"]["embedding"][3]
    steps = [s * scores[n] for n, s in zip(tree.nodes[2], tree.signs[2], strict=True) if s]
    assert losses[2] == pytest.approx(-np.log(sigmoid(np.array(steps))).sum(), rel=1e-4)


def test_a_bag_is_the_mean_of_its_words_and_an_empty_one_is_zero():
    params = tables()
    bags = np.array([[0, 1, 1], [2, 4, 0]])
    mask = np.array([[True, True, False], [False, False, False]])
    model = word_vectors(V, D)
    scores, _ = model.apply(Variables(params), bags, None, mask)
    mean = params["words"]["embedding"][:2].mean(0)
    np.testing.assert_allclose(scores[0], params["targets"]["embedding"] @ mean, rtol=1e-5)
    assert not scores[1].any()


def test_windows_of_a_text_are_a_batch():
    params = tables()
    params["targets"]["embedding"][:] = 0
    batch = window_bags([0, 1, 2, 3, 4, 0], 2)
    loss, _ = loss_and_gradient(full_softmax(word_vectors(V, D)), params, batch)
    assert loss == pytest.approx(np.log(V), rel=1e-5)


def test_mistakes_are_named():
    model, variables = word_vectors(V, D), Variables(tables())
    with pytest.raises(ValueError, match="words are"):
        model.apply(variables, jnp.zeros([1, 1, 1], int))
    with pytest.raises(ValueError, match="words are"):
        model.apply(variables, jnp.zeros([2, 1], int), None, jnp.ones([2], bool))
    with pytest.raises(ValueError, match="noise is"):
        negative_sampling(model, np.ones([V, 1]))
