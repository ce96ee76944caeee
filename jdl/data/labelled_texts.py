"""Texts of classes: files of real sets, and small grammars where those are not at hand.

| function | what |
|---|---|
| `read_text_table` | a file of rows (label, text), as the sets of ATIS's intents are |
| `read_text_folders` | a folder for each class, a file for each text, as IMDB's reviews are |
| `flight_queries` | made: questions of a flight's passenger, of eight intents |
| `reviews` | made: reviews of films, whose words do not tell the class without their order |

The made ones are no stand-in for the real ones: their numbers say what a model can learn, not how
it would do on what people write.
"""

import csv
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Key


class LabelledTexts(NamedTuple):
    """Texts of classes.

    Attributes:
        texts: N strings.
        labels: [N] int32, an index into `names`.
        names: of the classes.
    """

    texts: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]


def read_text_table(
    path: str | os.PathLike, names: Sequence[str] | None = None, *, delimiter: str = ","
) -> LabelledTexts:
    """Reads rows of a label and a text, without a heading.

    Args:
        path: of the file, in UTF-8.
        names: of the classes, as those of a training file; None takes the file's, sorted.
        delimiter: between the two, such as a tabulator; quotes hold a text that has one.

    Returns:
        The texts in the order of the file.

    Raises:
        ValueError: no rows, a row of other columns than two, or a label that `names` lacks; says
            which row.
    """
    rows = []
    with open(path, encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter=delimiter), 1):
            if len(row) != 2:
                raise ValueError(
                    f"{path}, row {number}: a label, {delimiter!r} and a text; got {len(row)} "
                    "columns. Another delimiter?"
                )
            rows.append([cell.strip() for cell in row])
    if not rows:
        raise ValueError(f"{path} has no rows")
    found, texts = zip(*rows, strict=True)
    names = tuple(sorted(set(found))) if names is None else tuple(names)
    strange = sorted(set(found) - set(names))
    if strange:
        raise ValueError(f"{path} has labels {strange} that are none of {list(names)}")
    return LabelledTexts(texts, np.array([names.index(name) for name in found], np.int32), names)


def read_text_folders(
    folder: str | os.PathLike, names: Sequence[str] = ("neg", "pos"), *, limit: int | None = None
) -> LabelledTexts:
    """Reads the texts of folders, one for each class: `aclImdb/train` has "neg" and "pos".

    Args:
        folder: that holds the folders.
        names: of these, which are the classes; others are left alone.
        limit: the most texts of a class, the first ones by name; None for all.

    Returns:
        The texts of one class after the other, in the order of the names of their files.

    Raises:
        FileNotFoundError: a class has no folder, or no file there.

    Source of the layout: Maas and others 2011, the "Large Movie Review Dataset".
    """
    texts, labels = [], []
    for label, name in enumerate(names):
        paths = sorted(pathlib.Path(folder, name).glob("*.txt"))[:limit]
        if not paths:
            raise FileNotFoundError(
                f"{pathlib.Path(folder, name)} has no texts (*.txt); unpack aclImdb_v1.tar.gz, and "
                "give its folder aclImdb/train or aclImdb/test"
            )
        texts += [path.read_text(encoding="utf-8") for path in paths]
        labels += [label] * len(paths)
    return LabelledTexts(tuple(texts), np.array(labels, np.int32), tuple(names))


def flight_queries(key: Key, examples: int) -> LabelledTexts:
    """Draws questions of a small grammar with the eight intents of ATIS's usual excerpt.

    The intents overlap in their words: a time, a price or an aircraft can be what is asked for, or
    what describes a flight. Made; a third of the questions is "flight", the rest even.

    Args:
        key: of the draws.
        examples: N.

    Returns:
        The questions, the same for a key everywhere.

    Example:
        >>> queries = flight_queries(jax.random.key(0), 3)
        >>> len(queries.texts), len(queries.names)
        (3, 8)
    """
    draw = _Draws(key, examples)
    names = tuple(sorted(QUESTIONS))
    odds = [*names, *["flight"] * 3]
    labels = [names.index(draw.one_of(odds)) for _ in range(examples)]
    texts = tuple(draw.filled(draw.one_of(QUESTIONS[names[i]])) for i in labels)
    return LabelledTexts(texts, np.array(labels, np.int32), names)


def reviews(key: Key, examples: int) -> LabelledTexts:
    """Draws reviews of films that no bag of words can tell apart.

    A review has two or four clauses that agree. Half of them praise with a good word (or blame with
    a bad one), the others negate a bad one (or a good one): positive and negative reviews have the
    same words at the same odds, and only what is negated differs.

    Args:
        key: of the draws.
        examples: N.

    Returns:
        The reviews, negative ones (0) and positive ones (1) at even odds.

    Example:
        >>> reviews(jax.random.key(0), 2).names
        ('negative', 'positive')
    """
    draw = _Draws(key, examples)
    labels = [draw.below(2) for _ in range(examples)]
    texts = []
    for label in labels:
        pairs = 1 + draw.below(2)
        negated = draw.shuffled([False, True] * pairs)
        clauses = []
        for turned in negated:
            frame = draw.one_of(NEGATED if turned else PLAIN)
            clauses.append(
                draw.filled(frame.replace("ADJECTIVE", "GOOD" if label != turned else "BAD"))
            )
        texts.append(
            " ".join(
                f"{clause}{mark}" for clause, mark in zip(clauses, [",", "."] * pairs, strict=True)
            )
        )
    return LabelledTexts(tuple(texts), np.array(labels, np.int32), ("negative", "positive"))


