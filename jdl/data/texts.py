"""Texts that are there without a network: Python's own, and translations by a small grammar.

| function | what |
|---|---|
| `zen_of_python` | a poem of 857 characters, for models of characters |
| `python_documentation` | the docstrings of the standard library, about 0.8 million characters |
| `toy_translation` | English and German sentences of a grammar, each with its one translation |

The grammar needs what makes translation hard for a model of fixed alignments: the German verb
stands second, also behind an adverb of time; an infinitive goes to the end, and so does the verb of
a clause with "weil"; articles and pronouns agree with their noun in gender, and articles in case.

    tomorrow the dog wants to see a bird because it likes the man .
    morgen will der hund einen vogel sehen weil er den mann mag .
"""

import ast
import codecs
import itertools
import pathlib
import sys
import sysconfig
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Key


class Documents(NamedTuple):
    """Texts with names.

    Attributes:
        names: of the texts.
        texts: as many strings.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]


class Pairs(NamedTuple):
    """Sentences and their translations, as words with a full stop at the end.

    Attributes:
        sources: N sentences, English.
        targets: N sentences, German.
    """

    sources: tuple[tuple[str, ...], ...]
    targets: tuple[tuple[str, ...], ...]


# noun: (its German, gender)
NOUNS = {
    "dog": ("hund", "m"),
    "cat": ("katze", "f"),
    "child": ("kind", "n"),
    "man": ("mann", "m"),
    "woman": ("frau", "f"),
    "horse": ("pferd", "n"),
    "bird": ("vogel", "m"),
    "cow": ("kuh", "f"),
}
# infinitive: (third person, German infinitive, German third person)
VERBS = {
    "see": ("sees", "sehen", "sieht"),
    "hear": ("hears", "h\u00f6ren", "h\u00f6rt"),
    "find": ("finds", "finden", "findet"),
    "like": ("likes", "m\u00f6gen", "mag"),
    "seek": ("seeks", "suchen", "sucht"),
    "feed": ("feeds", "f\u00fcttern", "f\u00fcttert"),
}
TIMES = {"today": "heute", "tomorrow": "morgen", "often": "oft"}
MODALS = {("wants", "to"): "will", ("must",): "muss", ("can",): "kann"}
# (article, gender, whether it is the object)
ARTICLES = {
    ("the", "m", False): "der",
    ("the", "m", True): "den",
    ("the", "f", False): "die",
    ("the", "f", True): "die",
    ("the", "n", False): "das",
    ("the", "n", True): "das",
    ("a", "m", False): "ein",
    ("a", "m", True): "einen",
    ("a", "f", False): "eine",
    ("a", "f", True): "eine",
    ("a", "n", False): "ein",
    ("a", "n", True): "ein",
}
PRONOUNS = {noun: {"man": "he", "woman": "she"}.get(noun, "it") for noun in NOUNS}
GERMAN_PRONOUNS = {"m": "er", "f": "sie", "n": "es"}
THIRD = {third: verb for verb, (third, _, _) in VERBS.items()}

# Choices of: a time or none; article, noun, a modal or none, verb, article, noun; no clause, one of
# a pronoun or one of a noun: its article, noun, verb, article, noun.
SLOTS = 4, 2, 8, 4, 6, 2, 8, 3, 2, 8, 6, 2, 8


def zen_of_python() -> str:
    """The poem of `import this`, by Tim Peters, which is not printed here.

    Returns:
        The poem, with a new line at the end; the same in every Python.

    Example:
        >>> zen_of_python().splitlines()[2]
        'Beautiful is better than ugly.'
    """
    tree = ast.parse(_library().joinpath("this.py").read_text(encoding="utf-8"))
    return codecs.decode(ast.literal_eval(tree.body[0].value), "rot13") + "\n"


def python_documentation(modules: Sequence[str] | None = None) -> Documents:
    """The docstrings of the standard library: English prose with code in it.

    The files are read, not imported. The text depends on the version of Python, down to the micro
    version: note `platform.python_version()` beside a number that was measured on it.

    Args:
        modules: names of modules that are a file, such as "argparse"; None for all of them.

    Returns:
        A text for each module that has docstrings, sorted by name; docstrings are parted by an
        empty line, in the order of the source.

    Raises:
        ValueError: a name that is no module of the standard library in a file of its own.

    Example:
        >>> documents = python_documentation(["bisect", "heapq"])
        >>> documents.texts[0].split(chr(10))[0]
        'Bisection algorithms.'
    """
    files = {
        path.stem: path
        for path in _library().glob("*.py")
        if path.stem in sys.stdlib_module_names and not path.stem.startswith("_")
    }
    missing = sorted(set(modules or ()) - files.keys())
    if missing:
        raise ValueError(f"the standard library has no files of the modules {missing}")
    found = {}
    for name in sorted(files if modules is None else set(modules)):
        tree = ast.parse(files[name].read_bytes())
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
        nodes.sort(key=lambda node: getattr(node, "lineno", 0))
        docstrings = [text for text in map(ast.get_docstring, nodes) if text]
        if docstrings:
            found[name] = "\n\n".join(docstrings) + "\n"
    return Documents(tuple(found), tuple(found.values()))


def toy_translation(key: Key, examples: int) -> Pairs:
    """Draws sentences of the grammar, each part at even odds, and translates them.

    There are 40 million sentences; 24,576 of them have no clause, and a third of the draws are of
    those.

    Args:
        key: of the draws.
        examples: N.

    Returns:
        Pairs, the same for a key everywhere.

    Example:
        >>> pairs = toy_translation(jax.random.key(0), 2)
        >>> pairs.targets == tuple(map(translated, pairs.sources))
        True
    """
    shares = np.asarray(jax.random.uniform(key, [examples, len(SLOTS)]))
    choices = (shares * np.array(SLOTS, np.float32)[None]).astype(int)
    sources = tuple(map(_english, choices.tolist()))
    return Pairs(sources, tuple(map(translated, sources)))


def translated(sentence: Sequence[str]) -> tuple[str, ...]:
    """The German of an English sentence of the grammar: the truth for sentences not drawn yet.

    Args:
        sentence: words in lower case and the full stop.

    Returns:
        The German words and the full stop.

    Raises:
        ValueError: the grammar has no such sentence.

    Example:
        >>> " ".join(translated("today the cat can see a horse .".split()))
        'heute kann die katze ein pferd sehen .'
    """
    try:
        return _translated(list(sentence))
    except (KeyError, IndexError) as error:
        text = " ".join(sentence)
        raise ValueError(f"{text!r} is no sentence of the grammar: at {error}") from error


def grammar_words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All English and all German words that `toy_translation` uses, sorted, with the full stop."""
    english = {*NOUNS, *VERBS, *THIRD, *TIMES, *itertools.chain(*MODALS), *PRONOUNS.values()}
    german = {noun for noun, _ in NOUNS.values()} | {*TIMES.values(), *MODALS.values()}
    german |= {form for _, *forms in VERBS.values() for form in forms} | {*ARTICLES.values()}
    german |= {*GERMAN_PRONOUNS.values(), "weil", "."}
    return tuple(sorted(english | {"the", "a", "because", "."})), tuple(sorted(german))


