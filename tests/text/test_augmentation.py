"""What a change of a text leaves, how often it happens, and what it cannot do."""

from collections import Counter

import numpy as np
import pytest

from jdl.text import augmentation

TEXT = "the big dog sees a small cat".split()
SYNONYMS = {"big": ["large", "great"], "small": ["little"], "unused": ["other"]}


def generator():
    return np.random.default_rng(0)


def test_synonyms_stand_where_their_words_stood_and_all_are_taken_alike():
    random, seen = generator(), Counter()
    for _ in range(2000):
        changed = augmentation.with_synonyms(TEXT, SYNONYMS, random)
        places = [i for i, (new, old) in enumerate(zip(changed, TEXT, strict=True)) if new != old]
        assert len(places) == 1 and changed[places[0]] in SYNONYMS[TEXT[places[0]]]
        seen[changed[places[0]]] += 1
    for word, chance in [("large", 0.25), ("great", 0.25), ("little", 0.5)]:
        assert abs(seen[word] / 2000 - chance) < 4.5 * (chance * (1 - chance) / 2000) ** 0.5
    every = augmentation.with_synonyms(TEXT, SYNONYMS, random, number=9)
    assert sum(new != old for new, old in zip(every, TEXT, strict=True)) == 2


def test_insertions_leave_the_text_in_order_and_add_synonyms_of_it():
    changed = augmentation.with_insertions(TEXT, SYNONYMS, generator(), number=3)
    rest = [word for word in changed if word not in ("large", "great", "little")]
    assert rest == TEXT and len(changed) == len(TEXT) + 3
    assert augmentation.with_insertions(["x"], SYNONYMS, generator(), number=3) == ["x"]


def test_a_swap_changes_two_places_and_no_word():
    changed = augmentation.with_swaps(TEXT, generator())
    assert sum(new != old for new, old in zip(changed, TEXT, strict=True)) == 2
    assert Counter(changed) == Counter(TEXT)
    assert augmentation.with_swaps(["x"], generator(), number=5) == ["x"]


def test_deletions_keep_each_word_with_its_probability_and_one_at_least():
    random = generator()
    lengths = [len(augmentation.with_deletions(TEXT, random, probability=0.3)) for _ in range(2000)]
    assert abs(np.mean(lengths) - 4.9) < 4.5 * (7 * 0.21 / 2000) ** 0.5 + 0.3**7
    assert {len(augmentation.with_deletions(TEXT, random, probability=1.0))} == {1}
    assert augmentation.with_deletions(TEXT, random, probability=0.0) == TEXT
    with pytest.raises(ValueError, match=r"in \[0, 1\]; got 1.5"):
        augmentation.with_deletions(TEXT, random, probability=1.5)


def test_there_and_back_is_the_two_translators_in_a_row():
    found = augmentation.back_translated("ab", lambda text: text[::-1] + "!", str.upper)
    assert found == "BA!"