class _Draws:
    """Choices from one array of uniform numbers, which is faster than a key for each."""

    def __init__(self, key, examples):
        self.shares = np.asarray(jax.random.uniform(key, [64 * examples + 64])).tolist()

    def below(self, number):
        return min(int(self.shares.pop() * number), number - 1)

    def one_of(self, options):
        return options[self.below(len(options))]

    def shuffled(self, items):
        return [items.pop(self.below(len(items))) for _ in range(len(items))]

    def filled(self, frame):
        """The frame with a word for each of its places, in capitals."""
        return " ".join(
            self.one_of(WORDS[word]) if word in WORDS else word for word in frame.split()
        )


WORDS = {
    "CITY": "boston denver atlanta dallas oakland pittsburgh baltimore philadelphia".split(),
    "DAY": ["on monday", "on tuesday", "on friday", "this sunday", "tomorrow", "next weekend"],
    "TIME": ["before noon", "after six pm", "in the morning", "around nine am", "late at night"],
    "AIRLINE": ["united", "delta", "american airlines", "continental", "us air"],
    "PLANE": ["a boeing 747", "a jet", "a boeing 767", "a propeller plane"],
    "CODE": ["ap57", "ff", "ewr", "qx", "yn", "ord", "q", "d/s"],
    "CLASS": ["first class", "economy", "coach", "business class"],
    "SHOW": ["show me", "list", "i would like", "please give me", "tell me about", "find me"],
    "WHICH": ["what", "which"],
    "NOUN": "the plot|the music|the acting|the ending|the script|every scene|the camera".split("|"),
    "DEGREE": "really very quite especially".split(),
    "GOOD": "good funny moving clever brilliant charming convincing exciting".split(),
    "BAD": "bad dull boring stupid awful predictable clumsy silly".split(),
}

PLAIN = (
    "NOUN was DEGREE ADJECTIVE",
    "i found NOUN DEGREE ADJECTIVE",
    "everybody would call NOUN ADJECTIVE",
    "NOUN seemed ADJECTIVE to me",
)
NEGATED = (
    "NOUN was not DEGREE ADJECTIVE",
    "i found NOUN anything but ADJECTIVE",
    "nobody would call NOUN DEGREE ADJECTIVE",
    "NOUN never seemed ADJECTIVE to me",
)

QUESTIONS = {
    "abbreviation": (
        "what does CODE mean",
        "what is fare code CODE",
        "explain the abbreviation CODE on my ticket to CITY",
        "what is the meaning of CODE on AIRLINE",
    ),
    "aircraft": (
        "WHICH kind of aircraft does AIRLINE use from CITY to CITY",
        "what type of plane is the AIRLINE flight to CITY TIME",
        "SHOW the aircraft that fly between CITY and CITY",
        "is PLANE used on the flight from CITY to CITY",
    ),
    "airfare": (
        "how much is the cheapest flight from CITY to CITY",
        "SHOW the fares of AIRLINE from CITY to CITY DAY",
        "what does a CLASS ticket to CITY cost TIME",
        "how much does AIRLINE charge to fly to CITY in CLASS",
    ),
    "airline": (
        "WHICH airlines fly from CITY to CITY",
        "SHOW the airlines that have a flight to CITY TIME",
        "which airline uses PLANE to CITY",
        "who flies from CITY to CITY DAY",
    ),
    "flight": (
        "SHOW flights from CITY to CITY DAY",
        "SHOW the cheapest flight to CITY TIME",
        "WHICH flights of AIRLINE go from CITY to CITY TIME",
        "i want to fly from CITY to CITY in CLASS",
        "is there a flight with PLANE from CITY to CITY DAY",
        "does AIRLINE fly to CITY TIME",
    ),
    "flight_time": (
        "how long is the flight from CITY to CITY",
        "what time does the AIRLINE flight to CITY leave DAY",
        "when does the first flight from CITY land in CITY",
        "SHOW the departure times from CITY to CITY TIME",
    ),
    "ground_service": (
        "how do i get from the airport to downtown CITY",
        "SHOW ground transportation in CITY",
        "is there a limousine or a taxi in CITY DAY",
        "how much is a rental car in CITY",
    ),
    "quantity": (
        "how many flights does AIRLINE have to CITY DAY",
        "how many cities does AIRLINE serve with PLANE",
        "how many CLASS seats are there on the flight to CITY",
        "what is the number of flights from CITY to CITY TIME",
    ),
}
