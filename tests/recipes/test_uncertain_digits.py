"""Seven classifiers that say how sure they are: a short run reports it, the full one keeps it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from jdl.bayes.predictive import ClassPredictive
from jdl.recipes import uncertain_digits, uncertainty

METHODS = ["single", "temperature", "dropout", "laplace", "swag", "ensemble", "backprop"]
SHORT = uncertain_digits.Settings(
    steps=4,
    batch_size=32,
    test_fraction=0.1,
    validation_fraction=0.1,
    draws=2,
    cheap_draws=3,
    members=2,
    swag_steps=6,
    backprop_steps=2,
    turned=20,
    angles=3,
)


@pytest.fixture(scope="module")
def report():
    return uncertain_digits.run(SHORT, jax.random.key(0))


@pytest.mark.slow  # 45 s: it compiles six training programs of a LeNet-5
def test_table_has_a_row_for_each_method_with_its_numbers(report):
    lines = report.text.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:8]}
    assert list(rows) == METHODS
    for method, row in rows.items():
        assert row[0] == f"{report.metrics[f'{method}_accuracy']:.1%}"
        assert row[1] == f"{report.metrics[f'{method}_nll']:.3f}"
    assert all(np.isfinite(value) for value in report.metrics.values())


@pytest.mark.slow  # 45 s: it compiles six training programs of a LeNet-5
def test_only_methods_with_draws_have_mutual_information(report):
    metrics = report.metrics
    for method in METHODS:
        drawn = method not in ("single", "temperature")
        assert (metrics[f"{method}_information_letters"] > 1e-7) == drawn
    assert metrics["temperature_accuracy"] == metrics["single_accuracy"]


@pytest.mark.slow  # 45 s: it compiles six training programs of a LeNet-5
def test_pictures_are_there(report):
    names = {"reliability", "entropies", "roc", "shift", "turning", "strangest"}
    assert set(report.figures) == names
    assert len(report.figures["roc"].axes[0].lines) == len(METHODS) + 2
    assert [len(axes.lines) for axes in report.figures["shift"].axes] == [len(METHODS)] * 4


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(10), 700).astype(np.float32)
    labels = rng.integers(0, 10, 700)
    entropy = -(p * np.log(p)).sum(1)
    zeros = jnp.zeros(700)
    found = ClassPredictive(jnp.asarray(p), jnp.asarray(entropy), zeros)
    ends = {"validation": (0, 200), "test": (200, 500), "letters": (500, 700)}
    probe = uncertainty.Probe(
        jnp.zeros([700, 1, 1, 1]),
        {name: slice(*end) for name, end in ends.items()},
        {name: jnp.asarray(labels[slice(*end)]) for name, end in ends.items()},
        np.zeros(0),
    )
    scores = uncertainty.worth(probe, found)
    nll = log_loss(labels[200:500], p[200:500] / p[200:500].sum(1, keepdims=True), labels=range(10))
    np.testing.assert_allclose(scores["nll"], nll, rtol=1e-5)
    area = roc_auc_score(np.arange(200, 700) >= 500, entropy[200:])
    np.testing.assert_allclose(scores["auroc"], area, rtol=1e-5)
    assert scores["coverage"] > 0.95 and 8 < scores["set_size"] <= 10  # 99 %, of a bad classifier


@pytest.mark.slow
def test_full_run_keeps_what_its_docstring_promises():
    metrics = uncertain_digits.run(uncertain_digits.Settings(), jax.random.key(0)).metrics
    for method in METHODS:
        assert metrics[f"{method}_accuracy"] >= 0.95
        assert metrics[f"{method}_coverage"] >= 0.97
        if method != "single":
            assert metrics[f"{method}_nll"] < metrics["single_nll"]
            assert metrics[f"{method}_entropy_letters"] > metrics["single_entropy_letters"]
    assert metrics["ensemble_auroc"] > metrics["single_auroc"] + 0.02
    assert metrics["laplace_evidence_validation_nll"] > 3 * metrics["laplace_validation_nll"]
