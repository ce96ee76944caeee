import collections

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.train.committee import average_params, average_probabilities, bootstrap, majority_vote

LOGITS = np.random.default_rng(0).normal(scale=3.0, size=(5, 40, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, size=40)


def test_the_committee_loses_no_more_than_its_members_in_the_mean():
    chances = np.asarray(average_probabilities(LOGITS))
    np.testing.assert_allclose(chances.sum(-1), 1, rtol=1e-5)
    own = optax.softmax_cross_entropy_with_integer_labels(LOGITS, np.stack([LABELS] * 5))
    assert -np.log(chances[np.arange(40), LABELS]).mean() < float(own.mean())
    by_hand = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(chances, by_hand.mean(0), rtol=1e-4)


def test_a_mean_of_probabilities_is_not_that_of_logits():
    chances = average_probabilities(LOGITS)
    assert np.abs(chances - jax.nn.softmax(LOGITS.mean(0))).max() > 0.05


def test_votes_are_counted_and_the_lowest_of_equals_wins():
    found = majority_vote(LOGITS)
    for example in range(40):
        votes = collections.Counter(LOGITS[:, example].argmax(-1).tolist())
        most = max(votes.values())
        assert int(found[example]) == min(label for label, n in votes.items() if n == most)


def test_a_sure_minority_sways_the_mean_and_not_the_vote():
    logits = jnp.array([[0.1, 0.0], [0.1, 0.0], [0.0, 9.0]])[:, None]
    assert majority_vote(logits).tolist() == [0]
    assert average_probabilities(logits).argmax(-1).tolist() == [1]


def test_bootstrap_leaves_out_one_over_e_and_draws_each_alike():
    indices = np.asarray(bootstrap(1000, 50, jax.random.key(0)))
    assert indices.shape == (50, 1000) and indices.min() == 0 and indices.max() == 999
    unique = np.array([len(np.unique(row)) for row in indices]) / 1000
    assert abs(unique.mean() - (1 - (1 - 1 / 1000) ** 1000)) < 0.006
    assert len({row.tobytes() for row in indices}) == 50
    counts = np.bincount(indices.ravel(), minlength=1000)  # mean 50, standard deviation 7
    assert abs(counts.std() - np.sqrt(50)) < 0.8


def test_the_average_of_members_of_a_linear_model_predicts_their_mean():
    kernels = jnp.array(LOGITS[:, :4])
    inputs = jnp.array(LOGITS[0, :7, :1]) * jnp.ones([7, 4])
    together = inputs @ average_params({"kernel": kernels})["kernel"]
    np.testing.assert_allclose(together, (inputs @ kernels).mean(0), rtol=1e-4, atol=1e-5)


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="got 0"):
        bootstrap(0, 3, jax.random.key(0))
