"""Ways of writing: those that are one another's limits agree, and the measures are right."""

import dataclasses

import jax
import numpy as np
import pytest

from jdl.recipes import decoding

SHORT = decoding.Settings(
    modules="bisect,heapq,queue",
    context=16,
    features=8,
    blocks=1,
    heads=2,
    steps=2,
    batch_size=4,
    prompts=2,
    prompt_length=4,
    written=12,
    beams=1,
    tau=1e-4,
    k=1,
    p=1e-4,
    line_searches=False,
)


@pytest.fixture(scope="module")
def report():
    return decoding.run(SHORT, jax.random.key(0))


def test_cold_draws_one_token_and_one_beam_are_greedy(report):
    names = ("greedy", "temperature_0.0001", "top-1", "nucleus_0.0001", "beam_1")
    for measure in ("log_likelihood", "distinct_4", "repeated"):
        found = [report.metrics[f"{name}_{measure}"] for name in names]
        np.testing.assert_allclose(found, found[0], rtol=1e-5)
    drawn = report.metrics["temperature_1_log_likelihood"]
    assert drawn < report.metrics["greedy_log_likelihood"]


def test_continuations_stand_behind_a_prompt_of_the_held_out_module(report):
    text = report.text.split("the text itself:\n")[1]
    assert len(text.replace("<unk>", "?")) == SHORT.prompt_length + SHORT.written


def test_measures_are_of_runs_and_of_inner_words():
    found = decoding.measures(["ab one two abababababab", "x the y"], {"one", "the"})
    assert found["words"] == 2 / 3
    assert decoding.measures(["abcabcabcabc"], set())["repeated"] == 1 - 3 / 5


@pytest.mark.slow
def test_searches_find_more_likely_texts_that_repeat_themselves():
    settings = dataclasses.replace(decoding.Settings(), steps=300, prompts=12, written=60)
    found = decoding.run(settings, jax.random.key(0)).metrics
    assert found["beam_4_log_likelihood"] > found["temperature_1_log_likelihood"] + 0.5
    assert found["beam_4_distinct_4"] < found["temperature_1_distinct_4"]
    assert found["line_kept_total_length"] < found["line_kept_mean_length"]
