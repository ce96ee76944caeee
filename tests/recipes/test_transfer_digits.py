"""From upright to turned digits: every way is measured on the same images."""

import jax
import numpy as np
import pytest

from jdl.recipes import transfer_digits

SHORT = transfer_digits.Settings(
    degrees=(90.0,),
    labelled=(1, 2),
    ways=("scratch", "frozen", "tuned"),
    seeds=1,
    pretraining=2,
    steps=2,
    batch_size=8,
    test_images=40,
)


@pytest.fixture(scope="module")
def report():
    return transfer_digits.run(SHORT, jax.random.key(0))


def test_numbers_table_and_picture_agree(report):
    lines = report.text.splitlines()
    assert lines[0].split() == "turned by 90, labels of each class 1 2".split()
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert tuple(rows) == SHORT.ways
    (panel,) = report.figures["accuracy"].axes
    for line in panel.lines:
        way = line.get_label()
        wanted = [report.metrics[f"{way}_{n}_at_90"] for n in SHORT.labelled]
        np.testing.assert_allclose(line.get_ydata(), wanted)
        assert rows[way][1::3] == [f"{x:.1%}" for x in wanted]
        assert all(abs(40 * x - round(40 * x)) < 1e-4 for x in wanted)
    shown = [axes.images[0] for axes in report.figures["digits"].axes if axes.images]
    assert len(shown) == 18


@pytest.mark.slow  # 50 s
def test_with_few_labels_like_images_profit_and_others_do_not():
    metrics = transfer_digits.run(transfer_digits.Settings(), jax.random.key(0)).metrics
    assert metrics["frozen_1_at_20"] > metrics["scratch_1_at_20"] + 0.05
    assert metrics["all_25_at_20"] > metrics["frozen_25_at_20"] + 0.02
    assert metrics["frozen_25_at_90"] < metrics["scratch_25_at_90"] - 0.1
