"""T5 against published counts, its buckets of distances, and its cache."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import bound
from jdl.models.transformers.t5 import SIZES, distance_buckets, t5
from tests.conformance.case import quick

SMALL = {"vocab_size": 13, "hidden_dim": 8, "num_layers": 2, "num_heads": 2, "head_dim": 3}


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


@pytest.mark.parametrize(("name", "expected"), [("t5-small", 60_506_624), ("t5-base", 222_903_552)])
def test_params_equal_the_published_count(name, expected):
    depth = {"t5-small": 6, "t5-base": 12}[name]
    none, one = (count(SIZES[name](num_layers=n)) for n in (0, 1))
    assert none + depth * (one - none) == expected
    assert name == "t5-small" or SIZES[name].keywords["num_layers"] == depth


def test_near_distances_have_a_bucket_each_and_far_ones_grow_as_powers():
    distances = jnp.arange(-300, 301)
    both = np.asarray(distance_buckets(distances, both_sides=True))
    past = np.asarray(distance_buckets(distances, both_sides=False))
    at = {int(d): (int(b), int(p)) for d, b, p in zip(distances, both, past, strict=True)}
    assert [at[-d][0] for d in range(8)] == list(range(8))
    assert [at[-d][1] for d in range(16)] == list(range(16))
    assert all(at[d][0] == at[-d][0] + 16 and at[d][1] == 0 for d in range(1, 301))
    assert at[-128] == at[-300] == (15, 31)
    for d in range(16, 128):  # written out in exact arithmetic, but where a power is an integer
        power = np.log(d / 16) / np.log(8) * 16
        assert at[-d][1] == 16 + int(power) or abs(power - round(power)) < 1e-5
    assert set(both) == set(range(32)) - {16} and set(past) == set(range(32))


@pytest.fixture(scope="module")
def model():
    return t5(**SMALL, dropout_rate=0.0)


@pytest.fixture(scope="module")
def variables(model):
    random = np.random.default_rng(0)
    like = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)


def test_a_token_at_a_time_has_the_logits_of_all_at_once(model, variables):
    random = np.random.default_rng(1)
    source = random.integers(1, 13, size=[2, 5]).astype(np.int32)
    source[1, 3:] = 0
    target = random.integers(1, 13, size=[2, 4]).astype(np.int32)

    def by_step(variables, source, target):
        carry, _ = model.apply(variables, source, 4, method="start")
        read = functools.partial(bound(model, variables))
        found = jax.lax.scan(lambda carry, token: read(carry, token)[::-1], carry, target.T)[1]
        prompt = bound(model, variables, "prefill")(carry, target, np.array([1, 3]))
        return found, prompt[0]

    whole = quick(lambda v, s, t: model.apply(v, s, t)[0])
    steps, prompt = map(np.asarray, quick(by_step)(variables, source, target))
    found = steps.swapaxes(0, 1)
    np.testing.assert_allclose(prompt, found[np.arange(2), [0, 2]], rtol=1e-5, atol=1e-5)
    expected = np.asarray(whole(variables, source, target))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    # Padding of the source is not seen; later tokens of the target are not either.
    other = whole(variables, np.where(source == 0, 0, source), np.where([[1, 1, 0, 0]], target, 3))
    np.testing.assert_allclose(other[:, :2], expected[:, :2], rtol=1e-5, atol=1e-5)


def test_nothing_has_a_bias_but_the_distances(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    names = {path[-1].key for path, _ in jax.tree.leaves_with_path(params)}
    assert names == {"kernel", "scale", "embedding"}
    half = t5(**SMALL, dtype=jnp.bfloat16)
    tokens = jnp.ones([2, 3], int)
    like = jax.eval_shape(half.init, jax.random.key(0))
    assert jax.eval_shape(half.apply, like, tokens, tokens)[0].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="token ids are 0 to 12"):
        jax.eval_shape(lambda v: half.apply(v, np.full([2, 3], 13), np.ones([2, 3], int)), like)
