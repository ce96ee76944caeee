"""Sentiment: parts without a common text, what preprocessing loses, and what BERT takes over."""

import dataclasses

import jax
import numpy as np
import pytest

from jdl.recipes import sentiment

SHORT = sentiment.Settings(
    train_texts=40,
    other_texts=10,
    test_texts=20,
    length=12,
    embedding_dim=3,
    hidden_dim=4,
    epochs=1,
    batch_size=18,
    pieces=60,
    features=4,
    layers=1,
    reading_steps=2,
    tuning_epochs=1,
    rates="1e-3",
    batches="18",
)


@pytest.fixture(scope="module")
def parts():
    return sentiment.parts_of(SHORT)


def test_a_tenth_is_for_choosing(parts):
    assert [len(x.texts) for x in parts.labelled] == [36, 4, 20] and len(parts.others) == 10
    assert not set(parts.train.texts) & set(parts.validation.texts)


def test_the_files_of_imdb_are_read(tmp_path):
    for part in ("train", "test"):
        for name in ("neg", "pos"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(11):
                (tmp_path / part / name / f"{i}_1.txt").write_text(f"{part} {name} {i}")
    settings = dataclasses.replace(SHORT, folder=str(tmp_path), limit=10)
    parts = sentiment.parts_of(settings)
    assert [len(x.texts) for x in parts.labelled] == [18, 2, 20] and parts.others == ()
    for part in parts.labelled:
        told = [
            part.names[label] in text for text, label in zip(part.texts, part.labels, strict=True)
        ]
        assert all(told)


def test_stop_words_take_the_negations_away():
    one, other = "the plot was not very good", "the plot was very good"
    assert sentiment.preprocessed(one) == sentiment.preprocessed(other) == ["plot", "good"]
    assert sentiment.preprocessed("<b>Moving</b> scenes") == ["move", "scene"]


def test_bert_begins_where_it_stopped_reading(monkeypatch, parts):
    vocabulary = sentiment.train_word_pieces(parts.train.texts, SHORT.pieces)
    monkeypatch.setattr(sentiment, "classified", lambda model, start, *rest: start)
    arguments = vocabulary, [(None, np.zeros(36))] * 3, 1e-3, 18, SHORT, jax.random.key(1)
    rows = sentiment.piece_rows(vocabulary, parts.train.texts, SHORT.length)
    read, losses = sentiment.reading(vocabulary, rows, SHORT, jax.random.key(0))
    start = sentiment.tuned(read, *arguments).params
    fresh = sentiment.tuned(None, *arguments).params
    assert losses.shape == (2,) and losses[0] == pytest.approx(np.log(len(vocabulary.tokens)), 0.1)
    for name in ("tokens", "positions", "blocks"):
        jax.tree.map(np.testing.assert_array_equal, start[name], read[name])
    assert abs(start["tokens"]["embedding"] - fresh["tokens"]["embedding"]).max() > 0
    jax.tree.map(np.testing.assert_array_equal, start["head"], fresh["head"])


@pytest.mark.slow
def test_order_tells_what_words_do_not():
    settings = sentiment.Settings(reading_steps=2, tuning_epochs=1, rates="1e-3", batches="64")
    found = sentiment.run(settings, jax.random.key(0)).metrics
    assert found["accuracy_gru"] > 0.9
    assert max(found["accuracy_bag_of_words"], found["accuracy_gru_preprocessed"]) < 0.6
    assert 0.6 < found["accuracy_vader"] < 0.9
