"""The translations: sentences for the test are new, and the report agrees with itself."""

import jax
import pytest

from jdl.recipes import toy_translation

SHORT = toy_translation.Settings(
    train_pairs=20,
    test_pairs=4,
    embedding_dim=2,
    hidden_dim=4,
    steps=1,
    batch_size=4,
    beams=1,
    transformer_steps=1,
    fixed_context=False,
)


@pytest.fixture(scope="module")
def report():
    return toy_translation.run(SHORT, jax.random.key(0))


def test_every_way_of_translating_is_scored(report):
    names = {f"{name}_{x}" for name in ("attention", "transformer") for x in ("exact", "bleu")}
    assert set(report.metrics) == {"test_pairs", *names}
    assert report.metrics["test_pairs"] <= 4
    assert "attention" in report.text


def test_the_map_has_a_row_for_each_written_word(report):
    source, written = (line.split() for line in report.text.splitlines()[-2:])
    image = report.figures["attention"].axes[0].images[0].get_array()
    assert image.shape == (len(written), len(source))
    heads = [axes for axes in report.figures["transformer"].axes if axes.images]
    assert len(heads) == 4


@pytest.mark.slow
def test_attention_finds_what_a_fixed_context_loses():
    settings = toy_translation.Settings(steps=300, test_pairs=100)
    found = toy_translation.run(settings, jax.random.key(0)).metrics
    assert found["attention_exact"] > 0.8
    assert found["transformer_exact"] > 0.9
    assert found["attention_beams_exact"] > 0.8
    assert found["attention_bleu"] > found["reversed_bleu"] > found["forward_bleu"]


def test_scores_are_of_whole_sentences():
    truth = [("die", "katze", "sieht", "das", "kind", "."), ("ein", "hund", ".")]
    found = [truth[0], ("ein", "kind", ".")]
    assert toy_translation.scores("x", truth, truth) == {"x_exact": 1.0, "x_bleu": 100.0}
    assert toy_translation.scores("x", found, truth)["x_exact"] == 0.5
