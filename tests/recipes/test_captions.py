"""Captions: sentences of new pairs are not trained on; each word has its look at the picture."""

import itertools

import jax
import numpy as np
import pytest

from jdl.data.shapes import COLOURS, RELATIONS, SHAPES, captioned_shapes
from jdl.recipes import captions

SHORT = captions.Settings(
    train_pictures=40,
    test_pictures=40,
    patch_size=8,
    features=4,
    blocks=1,
    steps=1,
    batch_size=4,
    beams=1,
)


@pytest.fixture(scope="module")
def report():
    return captions.run(SHORT, jax.random.key(0))


def test_new_sentences_are_not_trained_on(report):
    made = captioned_shapes(jax.random.key(0), 80).captions
    new = [captions.is_kept_out(caption) for caption in made]
    assert report.metrics["train_pictures"] == 40 - sum(new[:40])
    assert report.metrics["new_pictures"] == sum(new[40:]) > 0


def test_a_tenth_of_all_sentences_is_new_and_all_words_are_trained():
    things = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]
    pairs = itertools.product(things, RELATIONS, things)
    made = {" ".join(parts) for parts in pairs}
    new = {caption for caption in made if captions.is_kept_out(caption)}
    assert len(made) == 512 and 0.06 < len(new) / 512 < 0.14
    words = {word for caption in made - new for word in caption.split()}
    assert words == set(captions.words().tokens) - {"<pad>", "<sos>", "<eos>"}


def test_the_sentence_tells_the_picture():
    made = captioned_shapes(jax.random.key(2), 50)
    for image, caption in zip(made.images, made.captions, strict=True):
        relation = next(name for name in RELATIONS if name in caption)
        first, second = (part.split()[1] for part in caption.split(f" {relation} "))
        seen = [np.abs(image - np.array(COLOURS[x])).max(-1) < 0.2 for x in (first, second)]
        if first != second:
            apart = np.argwhere(seen[1]).mean(0) - np.argwhere(seen[0]).mean(0)
            down, right = apart
            assert right > abs(down) if relation == "left of" else down > abs(right), caption


def test_every_word_has_a_picture_of_where_it_looks(report):
    titles = [axes.get_title() for axes in report.figures["attention"].axes]
    assert titles[0] == "picture"
    images = [
        axes.images[0].get_array() for axes in report.figures["attention"].axes if axes.images
    ]
    assert all(image.shape == (16, 16, 3) for image in images) and images[0].max() > 0.9
