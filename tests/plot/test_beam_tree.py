"""The tree of a search is drawn with its words, its scores and the way to the best."""

import numpy as np
import pytest

from jdl.decoding import Level
from jdl.plot.beam_tree import beam_tree

WORDS = ["y1", "y2", "end"]
LEVELS = [
    Level(np.array([0, 1]), np.array([0, 0]), np.array([-0.7, -0.9]), np.array([True, True])),
    Level(
        np.array([2, 0, 1]),
        np.array([1, 0, 0]),
        np.array([-0.8, -0.75, -np.inf]),
        np.array([True, True, False]),
    ),
]


def drawn(end_token):
    (axes,) = beam_tree(LEVELS, WORDS, end_token=end_token, start="<s>").axes
    texts = [text.get_text() for text in axes.texts]
    thick = [line.get_xdata()[1] for line in axes.lines if line.get_linewidth() > 2]
    bold = [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"]
    return texts, thick, bold, axes


def test_every_hypothesis_has_its_word_and_score_and_a_line_to_its_parent():
    texts, _, _, axes = drawn(2)
    assert texts == ["<s>", "y1\n-0.70", "y2\n-0.90", "end\n-0.80", "y1\n-0.75"]
    ends = [(line.get_ydata()[0], line.get_ydata()[1]) for line in axes.lines]
    assert ends == [(0, 0.5), (0, -0.5), (-0.5, 0.5), (0.5, -0.5)]


def test_the_way_to_the_best_finished_one_is_thick_and_else_to_the_best():
    assert drawn(2)[1:3] == ([1, 2], ["<s>", "y2\n-0.90", "end\n-0.80"])
    assert drawn(None)[2] == ["<s>", "y1\n-0.70", "y1\n-0.75"]


def test_levels_of_many_sequences_are_refused():
    many = Level(*(np.zeros([2, 3], int) for _ in range(4)))
    with pytest.raises(ValueError, match=r"of one sequence.*got \[\[2, 3\]\]"):
        beam_tree([many], WORDS)
    with pytest.raises(ValueError, match=r"one at least; got \[\]"):
        beam_tree([], WORDS)
