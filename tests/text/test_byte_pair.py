import collections
import json
import random

import pytest

from jdl.text.byte_pair import (
    byte_names,
    category_runs,
    decode_bytes,
    encode_bytes,
    read_byte_pairs,
    train_byte_pairs,
    write_byte_pairs,
)

CORPUS = ["low low low low low lower lower newest newest newest newest newest newest widest " * 2]


@pytest.fixture(scope="module")
def pairs():
    return train_byte_pairs([*CORPUS, "the cat, the cat! the cat? the 1999 caf\u00e9"], 290)


def counted(texts):
    return collections.Counter(tuple(run.encode()) for text in texts for run in category_runs(text))


def test_training_merges_the_most_frequent_pair_recounted_from_nothing_each_time():
    """Sennrich et al. 2016, algorithm 1, in its plainest form."""
    random_ = random.Random(0)
    texts = ["".join(random_.choice("abc ") for _ in range(300)) for _ in range(3)]
    found = train_byte_pairs(texts, 256 + 40, specials=[])
    order = {name: i for i, name in enumerate(found.tokens)}
    words = {tuple(bytes([b]) for b in word): n for word, n in counted(texts).items()}
    learned = []
    for _ in found.ranks:
        counts = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:], strict=False):
                counts[pair] += n
        best = min(counts, key=lambda p: (-counts[p], order[p[0]], order[p[1]]))
        learned.append(best)
        merged = collections.Counter()
        for word, n in words.items():
            parts, i = [], 0
            while i < len(word):
                parts.append(b"".join(word[i : i + 2]) if word[i : i + 2] == best else word[i])
                i += 2 if word[i : i + 2] == best else 1
            merged[tuple(parts)] += n
        words = merged
    assert learned == list(found.ranks)


def test_the_words_of_the_paper_merge_to_est_and_low():
    """Sennrich et al. 2016, the listing of algorithm 1, "$" being the end of a word."""
    counts = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    text = " ".join(word for word, n in counts.items() for _ in range(n))
    ends = {"split": lambda text: [word + "$" for word in text.split()], "specials": []}
    found = train_byte_pairs([text], 256 + 5, **ends)
    assert found.tokens[256:] == (b"es", b"t$", b"est$", b"lo", b"low")


def test_any_text_comes_back(pairs):
    random_ = random.Random(1)
    valid = [i for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    for length in (0, 1, 2, 7, 40):
        for alphabet in (valid, range(128), [ord(c) for c in "the cat 'low\n\t\u00e9\u3000"]):
            text = "".join(chr(random_.choice(alphabet)) for _ in range(length))
            ids = encode_bytes(pairs, text)
            assert decode_bytes(pairs, ids, errors="strict") == text
            assert len(ids) <= len(text.encode())


def test_runs_are_gpt2s():
    """The examples of its comment and pattern: contractions, one leading space, trailing space."""
    text = "Hello've  world123!!!?  'S it's\n\n x_1 "
    expected = ["Hello", "'ve", " ", " world", "123", "!!!?", " ", " '", "S", " it", "'s",
                "\n\n", " x", "_", "1", " "]  # fmt: skip
    assert category_runs(text) == expected


def test_no_token_joins_categories(pairs):
    for token in pairs.tokens[256:-1]:
        text = token.decode("utf-8", "ignore").removeprefix(" ")
        assert text.isalpha() or text.isdigit() or not any(map(str.isalnum, text)), token
    assert b" the" in pairs.ids and b" cat" in pairs.ids


def test_without_the_split_categories_do_join():
    text = ["cat! cat! cat! cat!"]
    assert b"cat!" in train_byte_pairs(text, 300, specials=[], split=lambda t: [t]).ids
    assert b"cat!" not in train_byte_pairs(text, 300, specials=[]).ids


def test_the_bytes_come_in_gpt2s_order():
    names = byte_names()
    assert (names[0], names[32], names[188]) == ("!", "A", "\u0100") and len(set(names)) == 256
    # ids of GPT-2: "!" is 0, "A" 32, the space (as G with a dot) 220, the new line 198
    assert names[220] == "\u0120" and names[198] == "\u010a"


def test_files_come_back(pairs, tmp_path):
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    write_byte_pairs(pairs, vocab, merges)
    assert read_byte_pairs(vocab, merges) == pairs
    assert json.loads(vocab.read_text(encoding="utf-8"))["<|endoftext|>"] == len(pairs.tokens) - 1


def test_special_tokens_may_come_first(pairs, tmp_path):
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    write_byte_pairs(pairs, vocab, merges)
    names = sorted(json.loads(vocab.read_text(encoding="utf-8")), key=lambda n: n[:2] != "<|")
    vocab.write_text(json.dumps({name: i for i, name in enumerate(names)}))
    found = read_byte_pairs(vocab, merges)
    assert found.specials == pairs.specials and found.tokens[0] == b"<|endoftext|>"
    write_byte_pairs(found, vocab, merges)
    assert read_byte_pairs(vocab, merges) == found


def test_reading_refuses_gaps_and_merges_to_nothing(tmp_path, pairs):
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    write_byte_pairs(pairs, vocab, merges)
    names = json.loads(vocab.read_text(encoding="utf-8"))
    vocab.write_text(json.dumps({name: i for name, i in names.items() if i != 7}))
    with pytest.raises(ValueError, match="each once"):
        read_byte_pairs(vocab, merges)
    vocab.write_text(
        json.dumps({name: i for i, name in enumerate(names) if name != "es"} | {"x": 5})
    )
    with pytest.raises(ValueError):
        read_byte_pairs(vocab, merges)


def test_specials_are_tokens_only_where_asked(pairs):
    text = "low<|endoftext|>low"
    last = len(pairs.tokens) - 1
    assert last not in encode_bytes(pairs, text)
    ids = encode_bytes(pairs, text, parse_specials=True)
    assert ids.count(last) == 1 and decode_bytes(pairs, ids) == text


def test_a_cut_character_is_replaced(pairs):
    ids = encode_bytes(pairs, "\U0001f600")[:-1]
    assert decode_bytes(pairs, ids) == "\ufffd"
    with pytest.raises(ValueError):
        decode_bytes(pairs, ids, errors="strict")


def test_mistakes_are_named(pairs):
    with pytest.raises(ValueError, match="at least 256"):
        train_byte_pairs(["a"], 256)
    with pytest.raises(ValueError, match="ids are 0 to"):
        decode_bytes(pairs, [10**6])
    with pytest.raises(ValueError, match="surrogates"):
        encode_bytes(pairs, "\ud800")
    with pytest.raises(ValueError, match="differ"):
        train_byte_pairs(["a"], 300, specials=["x", "x"])


def test_training_ends_where_pairs_are_rare():
    assert len(train_byte_pairs(["abcdef"], 300, specials=[]).tokens) == 256
    assert len(train_byte_pairs(["abcdef"], 300, specials=[], min_count=1).tokens) == 261
