"""The model of characters: held-out text, yardsticks, samples of the vocabulary."""

import lzma

import jax
import numpy as np
import pytest

from jdl.data import python_documentation
from jdl.recipes import character_lm
from jdl.text import Vocabulary

SHORT = character_lm.Settings(
    modules="bisect,heapq,queue",
    hidden_dim=4,
    batch_size=4,
    window=4,
    steps=2,
    context=4,
    features=4,
    blocks=1,
    heads=2,
    transformer_steps=2,
    written=5,
)


@pytest.fixture(scope="module")
def report():
    return character_lm.run(SHORT, jax.random.key(0))


def test_the_held_out_module_is_measured_beside_its_yardsticks(report):
    first, held_out, last = python_documentation(["bisect", "heapq", "queue"]).texts
    numbers = report.metrics
    assert numbers["test_characters"] == len(held_out)
    assert numbers["train_characters"] == len(first + last)
    assert numbers["vocabulary"] == len(set(first + last)) + 1
    assert numbers["lstm_params"] == 4 * 4 * (numbers["vocabulary"] + 5) + 5 * numbers["vocabulary"]
    for name in SHORT.networks:
        np.testing.assert_allclose(
            numbers[f"{name}_bits"], np.log2(numbers["vocabulary"]), rtol=0.2
        )
        np.testing.assert_allclose(numbers[f"{name}_perplexity"], 2 ** numbers[f"{name}_bits"])
    sizes = [len(lzma.compress(t.encode())) for t in (first + last, first + last + held_out)]
    assert numbers["bits_of_lzma"] == 8 * (sizes[1] - sizes[0]) / len(held_out)
    assert numbers["bits_without_memory"] < np.log2(numbers["vocabulary"])


def test_a_greedy_sample_and_three_of_temperatures_are_written_by_each(report):
    assert report.text.count("--- lstm, temperature") == 3
    assert report.text.count("--- transformer, greedy\n") == 1
    lines = report.figures["learning"].axes[0].lines
    assert [line.get_xdata().tolist() for line in lines if "held out" in line.get_label()] == [
        [2],
        [2],
    ]


def test_the_book_s_transformer_is_a_matter_of_settings():
    settings = character_lm.Settings(blocks=6, heads=6, features=384, context=256, dropout_rate=0.2)
    vocabulary = Vocabulary.of(list("abcdefghijklmnopqrstuvwxyz .,\n"))
    ids = np.zeros(600, np.int32)
    text = character_lm.Text("", "", ids, ids, vocabulary)
    model = character_lm.transformer(settings, "transformer", text).model
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(variables.params)) == 10_670_622


def test_networks_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="networks are some of"):
        character_lm.run(character_lm.Settings(networks=("elman",)), jax.random.key(0))
