"""Texts changed at random so that their meaning mostly stays.

    synonyms         some tokens become a synonym of theirs
    insertions       synonyms of some tokens are put in at random places
    swaps            two tokens change places
    deletions        each token is left out with a probability; one at least stays
    back-translated  there and back by two translators of yours, such as a network's `generate`

Source: Wei, Zou 2019, section 2 (the first four; they change a tenth of the tokens); Sennrich,
Haddow, Birch 2016 (back-translation); 001 and 003 name them. Synonyms are a table of yours, since
WordNet's data must be downloaded.

A text is a sequence of tokens, as `jdl.text` cuts them; the draws are those of a NumPy generator,
`numpy.random.default_rng(0)`, as this is work of the host.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Synonyms = Mapping[str, Sequence[str]]


def with_synonyms(
    tokens: Sequence[str], synonyms: Synonyms, generator: np.random.Generator, *, number: int = 1
) -> list[str]:
    """Replaces tokens by synonyms.

    Args:
        tokens: of a text.
        synonyms: token -> tokens of the same meaning.
        generator: of the choices.
        number: how many are replaced; all that have synonyms, if those are fewer.

    Returns:
        As many tokens.

    Raises:
        ValueError: a negative number.

    Example:
        >>> with_synonyms(["a", "big", "dog"], {"big": ["large"]}, np.random.default_rng(0))
        ['a', 'large', 'dog']
    """
    known = _known(tokens, synonyms, number)
    changed = list(tokens)
    for place in generator.permutation(known)[:number]:
        changed[place] = str(generator.choice(synonyms[tokens[place]]))
    return changed


def with_insertions(
    tokens: Sequence[str], synonyms: Synonyms, generator: np.random.Generator, *, number: int = 1
) -> list[str]:
    """Puts synonyms of random tokens in at random places; nothing, where none has one.

    Args:
        tokens: of a text.
        synonyms: token -> tokens of the same meaning.
        generator: of the choices.
        number: how many are put in.
    """
    known = _known(tokens, synonyms, number)
    changed = list(tokens)
    for _ in range(number if known else 0):
        word = str(generator.choice(synonyms[tokens[generator.choice(known)]]))
        changed.insert(int(generator.integers(len(changed) + 1)), word)
    return changed


def with_swaps(
    tokens: Sequence[str], generator: np.random.Generator, *, number: int = 1
) -> list[str]:
    """Exchanges two random tokens, a number of times."""
    changed = list(tokens)
    for _ in range(number if len(changed) > 1 else 0):
        one, other = generator.choice(len(changed), 2, replace=False)
        changed[one], changed[other] = changed[other], changed[one]
    return changed


def with_deletions(
    tokens: Sequence[str], generator: np.random.Generator, *, probability: float = 0.1
) -> list[str]:
    """Leaves tokens out, each by itself; of a text that would be empty, a random one stays.

    Raises:
        ValueError: a probability outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability is in [0, 1]; got {probability}")
    stays = generator.random(len(tokens)) >= probability
    if len(tokens) and not stays.any():
        stays[generator.integers(len(tokens))] = True
    return [token for token, kept in zip(tokens, stays, strict=True) if kept]


def back_translated(text: str, there: Callable[[str], str], back: Callable[[str], str]) -> str:
    """A text in other words, by way of another language: back(there(text)).

    Args:
        text: in the first language.
        there: translates it; greedy search makes it depend on nothing else, sampling gives more
            ways to say it.
        back: translates it back.
    """
    return back(there(text))


def _known(tokens, synonyms, number):
    if number < 0:
        raise ValueError(f"a number of tokens is not negative; got {number}")
    return [place for place, token in enumerate(tokens) if synonyms.get(token)]
