import numpy as np
import pytest

from jdl.text.windows import padded, prefix_examples, prefixes, token_mask, token_windows

PHRASE = [346, 41, 4, 68, 25, 19, 4, 32, 2, 4, 45]  # 004 example 5.7.2


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ({"value": -1}, [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]),
        ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
        ({"length": 2}, [[0, 1], [2, 3], [5, 6]]),
        ({"length": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5]]),
        ({"length": 4, "padding": "post"}, [[1, 0, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0]]),
        ({"length": 0}, [[], [], []]),
    ],
)
def test_sequences_are_filled_and_cut_as_keras_documents(options, expected):
    found = padded([[1], [2, 3], [4, 5, 6]], **options)
    np.testing.assert_array_equal(found, np.array(expected).reshape(3, -1))
    assert found.dtype == np.int32


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_the_mask_is_where_tokens_are(padding):
    sequences = [[1], [], [4, 5, 6]]
    mask = token_mask(sequences, 2, padding=padding)
    np.testing.assert_array_equal(mask, padded(sequences, 2, padding=padding) > 0)
    assert mask.dtype == bool


def test_the_prefixes_of_the_book():
    """Ten of them, of 2 to 11 tokens, filled on the left; the last column is the label."""
    assert [len(prefix) for prefix in prefixes(PHRASE)] == list(range(2, 12))
    inputs, labels = prefix_examples([PHRASE])
    assert inputs.shape == (10, 10) and labels.tolist() == PHRASE[1:]
    np.testing.assert_array_equal(inputs[0], [0] * 9 + [346])
    np.testing.assert_array_equal(inputs[-1], PHRASE[:-1])


def test_prefixes_of_phrases_can_be_cut_to_a_context():
    inputs, labels = prefix_examples([[1, 2, 3, 4], [5, 6]], length=2)
    assert inputs.tolist() == [[0, 1], [1, 2], [2, 3], [0, 5]] and labels.tolist() == [2, 3, 4, 6]


def test_windows_predict_each_token_after_the_first_once():
    windows = token_windows(np.arange(11), 3)
    np.testing.assert_array_equal(windows[:, 1:].ravel(), np.arange(1, 10))
    assert token_windows(range(5), 2, stride=1).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


@pytest.mark.parametrize(
    "mistake, said",
    [
        (lambda: padded([[1]], padding="left"), "padding"),
        (lambda: padded([[1]], truncating="left"), "truncating"),
        (lambda: padded([]), "length is not known"),
        (lambda: padded([[[1]]]), "one axis"),
        (lambda: prefix_examples([[1]]), "two tokens"),
        (lambda: token_windows([1, 2], 2), "a window takes 3"),
        (lambda: token_windows([1, 2], 0), "positive"),
    ],
)
def test_mistakes_are_named(mistake, said):
    with pytest.raises(ValueError, match=said):
        mistake()
