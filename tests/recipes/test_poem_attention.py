"""The attention of sixteen heads: its text, its count, its maps, and gradients by hand."""

import jax
import numpy as np
import pytest

from jdl.recipes import poem_attention


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    poem = tmp_path_factory.mktemp("data") / "poem.txt"
    poem.write_text("The Zen, again:\n\n\n\nnot Now; 3 lines.\n" * 12)
    settings = poem_attention.Settings(data=str(poem), steps=2, written=5)
    return poem_attention.run(settings, jax.random.key(0))


def test_the_model_is_the_book_s_and_its_gradients_are_those_by_hand(report):
    assert report.metrics["params"] == 34_750
    assert report.metrics["gradient_difference"] < 1e-4
    after = [report.metrics[f"test_loss_after_{n}"] for n in range(1, 9)]
    np.testing.assert_allclose(report.metrics["test_loss"], np.mean(after), rtol=1e-3)


def test_sixteen_maps_of_eight_characters_look_back(report):
    images = [a.images[0].get_array() for a in report.figures["heads"].axes if a.images]
    assert len(images) == 16
    for image in images:
        np.testing.assert_allclose(np.triu(image, 1), 0, atol=1e-6)
        np.testing.assert_allclose(image.sum(-1), 1, rtol=1e-4)


def test_a_text_is_brought_to_thirty_characters():
    text = "The Zen, again:\n\n\n\nit's *Now*; 3 lines.\n\tend"
    found = poem_attention.reduced(text, 99)
    assert found == "the zen, again\n\nit s now lines.\nend"
    assert poem_attention.reduced(text, 4) == "the zen, again\n\nit"
    assert len(poem_attention.ALPHABET) == 30 and set(found) <= set(poem_attention.ALPHABET)


def test_maps_are_of_eight_characters_of_the_alphabet():
    with pytest.raises(ValueError, match="shown are 8 characters"):
        poem_attention.run(poem_attention.Settings(shown="Beautiful"), jax.random.key(0))
