import ast
import contextlib
import inspect
import io
import runpy

import jax
import pytest

from jdl.data.texts import (
    grammar_words,
    python_documentation,
    toy_translation,
    translated,
    zen_of_python,
)


def test_the_poem_is_what_this_prints():
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_module("this")
    assert zen_of_python() == printed.getvalue() and len(zen_of_python()) == 857


def test_docstrings_are_those_of_the_source_in_order():
    import heapq

    documents = python_documentation(["heapq", "bisect"])
    assert documents.names == ("bisect", "heapq")
    text = documents.texts[1]
    assert text.startswith(inspect.cleandoc(heapq.__doc__).rstrip())
    found = [text.index(inspect.getdoc(f)) for f in (heapq.merge, heapq.nsmallest)]
    assert found == sorted(found)
    count = sum(
        isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None
        for node in ast.walk(ast.parse(inspect.getsource(heapq)))
    )
    assert count > 5 and python_documentation(["heapq", "bisect"]) == documents


@pytest.mark.slow
def test_all_of_the_library_is_half_a_million_characters_of_prose():
    documents = python_documentation()
    assert sum(map(len, documents.texts)) > 500_000
    assert list(documents.names) == sorted(documents.names) and len(documents.names) > 100
    assert not any(name.startswith("_") for name in documents.names)


@pytest.mark.parametrize("name", ["sys", "email", "numpy", "_py_abc"])
def test_modules_without_a_file_of_the_library_are_refused(name):
    with pytest.raises(ValueError, match="no files of the modules"):
        python_documentation([name])


@pytest.mark.parametrize(
    "english, german",
    [
        ("the dog sees the cat .", "der hund sieht die katze ."),
        ("the cat sees the dog .", "die katze sieht den hund ."),
        ("a bird finds a bird .", "ein vogel findet einen vogel ."),
        ("today a cow likes the child .", "heute mag eine kuh das kind ."),
        ("the man must hear a horse .", "der mann muss ein pferd h\u00f6ren ."),
        ("often the man wants to feed a cow .", "oft will der mann eine kuh f\u00fcttern ."),
        (
            "the cat seeks the dog because it likes the man .",
            "die katze sucht den hund weil sie den mann mag .",
        ),
        (
            "tomorrow the dog can see a bird because the woman feeds the child .",
            "morgen kann der hund einen vogel sehen weil die frau das kind f\u00fcttert .",
        ),
    ],
)
def test_translations_made_by_hand(english, german):
    assert " ".join(translated(english.split())) == german


def test_draws_are_of_the_grammar_and_use_all_of_its_words():
    pairs = toy_translation(jax.random.key(0), 400)
    assert pairs.targets == tuple(map(translated, pairs.sources))
    for sentences, words in zip(pairs, grammar_words(), strict=True):
        assert {word for sentence in sentences for word in sentence} == set(words)
    clauses = sum("because" in sentence for sentence in pairs.sources) / 400
    assert clauses == pytest.approx(2 / 3, abs=0.08)


def test_a_key_draws_the_same_and_another_others():
    one, same, other = (toy_translation(jax.random.key(i), 400) for i in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "the dog",
        "the dog sees the cat",
        "the dog sees the cat . .",
        "the dog see the cat .",
        "the dog wants see the cat .",
        "the dog sees the moon .",
        "the man sees the cat because it likes the dog .",
    ],
)
def test_other_sentences_are_refused(sentence):
    with pytest.raises(ValueError, match="no sentence of the grammar"):
        translated(sentence.split())
