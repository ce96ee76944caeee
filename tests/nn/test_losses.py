"""The losses of Optax in the books' conventions, and those of jdl.nn.losses."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special

from jdl.nn.losses import (
    absolute_error,
    balanced_class_weights,
    binary_cross_entropy,
    categorical_cross_entropy,
    class_weighted_cross_entropy,
    logistic_loss,
    smooth_labels_of_others,
)

# 000 ch. 4: its example of MSE, MAE and Huber.
TARGETS, PREDICTIONS = jnp.array([3.0, -0.5, 2.0, 7.0]), jnp.array([2.5, 0.0, 2.0, 8.0])


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_squared_error_has_four_conventions():
    squares = optax.squared_error(PREDICTIONS, TARGETS)
    assert float(squares.mean()) == 0.375  # 000
    assert float(squares.sum()) == 1.5  # 001 without 1/N
    halves = optax.l2_loss(PREDICTIONS, TARGETS)
    assert (float(halves.sum()), float(halves.mean())) == (0.75, 0.1875)
    slope = jax.grad(lambda f: optax.squared_error(f, TARGETS).sum())(PREDICTIONS)
    close(slope, 2 * (PREDICTIONS - TARGETS))
    slope = jax.grad(lambda f: optax.l2_loss(f, TARGETS).sum())(PREDICTIONS)
    close(slope, PREDICTIONS - TARGETS)  # 004, the delta of its regression


def test_absolute_error_is_that_of_000_and_flat_at_0():
    assert float(absolute_error(PREDICTIONS, TARGETS).mean()) == 0.5
    slope = jax.grad(lambda f: absolute_error(f, TARGETS).sum())(PREDICTIONS)
    close(slope, [-1, 1, 0, 1])
    assert float(jax.grad(lambda f: jnp.abs(f - 2.0))(2.0)) == 1


def test_targets_that_would_broadcast_are_refused():
    for loss in (absolute_error, binary_cross_entropy, logistic_loss, categorical_cross_entropy):
        with pytest.raises(ValueError, match="all pairs"):
            loss(jnp.ones([4, 1]), jnp.ones([1, 4]))


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_huber_is_half_the_square_up_to_delta_and_linear_beyond(delta):
    assert float(optax.huber_loss(PREDICTIONS, TARGETS).mean()) == 0.1875  # 000
    errors = np.array([-4, -delta, -0.2, 0, 0.2, delta, 4])
    expected = np.where(
        np.abs(errors) <= delta, errors**2 / 2, delta * (np.abs(errors) - delta / 2)
    )
    close(optax.huber_loss(jnp.asarray(errors), delta=delta), expected)
    slope = jax.vmap(jax.grad(lambda e: optax.huber_loss(e, delta=delta)))(jnp.asarray(errors))
    close(slope, np.clip(errors, -delta, delta))


def test_binary_cross_entropy_is_the_same_of_logits_of_probabilities_and_of_signs():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=20) * 3, rng.integers(0, 2, 20)
    p = scipy.special.expit(logits)
    expected = -labels * np.log(p) - (1 - labels) * np.log(1 - p)
    z = jnp.asarray(logits)
    close(optax.sigmoid_binary_cross_entropy(z, jnp.asarray(labels)), expected)
    close(np.log1p(np.exp((1 - 2 * labels) * logits)), expected)  # 004 eq. 1.64
    close(binary_cross_entropy(jnp.asarray(p), jnp.asarray(labels)), expected)
    close(logistic_loss(z, jnp.asarray(2 * labels - 1)), expected)
    two = jnp.stack([jnp.zeros(20), z], axis=1)  # 004 problem 1.9
    close(optax.softmax_cross_entropy_with_integer_labels(two, jnp.asarray(labels)), expected)
    slope = jax.grad(lambda z: optax.sigmoid_binary_cross_entropy(z, labels).sum())(z)
    close(slope, p - labels)


def test_signs_in_place_of_labels_are_another_loss():
    z = jnp.array([2.0])
    assert float(logistic_loss(z, jnp.array([-1.0]))[0]) > 2
    assert float(optax.sigmoid_binary_cross_entropy(z, jnp.array([-1.0]))[0]) > 4


def test_the_listings_clip_is_void_in_float32_and_this_one_is_not():
    p, y = jnp.array([1.0, 0.0, 1.0, 0.0]), jnp.array([0.0, 1.0, 1.0, 0.0])
    clipped = jnp.clip(p, 1e-9, 1 - 1e-9)
    assert np.isinf(-y * jnp.log(clipped) - (1 - y) * jnp.log(1 - clipped))[0]
    doubles = np.clip(np.array(p, np.float64), 1e-9, 1 - 1e-9)
    listed = -np.array(y) * np.log(doubles) - (1 - np.array(y)) * np.log(1 - doubles)
    close(binary_cross_entropy(p, y), listed)
    close(listed, [20.7232658, 20.7232658, 0, 0], 1e-6)
    slope = jax.grad(lambda p: binary_cross_entropy(p, y).sum())(p)
    assert np.isfinite(slope).all()


def test_half_precision_probabilities_are_taken_in_float32():
    loss = binary_cross_entropy(jnp.array([1.0], jnp.float16), jnp.array([0.0], jnp.float16))
    assert loss.dtype == jnp.float32
    close(loss, 20.7232658)


def test_categorical_cross_entropy_is_the_same_of_integers_one_hot_rows_and_probabilities():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=[7, 4]) * 3, rng.integers(0, 4, 7)
    p, rows = scipy.special.softmax(logits, -1), np.eye(4)[labels]
    expected = -np.log(p[np.arange(7), labels])
    z = jnp.asarray(logits)
    close(-(rows * logits).sum(1) + scipy.special.logsumexp(logits, 1), expected)  # 004 eq. 1.77
    close(optax.softmax_cross_entropy_with_integer_labels(z, jnp.asarray(labels)), expected)
    close(optax.softmax_cross_entropy(z, jnp.asarray(rows)), expected)
    close(categorical_cross_entropy(jnp.asarray(p), jnp.asarray(rows)), expected)
    slope = jax.grad(lambda z: optax.softmax_cross_entropy(z, jnp.asarray(rows)).sum())(z)
    close(slope, p - rows)  # 002, 003, 004 eq. 1.78


def test_cross_entropy_of_a_uniform_guess_is_log_of_the_classes():
    losses = optax.softmax_cross_entropy_with_integer_labels(jnp.zeros([1, 10]), jnp.array([3]))
    close(losses, np.log(10))
    close(categorical_cross_entropy(jnp.full([1, 10], 0.1), jnp.eye(10)[:1]), np.log(10))


def test_the_sum_of_000_and_the_mean_of_its_listing_differ_by_the_examples():
    p = jnp.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    losses = categorical_cross_entropy(p, jnp.eye(3)[:2])
    close(losses.sum(), -np.log(0.7) - np.log(0.8))
    close(losses.mean(), losses.sum() / 2)


def test_a_probability_of_0_costs_the_floor_and_where_the_target_is_0_nothing():
    p, rows = jnp.array([[0.0, 1.0]]), jnp.array([[1.0, 0.0]])
    assert jnp.isnan(-jnp.sum((1 - rows) * jnp.log(p), 1))[0]  # 0 times minus infinity
    close(categorical_cross_entropy(p, rows), -np.log(1e-9))
    close(categorical_cross_entropy(p, rows, floor=1e-10), -np.log(1e-10))  # 003
    close(categorical_cross_entropy(p, 1 - rows), 0)


def test_large_logits_give_the_loss_that_their_probabilities_lose():
    logits, labels = jnp.array([[200.0, 0.0]]), jnp.array([1])
    close(optax.softmax_cross_entropy_with_integer_labels(logits, labels), 200)
    p = jax.nn.softmax(logits)
    assert jnp.isinf(-jnp.log(p[0, 1]))
    close(categorical_cross_entropy(p, jnp.array([[0.0, 1.0]])), 20.7232658)


def test_class_weights_multiply_the_losses_and_have_two_means():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=[6, 3]), np.array([0, 0, 0, 1, 1, 2])
    weights = np.array([0.5, 1.0, 4.0])
    plain = -np.log(scipy.special.softmax(logits, -1)[np.arange(6), labels])
    losses = class_weighted_cross_entropy(
        jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(weights)
    )
    close(losses, weights[labels] * plain)
    by_weight = losses.sum() / weights[labels].sum()
    close(by_weight, np.average(plain, weights=weights[labels]))
    assert abs(by_weight - losses.mean()) > 0.01


def test_balanced_weights_are_those_of_scikit_learn():
    class_weight = pytest.importorskip("sklearn.utils.class_weight")
    labels = np.array([0, 0, 0, 0, 2, 2, 1])
    expected = class_weight.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    close(balanced_class_weights(jnp.asarray(labels), 3), expected)
    weights = balanced_class_weights(jnp.asarray(labels), 4)
    assert weights.tolist()[3] == 0
    totals = weights * jnp.bincount(labels, length=4)
    close(totals[:3], totals[0])


def test_the_two_conventions_of_label_smoothing():
    rows, k, eps = jnp.eye(4), 4, 0.1
    published = optax.smooth_labels(rows, eps)
    close(published[0], [0.925, 0.025, 0.025, 0.025])
    others = smooth_labels_of_others(rows, eps)
    close(others[0], [0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3])  # the 0.9 of 003
    close(published.sum(-1), 1)
    close(others.sum(-1), 1)
    close(others, optax.smooth_labels(rows, eps * k / (k - 1)))
    assert np.abs(published - others).max() > 0.02


def alignments(logits, labels):
    """- log of the sum of the probabilities of all paths that collapse to the labels, blank 0."""
    logp, total = np.log(scipy.special.softmax(logits, -1)), -np.inf
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        merged = [token for token, _ in itertools.groupby(path)]
        if [token for token in merged if token != 0] == list(labels):
            total = np.logaddexp(total, sum(logp[t, token] for t, token in enumerate(path)))
    return -total


def test_ctc_is_the_sum_over_all_alignments():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=[5, 5, 3]) * 2
    labels = [[1], [1, 2], [1, 1], [2, 1, 2], []]
    steps = [5, 4, 5, 5, 2]
    expected = [
        alignments(logits[i, :n], y) for i, (n, y) in enumerate(zip(steps, labels, strict=True))
    ]
    padded = np.array([y + [0] * (3 - len(y)) for y in labels])
    paddings = np.array([[0.0] * len(y) + [1.0] * (3 - len(y)) for y in labels])
    late = (np.arange(5)[None] >= np.array(steps)[:, None]).astype(np.float32)
    losses = jax.jit(optax.ctc_loss)(jnp.asarray(logits), late, padded, paddings)
    close(losses, expected, 1e-4)


def test_ctc_of_more_labels_than_steps_is_large_and_not_infinite():
    loss = optax.ctc_loss(
        jnp.zeros([1, 1, 3]), jnp.zeros([1, 1]), jnp.array([[1, 2]]), jnp.zeros([1, 2])
    )
    assert 1e4 < float(loss[0]) < np.inf
