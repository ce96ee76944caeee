"""What is written into a cache, and the past of a beam that goes on from another's."""

import jax
import numpy as np
import pytest

from jdl.nn.attention_cache import AttentionCache, Past, cached


@pytest.mark.parametrize("places, first, last", [(70, 5, 67), (3, 1, 3), (40, 38, 45), (9, 4, 4)])
def test_what_was_read_since_the_parting_comes_from_the_other_beam(places, first, last):
    random = np.random.default_rng(0)
    keys, values = random.normal(size=[2, 4, 2, places, 3])
    parted, now = np.array([first, first + 1, first, first]), np.full(4, last)
    rows = np.array([1, 1, 3, 0])
    past = jax.jit(Past.reordered)(
        Past((AttentionCache(keys, values),), now), rows, Past((), parted)
    )
    at = (np.arange(places) >= first) & (np.arange(places) < last)
    for found, old in zip(past.caches[0], (keys, values), strict=True):
        np.testing.assert_allclose(found, np.where(at[:, None], old[rows], old), rtol=1e-6)


@pytest.mark.parametrize("new, positions", [(1, [2]), (1, [5]), (1, [0, 4]), (3, [3]), (3, [1, 3])])
def test_new_tokens_stand_at_their_positions_and_push_nothing_aside(new, positions):
    random = np.random.default_rng(0)
    cache = AttentionCache(*random.normal(size=[2, len(positions), 2, 5, 3]))
    keys, values = random.normal(size=[2, len(positions), new, 2, 3])
    found = jax.jit(cached)(cache, keys, values, np.array(positions))
    for written, old, tokens in zip(found, cache, (keys, values), strict=True):
        expected = old.copy()
        for b, first in enumerate(positions):
            for i in range(min(new, 5 - first)):
                expected[b, :, first + i] = tokens[b, i]
        np.testing.assert_allclose(written, expected, rtol=1e-6)
