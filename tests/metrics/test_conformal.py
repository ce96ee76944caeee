"""Coverage by enumeration: each of n + 1 exchangeable examples is the new one once."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.metrics import conformal as ours

LEVELS = [0.5, 0.8, 0.9, 0.95]


def covered(scores, level):
    """The share of examples that a set calibrated on all others holds: scores [n + 1]."""
    n = len(scores) - 1
    others = np.array([np.delete(np.arange(n + 1), i) for i in range(n + 1)])
    quantiles = jax.vmap(lambda s: ours.conformal_quantile(s, level))(scores[others])
    return np.mean(np.asarray(scores <= quantiles))


@pytest.fixture(scope="module")
def classes():
    """Probabilities of 4 classes for 60 examples, and labels that they do not describe."""
    random = np.random.default_rng(0)
    return jnp.array(random.dirichlet(np.ones(4), 60), jnp.float32), jnp.array(
        random.integers(0, 4, 60)
    )


def scores_of(classes):
    p, labels = classes
    own = labels[:, None]
    key = jax.random.key(0)
    return {
        "lac": jnp.take_along_axis(ours.lac_scores(p), own, 1)[:, 0],
        "aps": jnp.take_along_axis(ours.aps_scores(p, key), own, 1)[:, 0],
        "raps": jnp.take_along_axis(ours.aps_scores(p, key, penalty=0.1, free=2), own, 1)[:, 0],
        "residual": ours.residual_scores(p[:, 0], p[:, 1] ** 2, 0.1 + p[:, 2]),
        "quantile": ours.quantile_scores(p[:, 0] - 0.1, p[:, 0] + 0.2, p[:, 1]),
    }


@pytest.mark.parametrize("level", LEVELS)
def test_coverage_is_exact_for_every_score(classes, level):
    for scores in scores_of(classes).values():
        found = covered(scores, level)
        np.testing.assert_allclose(found, math.ceil(60 * level - 1e-9) / 60, rtol=1e-6)
        assert level - 1e-9 <= found <= level + 1 / 60 + 1e-9
        naive = np.mean(scores <= jnp.quantile(scores, level))
        assert naive >= level - 1 / 60


def test_ties_cover_no_less():
    assert covered(jnp.repeat(jnp.arange(10.0), 6), 0.87) >= 0.87


def test_coverage_over_many_splits_lies_between_its_bounds(key):
    """The mean over calibration sets is rank / (n + 1), though a single one's coverage varies."""

    @jax.jit
    def shares(key):
        calibration, new = jax.random.exponential(key, [2, 4000, 49])
        quantiles = jax.vmap(lambda s: ours.conformal_quantile(s, 0.9))(calibration)
        naive = jnp.sort(calibration, 1)[:, 43]  # the 44th of 49, without the correction
        return [jnp.mean(new <= q[:, None], 1) for q in (quantiles, naive)]

    right, naive = map(np.asarray, shares(key))
    error = right.std() / 4000**0.5
    assert abs(right.mean() - 45 / 50) < 4.5 * error
    assert naive.mean() < 0.9 - 4.5 * error


def test_few_examples_are_told_how_many_are_needed():
    for level, needed in [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1)]:
        assert ours.conformal_quantile(jnp.arange(float(needed)), level) == needed - 1
        with pytest.raises(ValueError, match=f"at least {needed} calibration examples"):
            ours.conformal_quantile(jnp.arange(needed - 1.0), level)
    with pytest.raises(ValueError, match="level=90"):
        ours.conformal_quantile(jnp.arange(100.0), 90)


def test_intervals_hold_exactly_the_targets_of_small_scores():
    mean, scale = jnp.array([0.0, 2.0]), jnp.array([1.0, 0.5])
    low, high = ours.residual_interval(mean, jnp.array(1.5), scale)
    np.testing.assert_allclose([low, high], [[-1.5, 1.25], [1.5, 2.75]])
    np.testing.assert_allclose(ours.residual_scores(mean, high, scale), [1.5, 1.5])
    lower, upper = mean - 1, mean + 2
    for quantile in (0.25, -0.25):  # may narrow, too
        ends = ours.quantile_interval(lower, upper, jnp.array(quantile))
        for end in ends:
            np.testing.assert_allclose(ours.quantile_scores(lower, upper, end), [quantile] * 2)


def test_aps_by_hand():
    p = jnp.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    np.testing.assert_allclose(ours.aps_scores(p), [[1.0, 0.6, 0.9], [0.5, 1.0, 0.8]], atol=1e-6)
    raps = ours.aps_scores(p, penalty=0.2, free=1)
    np.testing.assert_allclose(raps, [[1.4, 0.6, 1.1], [0.5, 1.4, 1.0]], atol=1e-6)
    drawn = ours.aps_scores(p, jax.random.key(1))
    u = jax.random.uniform(jax.random.key(1), [2])[:, None]
    above = np.array([[0.9, 0.0, 0.6], [0.0, 0.8, 0.5]])
    np.testing.assert_allclose(drawn, above + u * p, atol=1e-6)
    with pytest.raises(ValueError, match=r"got \[3\]"):
        ours.aps_scores(p[0])


def test_random_sets_of_true_probabilities_hold_what_they_claim(key):
    """APS with the true probabilities has uniform scores, so the quantile is the level."""

    @jax.jit
    def scores_of_labels(key):
        key_p, key_label, key_u = jax.random.split(key, 3)
        p = jax.nn.softmax(2 * jax.random.normal(key_p, [20_000, 5]))
        labels = jax.random.categorical(key_label, jnp.log(p))
        return jnp.take_along_axis(ours.aps_scores(p, key_u), labels[:, None], 1)[:, 0]

    scores = np.asarray(scores_of_labels(key))
    grid = np.linspace(0.05, 0.95, 10)
    found = np.array([np.mean(scores <= x) for x in grid])
    assert (np.abs(found - grid) < 4.5 * np.sqrt(grid * (1 - grid) / 20_000)).all()


def test_quantiles_of_classes_are_those_of_their_examples(classes):
    scores, labels = scores_of(classes)["lac"], classes[1]
    found = jax.jit(ours.class_quantiles, static_argnums=(2, 3))(scores, labels, 5, 0.8)
    for label in range(4):
        expected = ours.conformal_quantile(scores[np.asarray(labels) == label], 0.8)
        np.testing.assert_allclose(found[label], expected)
    assert found[4] == jnp.inf  # no example: in every set
    with pytest.raises(ValueError, match="scores and labels"):
        ours.class_quantiles(scores[None], labels, 4)
    with pytest.raises(ValueError, match="level=1.0"):
        ours.class_quantiles(scores, labels, 4, 1.0)
