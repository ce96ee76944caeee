"""Texts of classes: what the readers take and refuse; made reviews need their order."""

import collections

import jax
import numpy as np
import pytest

from jdl.data.labelled_texts import flight_queries, read_text_folders, read_text_table, reviews
from jdl.text import vader


def test_a_table_is_read(tmp_path):
    path = tmp_path / "atis.csv"
    path.write_text(
        'atis_flight, i want to fly\natis_airfare,"how much, please"\natis_flight,a flight\n'
    )
    train = read_text_table(path)
    assert train.names == ("atis_airfare", "atis_flight")
    assert train.labels.tolist() == [1, 0, 1] and train.texts[1] == "how much, please"
    path.write_text("atis_flight\tto boston\n")
    test = read_text_table(path, train.names, delimiter="\t")
    assert test.labels.tolist() == [1]
    with pytest.raises(ValueError, match="row 1: a label, ',' and a text; got 1"):
        read_text_table(path)
    with pytest.raises(ValueError, match=r"labels \['atis_flight'\] that are none of"):
        read_text_table(path, ["other"], delimiter="\t")


def test_folders_are_read_as_aclimdb_has_them(tmp_path):
    for folder, text in (("neg", "bad"), ("pos", "good"), ("unsup", "so so")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0_3.txt").write_text(f"{text} film<br />")
    found = read_text_folders(tmp_path)
    assert found.texts == ("bad film<br />", "good film<br />")
    assert found.labels.tolist() == [0, 1] and found.names == ("neg", "pos")
    (tmp_path / "pos" / "0_3.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"unpack aclImdb_v1.tar.gz"):
        read_text_folders(tmp_path)


def test_queries_have_eight_intents_and_a_third_is_flight():
    made = flight_queries(jax.random.key(0), 2000)
    shares = np.bincount(made.labels, minlength=8) / 2000
    assert len(made.names) == 8
    expected = [4 / 11 if name == "flight" else 1 / 11 for name in made.names]
    np.testing.assert_allclose(shares, expected, atol=0.04)  # six deviations


def test_words_without_order_tell_nothing_of_a_review():
    made = reviews(jax.random.key(0), 4000)
    counts = [collections.Counter(), collections.Counter()]
    for text, label in zip(made.texts, made.labels, strict=True):
        counts[label].update(text.replace(",", "").replace(".", "").split())
    assert counts[0].keys() == counts[1].keys()
    for word, count in counts[0].items():
        other = counts[1][word]
        assert abs(count - other) < 6 * (count + other) ** 0.5, word


def test_negations_turn_a_review():
    # VADER knows "not" and "never"; where a text has no other negation, its rules are right.
    made = reviews(jax.random.key(1), 2000)
    known = [
        (vader(text).compound > 0) == label
        for text, label in zip(made.texts, made.labels, strict=True)
        if not any(word in text for word in ("nobody", "anything", "moving", "clumsy", "silly"))
        and "predictable" not in text
    ]
    assert len(known) > 100 and np.mean(known) > 0.97
