"""Kim's network of sentences: its formula in NumPy, padding, and the four ways to have words."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.convnets.text_cnn import text_cnn
from tests.conformance.case import quick
from tests.models.convnets.test_efficientnet import size
from tests.nn.test_convolution import EXACT, normal

TINY = functools.partial(text_cnn, 10, 3, embedding_dim=4, features=5, window_sizes=(2, 3))
TOKENS = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0]])
TABLE = normal(10, 4)


def randomized(model):
    variables = model.init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(variables.params)
    return variables._replace(
        params=jax.tree.unflatten(structure, [normal(*x.shape) for x in leaves])
    )


def numpy_text_cnn(params, table, sentence):
    """One sentence, without any padding: zeros beyond its ends alone."""
    pooled = []
    for number, width in enumerate((2, 3)):
        kernel = np.asarray(params["convs"][str(number)]["kernel"])
        bias = np.asarray(params["convs"][str(number)]["bias"])
        words = np.pad(table[sentence], ((width - 1, width - 1), (0, 0)))
        places = [
            np.einsum("hd,hdf->f", words[i : i + width], kernel) + bias
            for i in range(len(words) - width + 1)
        ]
        pooled.append(np.maximum(places, 0).max(0))
    head = params["head"]
    return np.concatenate(pooled) @ head["kernel"] + head["bias"]


def test_each_sentence_gets_the_logits_of_its_words_alone_however_it_is_padded():
    model = TINY()
    variables = randomized(model)
    longer = np.pad(TOKENS, ((0, 0), (0, 3)))
    found, padded = quick(lambda v: [model.apply(v, tokens)[0] for tokens in (TOKENS, longer)])(
        variables
    )
    table = np.asarray(variables.params["tuned"])
    expected = [numpy_text_cnn(variables.params, table, row[row != 0]) for row in TOKENS]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(padded, found, **EXACT)


def test_two_channels_are_their_sum_and_only_one_is_tuned():
    both, fixed = TINY(embeddings=TABLE, words="both"), TINY(embeddings=TABLE, words="fixed")
    variables = both.init(jax.random.key(0))
    np.testing.assert_array_equal(variables.params["tuned"], TABLE)
    np.testing.assert_array_equal(variables.buffers["fixed"], TABLE)
    doubled = fixed.init(jax.random.key(0))
    assert "tuned" not in doubled.params
    rest = {name: part for name, part in variables.params.items() if name != "tuned"}
    doubled = Variables(rest, {"fixed": 2 * TABLE})
    found, expected = quick(lambda a, b: (both.apply(a, TOKENS)[0], fixed.apply(b, TOKENS)[0]))(
        variables, doubled
    )
    np.testing.assert_allclose(found, expected, **EXACT)


def test_the_network_of_the_paper_has_its_count():
    params = jax.eval_shape(text_cnn(18_765).init, jax.random.key(0)).params  # |V| of MR, table 1
    words = size(params.pop("tuned"))
    assert words == 18_765 * 300
    assert size(params) == sum(100 * (300 * h + 1) for h in (3, 4, 5)) + 300 * 2 + 2 == 360_902


def test_half_precision_goes_through_without_a_head():
    model = TINY(dtype=jnp.bfloat16)
    assert (
        jax.eval_shape(lambda v: model.apply(v, TOKENS)[0], randomized(model)).dtype == jnp.bfloat16
    )
    model = text_cnn(10, None, embedding_dim=4, features=5)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert jax.eval_shape(lambda v: model.apply(v, TOKENS)[0], variables).shape == (3, 15)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="want embeddings"):
        TINY(words="fixed")
    with pytest.raises(ValueError, match="embeddings are"):
        TINY(embeddings=TABLE[:3])
    with pytest.raises(ValueError, match="tuned, fixed or both"):
        TINY(words="static")
    model = TINY()
    with pytest.raises(ValueError, match="tokens are integers"):
        model.apply(model.init(jax.random.key(0)), jnp.zeros([2, 5]))