def _english(choices):
    nouns, verbs, articles = list(NOUNS), list(VERBS), ("the", "a")
    time, *main, clause, article, noun, verb, article_2, noun_2 = choices
    subject, modal = main[:2], main[2]
    words = [[], *([word] for word in TIMES)][time]
    words += [articles[subject[0]], nouns[subject[1]]]
    infinitive = verbs[main[3]]
    third = VERBS[infinitive][0]
    words += [[third], *([*modal, infinitive] for modal in MODALS)][modal]
    words += [articles[main[4]], nouns[main[5]]]
    if clause:
        pronoun = [PRONOUNS[nouns[subject[1]]]]
        words += ["because", *(pronoun if clause == 1 else [articles[article], nouns[noun]])]
        words += [VERBS[verbs[verb]][0], articles[article_2], nouns[noun_2]]
    return (*words, ".")


def _translated(rest):
    time = [TIMES[rest.pop(0)]] if rest[0] in TIMES else []
    gender, noun = NOUNS[rest[1]][1], rest[1]
    subject = _phrase(rest)
    if rest[0] in THIRD:
        finite, infinitive = VERBS[THIRD[rest.pop(0)]][2], []
    else:
        modal = next(words for words in [*MODALS, (rest[0],)] if tuple(rest[: len(words)]) == words)
        del rest[: len(modal)]
        finite, infinitive = MODALS[modal], [VERBS[rest.pop(0)][1]]
    main = [*time, finite, *subject] if time else [*subject, finite]
    main += [*_phrase(rest, is_object=True), *infinitive]
    if rest[0] == "because":
        rest.pop(0)
        if rest[0] == PRONOUNS[noun]:
            rest.pop(0)
            subject = [GERMAN_PRONOUNS[gender]]
        else:
            subject = _phrase(rest)
        finite = VERBS[THIRD[rest.pop(0)]][2]
        main += ["weil", *subject, *_phrase(rest, is_object=True), finite]
    if rest != ["."]:
        raise KeyError(rest[0])
    return (*main, ".")


def _phrase(rest, is_object=False):
    """An article and a noun, taken from the front."""
    article, (noun, gender) = rest.pop(0), NOUNS[rest.pop(0)]
    return [ARTICLES[article, gender, is_object], noun]


def _library():
    return pathlib.Path(sysconfig.get_path("stdlib"))
