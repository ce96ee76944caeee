"""Prefixes of lines: which lines are read, and that reciting reads what was learned."""

import dataclasses

import jax
import numpy as np
import pytest

from jdl.recipes import prefix_text

SHORT = prefix_text.Settings(
    embedding_dim=3, bidirectional_dim=2, hidden_dim=3, epochs=1, batch_size=64, written=3
)


@pytest.fixture(scope="module")
def report():
    return prefix_text.run(dataclasses.replace(SHORT, held_out=10), jax.random.key(0))


def test_the_poem_has_twenty_lines_and_two_are_kept_back(report):
    assert report.metrics["lines"] == 18
    assert 0 <= report.metrics["held_out_accuracy"] <= 1
    assert report.text.splitlines()[-1].startswith("there should be ... ")


def test_the_frame_of_a_book_is_left_out(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(
        "Title\n*** START OF THE PROJECT GUTENBERG EBOOK ***\nOnce upon\n\nthere, was one!\nEnd\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK ***\nA licence."
    )
    assert prefix_text.lines_of(path) == [["once", "upon"], ["there", "was", "one"]]
    path.write_text("No frame\nhere")
    assert prefix_text.lines_of(path) == [["no", "frame"]]


def test_a_line_is_recited_if_all_of_it_is_right(monkeypatch):
    lines = [[1, 2, 3], [1, 2, 4, 5], [6, 7]]
    said = np.array([[3, 9], [4, 4]])
    monkeypatch.setattr(prefix_text, "written", lambda model, variables, given, *rest: said)
    assert prefix_text.recited(None, None, lines, 5) == 0.5
