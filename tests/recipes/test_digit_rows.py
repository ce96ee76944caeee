"""Digits row by row: the report agrees with itself, and a cell of another name is refused."""

import jax
import pytest

from jdl.recipes import digit_rows

SHORT = digit_rows.Settings(epochs=1, batch_size=400, hidden_dim=4, num_layers=1)


def test_numbers_agree_with_the_picture():
    report = digit_rows.run(SHORT, jax.random.key(0))
    counts = [int(text.get_text()) for text in report.figures["confusion"].axes[0].texts]
    assert sum(counts) == report.metrics["test_images"] == 359
    row = next(line.split() for line in report.text.splitlines() if "accuracy" in line)
    assert row[1] == f"{report.metrics['test_accuracy']:.3f}"
    assert len(report.figures["learning"].axes[0].lines[0].get_xdata()) == 3


def test_another_cell_is_refused():
    with pytest.raises(ValueError, match="cell is one of"):
        digit_rows.run(digit_rows.Settings(cell="jordan"), jax.random.key(0))
