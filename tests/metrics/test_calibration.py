"""Calibration against its definition, SciPy's minimiser, and what is calibrated by design."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from jdl.metrics import calibration as ours


@pytest.fixture(scope="module")
def case():
    """Confidences of 600 predictions and whether they are right, too rarely."""
    random = np.random.default_rng(0)
    confidences = random.random(600).astype(np.float32) ** 0.5
    confidences[:3] = 0.0, 1.0, 0.5
    return confidences, random.random(600) < 0.9 * confidences**1.5


def errors(confidences, correct, edges):
    """ECE and MCE of Guo et al., eq. 3 and 5, bin by bin."""
    gaps, shares = [], []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (low < confidences) & (confidences <= high)
        if low == 0:
            inside |= confidences == 0
        if inside.any():
            gaps.append(abs(correct[inside].mean() - confidences[inside].mean()))
            shares.append(inside.mean())
    return np.dot(gaps, shares), max(gaps)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_errors_are_those_of_the_loop(case, bins):
    edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
    table = ours.reliability(jnp.array(case[0]), jnp.array(case[1]), num_bins=bins)
    found = ours.expected_calibration_error(table), ours.maximum_calibration_error(table)
    np.testing.assert_allclose(found, errors(*case, edges), rtol=1e-4)


def test_bins_of_equal_mass_hold_equally_many(case):
    confidences, correct = map(jnp.array, case)
    edges = ours.equal_mass_edges(confidences, 15)
    table = ours.reliability(confidences, correct, edges=edges)
    np.testing.assert_array_equal(table.count, np.full(15, 40))
    order = np.argsort(case[0])
    parts = np.array_split(order, 15)
    gaps = [abs(case[1][part].mean() - case[0][part].mean()) for part in parts]
    np.testing.assert_allclose(ours.expected_calibration_error(table), np.mean(gaps), rtol=1e-4)
    np.testing.assert_allclose(ours.maximum_calibration_error(table), np.max(gaps), rtol=1e-4)


def test_tables_of_batches_add_up_to_that_of_all(case):
    confidences, correct = map(jnp.array, case)
    whole = ours.reliability(confidences, correct)
    parts = [ours.reliability(confidences[s], correct[s]) for s in (slice(300), slice(300, None))]
    for found, expected in zip(parts[0].merge(parts[1]), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_top_label_is_the_prediction():
    probabilities = jnp.array([[0.2, 0.8], [0.6, 0.4]])
    confidence, correct = ours.top_label(probabilities, jnp.array([1, 1]))
    np.testing.assert_allclose(confidence, [0.8, 0.6])
    assert correct.tolist() == [True, False]


@pytest.fixture(scope="module")
def logits():
    """Logits three times too large for the labels drawn from them."""
    random = np.random.default_rng(1)
    logits = random.normal(size=[3000, 4])
    labels = np.array([random.choice(4, p=p) for p in scipy.special.softmax(logits, 1)])
    return (3 * logits).astype(np.float32), labels


def test_temperature_is_the_minimum_that_scipy_finds(logits):
    def loss(beta):
        return -scipy.special.log_softmax(beta * logits[0], 1)[range(3000), logits[1]].mean()

    expected = 1 / scipy.optimize.minimize_scalar(loss, (0.1, 1.0), tol=1e-9).x
    found = jax.jit(ours.temperature)(*map(jnp.array, logits))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert 2.8 < found < 3.2  # 3, which made the logits
    assert loss(1 / float(found)) < min(loss(1.0), loss(1 / 2.9), loss(1 / 3.3))


def test_temperature_of_scaled_logits_scales(logits):
    values, labels = map(jnp.array, logits)
    once = ours.temperature(values[:500], labels[:500])
    np.testing.assert_allclose(
        ours.temperature(2 * values[:500], labels[:500]), 2 * once, rtol=1e-4
    )


def test_temperature_makes_an_overconfident_classifier_calibrated(logits):
    values, labels = map(jnp.array, logits)
    gaps = [
        ours.expected_calibration_error(
            ours.reliability(*ours.top_label(jax.nn.softmax(values / t), labels))
        )
        for t in (1.0, ours.temperature(values, labels))
    ]
    assert gaps[0] > 0.2 and gaps[1] < 0.03


def test_temperature_of_faultless_and_of_worthless_logits_is_at_its_ends():
    logits = jnp.array([[1.0, 0.0], [0.0, 1.0]] * 4)
    labels = jnp.array([0, 1] * 4)
    np.testing.assert_allclose(ours.temperature(logits, labels), 1e-3, rtol=1e-3)
    np.testing.assert_allclose(ours.temperature(logits, 1 - labels), 1e3, rtol=1e-3)


def test_coverage_of_normal_predictions_is_that_by_intervals():
    random = np.random.default_rng(2)
    mean, std = random.normal(size=500), 0.5 + random.random(500)
    targets = mean + std * random.normal(size=500)
    levels = np.array([0.1, 0.5, 0.9, 0.99])
    cdf = scipy.stats.norm(mean, std).cdf(targets)
    found = ours.central_coverage(jnp.array(cdf, jnp.float32), jnp.array(levels, jnp.float32))
    for share, level in zip(found, levels, strict=True):
        low, high = scipy.stats.norm(mean, std).interval(level)
        np.testing.assert_allclose(share, np.mean((low <= targets) & (targets <= high)))
    assert (np.abs(found - levels) < 4.5 * np.sqrt(levels * (1 - levels) / 500)).all()


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="top_label"):
        ours.reliability(jnp.zeros([3, 2]), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"jnp.stack"):
        ours.temperature(jnp.zeros(3), jnp.zeros(3, int))
    with pytest.raises(ValueError, match=r"float32"):
        ours.top_label(jnp.zeros([3, 2]), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"got \[3, 2\]"):
        ours.central_coverage(jnp.zeros([3, 2]), jnp.zeros(2))
