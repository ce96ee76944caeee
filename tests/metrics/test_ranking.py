"""Curves over thresholds against scikit-learn, with ties and without."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as theirs

from jdl.metrics import ranking as ours


@pytest.fixture(scope="module", params=["distinct", "tied"])
def case(request):
    random = np.random.default_rng(0)
    positive = random.random(300) < 0.3
    scores = (random.normal(size=300) + positive).astype(np.float32)
    if request.param == "tied":
        scores = np.round(scores)
    return scores, positive


def test_areas_equal_scikit_learn(case):
    scores, positive = map(jnp.array, case)
    found = jax.jit(ours.auroc)(scores, positive)
    np.testing.assert_allclose(found, theirs.roc_auc_score(case[1], case[0]), rtol=1e-5)
    wins = np.sign(case[0][case[1]][:, None] - case[0][~case[1]][None])
    np.testing.assert_allclose(found, (1 + wins.mean()) / 2, rtol=1e-5)
    found = jax.jit(ours.average_precision)(scores, positive)
    np.testing.assert_allclose(found, theirs.average_precision_score(case[1], case[0]), rtol=1e-5)


def test_curve_equals_that_of_scikit_learn(case):
    curve = ours.roc_curve(*map(jnp.array, case))
    found = np.unique(np.stack(curve, -1), axis=0)
    fpr, tpr, thresholds = theirs.roc_curve(case[1], case[0], drop_intermediate=False)
    points = np.unique(np.stack([fpr, tpr, thresholds], -1).astype(np.float32), axis=0)
    np.testing.assert_allclose(found, points, rtol=1e-5)
    expected = fpr[np.argmax(tpr >= 0.95)]
    np.testing.assert_allclose(ours.fpr_at_tpr(*map(jnp.array, case)), expected, rtol=1e-5)


def test_scores_that_part_the_classes_are_perfect_and_constants_are_chance():
    positive = jnp.array([1, 1, 0, 0, 0])
    scores = jnp.array([3.0, 2.0, 1.0, 0.0, 0.0])
    assert ours.auroc(scores, positive) == 1 and ours.auroc(-scores, positive) == 0
    assert ours.average_precision(scores, positive) == 1 and ours.fpr_at_tpr(scores, positive) == 0
    same = jnp.zeros(5)
    assert ours.auroc(same, positive) == 0.5 and ours.fpr_at_tpr(same, positive) == 1
    np.testing.assert_allclose(ours.average_precision(same, positive), 0.4)


def test_a_level_that_is_met_exactly_is_met():
    positive = jnp.array([1] * 20 + [0] * 10)
    scores = jnp.concatenate([jnp.arange(100.0, 81.0, -1.0), jnp.array([-9.0]), jnp.arange(10.0)])
    assert ours.fpr_at_tpr(scores, positive, 0.95) == 0  # 19 of 20 are above all negatives
    assert ours.fpr_at_tpr(scores, positive, 0.96) == 1


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[3, 2\] and \[3\]"):
        ours.auroc(jnp.zeros([3, 2]), jnp.zeros(3))
