"""Heat maps of attention show weights and tokens; those of positions, their angles."""

import numpy as np
import pytest

from jdl.plot.attention import attention_heads, position_map

_random = np.random.default_rng(0)


def pictures(figure):
    return [axes for axes in figure.axes if axes.images]


def test_each_head_has_its_weights_and_tokens():
    weights = _random.dirichlet(np.ones(4), [3, 2]).astype(np.float32)
    figure = attention_heads(weights, ["wie", "fliegt"], list("abcd"), columns=2, title="All")
    panels = pictures(figure)
    assert len(panels) == 3
    for number, axes in enumerate(panels):
        np.testing.assert_array_equal(axes.images[0].get_array(), weights[number])
        assert axes.images[0].get_clim() == (0, 1)
        assert axes.get_title() == f"head {number + 1}"
        assert [text.get_text() for text in axes.get_xticklabels()] == list("abcd")
        words = ["wie", "fliegt"] if number != 1 else []
        assert [text.get_text() for text in axes.get_yticklabels()] == words


def test_one_map_of_a_sequence_to_itself_has_its_tokens_on_both_sides():
    (axes,) = pictures(attention_heads(np.eye(3), list("abc")))
    assert [text.get_text() for text in axes.get_xticklabels()] == list("abc")
    assert axes.get_title() == ""


def test_positions_are_drawn_with_the_cosines_between_them():
    positions = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    values, likeness = pictures(position_map(positions))
    np.testing.assert_array_equal(values.images[0].get_array(), positions)
    assert values.images[0].get_clim() == (-2, 2)
    expected = np.diag([1.0, 1.0, 0.0])
    np.testing.assert_allclose(likeness.images[0].get_array(), expected, atol=1e-6)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \[1, 2, 3, 3\]. Index the layer"):
        attention_heads(np.zeros([1, 2, 3, 3]))
    with pytest.raises(ValueError, match="3 keys need as many labels; got 2"):
        attention_heads(np.zeros([2, 3]), list("ab"), list("ab"))
    with pytest.raises(ValueError, match=r"got \[3\]"):
        position_map(np.zeros(3))
