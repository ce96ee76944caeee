"""Cosines against NumPy's."""

import jax.numpy as jnp
import numpy as np

from jdl.nn.similarity import cosine_similarities, unit


def test_cosines_are_those_of_all_pairs_and_nothing_is_like_zero():
    random = np.random.default_rng(0)
    first, second = (random.normal(size=[n, 5]).astype(np.float32) for n in (3, 4))
    second[2] = 0
    norms = [np.linalg.norm(x, axis=1) for x in (first, second)]
    expected = first @ second.T / (norms[0][:, None] * np.maximum(norms[1], 1e-9)[None])
    found = cosine_similarities(first, second)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not np.any(unit(jnp.zeros([2, 3])))
    assert cosine_similarities(first.astype(jnp.bfloat16), second).dtype == jnp.float32
