"""Intents: files and made questions, and weights that come from a folder."""

import dataclasses

import jax
import numpy as np
import pytest

from jdl.data.labelled_texts import flight_queries
from jdl.models.pretrained import export
from jdl.models.pretrained.maps.bert import BERT_HF
from jdl.recipes import intents

SHORT = intents.Settings(
    made_train=32, made_test=40, pieces=60, features=4, layers=1, epochs=2, length=12
)


@pytest.fixture(scope="module")
def report():
    return intents.run(SHORT, jax.random.key(0))


def test_the_report_agrees_with_its_table(report):
    lines = report.text.splitlines()
    assert lines[2].split()[0] == "2"
    assert float(lines[2].split()[-1]) == pytest.approx(report.metrics["test_accuracy"], abs=1e-4)
    assert len(report.figures["confusion"].axes[0].get_xticks()) == 8


def test_no_made_question_is_tested_that_was_trained_on():
    train, test = intents.texts_of(intents.Settings(made_train=300, made_test=300))
    assert not set(train.texts) & set(test.texts)
    assert len(train.texts) == len(train.labels) == 300


def test_weights_and_pieces_of_a_folder_are_where_it_starts(tmp_path):
    train = flight_queries(jax.random.key(0), 50)
    _, variables, vocabulary = intents.network(SHORT, train, jax.random.key(1))
    export(variables, BERT_HF, tmp_path / "model.safetensors")
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary.tokens) + "\n")
    settings = dataclasses.replace(SHORT, checkpoint=str(tmp_path))
    _, found, read = intents.network(settings, train, jax.random.key(2))
    assert read.tokens == vocabulary.tokens
    for name in ("tokens", "pooler", "blocks"):
        jax.tree.map(np.testing.assert_array_equal, found.params[name], variables.params[name])
    heads = (x.params["head"]["classifier"]["kernel"] for x in (found, variables))
    assert abs(np.subtract(*heads)).max() > 0  # the head is fresh


def test_sizes_are_named():
    with pytest.raises(ValueError, match="bert-base-uncased"):
        settings = dataclasses.replace(SHORT, size="roberta-base")
        intents.network(settings, flight_queries(jax.random.key(0), 5), jax.random.key(0))
