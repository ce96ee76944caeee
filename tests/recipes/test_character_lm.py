"""The model of characters: held-out text, yardsticks, samples of the vocabulary."""

import lzma

import jax
import numpy as np
import pytest

from jdl.data import python_documentation
from jdl.recipes import character_lm
from tests.recipes.compilation import compiled_fast

SHORT = character_lm.Settings(
    modules="bisect,heapq,queue", hidden_dim=4, batch_size=4, window=4, steps=2, written=5
)


@pytest.fixture(scope="module")
def report():
    with compiled_fast():
        return character_lm.run(SHORT, jax.random.key(0))


def test_the_held_out_module_is_measured_beside_its_yardsticks(report):
    first, held_out, last = python_documentation(["bisect", "heapq", "queue"]).texts
    numbers = report.metrics
    assert numbers["test_characters"] == len(held_out)
    assert numbers["train_characters"] == len(first + last)
    assert numbers["vocabulary"] == len(set(first + last)) + 1
    np.testing.assert_allclose(
        numbers["bits_per_character"], np.log2(numbers["vocabulary"]), rtol=0.1
    )
    sizes = [len(lzma.compress(t.encode())) for t in (first + last, first + last + held_out)]
    assert numbers["bits_of_lzma"] == 8 * (sizes[1] - sizes[0]) / len(held_out)
    assert numbers["bits_without_memory"] < np.log2(numbers["vocabulary"])


def test_samples_of_three_temperatures_are_written(report):
    assert report.text.count("--- temperature") == 3
    held_out = report.figures["learning"].axes[0].lines[-1]
    assert held_out.get_xdata().tolist() == [2]
