"""What the pictures show equals what they were given."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from jdl.plot.canvas import COLOURS
from jdl.plot.classification import confusion_heatmap, decision_regions

COUNTS = np.array([[8, 2, 0], [0, 5, 0], [1, 0, 4]])


def test_heatmap_writes_the_counts_with_true_classes_down():
    axes = confusion_heatmap(COUNTS, ["ant", "bee", "cat"]).axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    # Positions are (predicted, true); empty cells stay empty.
    assert written == {(0, 0): "8", (1, 0): "2", (1, 1): "5", (0, 2): "1", (2, 2): "4"}
    assert axes.get_ylabel() == "true class" and axes.get_xlabel() == "predicted class"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ant", "bee", "cat"]
    np.testing.assert_allclose(axes.images[0].get_array() ** 2, COUNTS / COUNTS.sum(1)[:, None])
    assert "85.00% of 20 right" in axes.get_title()


def test_regions_have_the_colour_of_the_likeliest_class():
    def probabilities(x):
        left = (x[:, 0] < 0).astype(float)
        return np.stack([left, 1 - left], -1)

    inputs = np.array([[-1.0, 0.0], [1.0, 0.0], [-1.0, 1.0]])
    figure = decision_regions(probabilities, inputs, np.array([0, 1, 0]), ["left", "right"])
    image = figure.axes[0].images[0].get_array()
    for shown, colour in [(image[100, 0], COLOURS[0]), (image[100, -1], COLOURS[1])]:
        # Where the class is certain; a point on the border is white.
        np.testing.assert_allclose(shown, 1 - 0.45 * (1 - np.array(to_rgb(colour))))
    halves = decision_regions(
        lambda x: np.full([len(x), 2], 0.5), inputs, np.array([0, 1, 0]), ["a", "b"]
    )
    assert (halves.axes[0].images[0].get_array() == 1).all()
    left, right = figure.axes[0].collections[-2:]
    assert len({path.get_facecolor().tobytes() for path in (left, right)}) == 2


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"2 names need counts \[2, 2\]; got \[3, 3\]"):
        confusion_heatmap(COUNTS, ["ant", "bee"])
    with pytest.raises(ValueError, match=r"got \[4, 3\]"):
        decision_regions(lambda x: x, jnp.zeros([4, 3]), jnp.zeros(4), ["a", "b"])
