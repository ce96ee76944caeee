"""XLNet: published counts, and who sees whom in an order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.transformers.xlnet import SIZES, permutation_language_modelling, xlnet
from tests.conformance.case import quick

SMALL = {"vocab_size": 13, "hidden_dim": 8, "num_layers": 2, "num_heads": 2}


def count(name, num_layers):
    params = jax.eval_shape(SIZES[name](num_layers=num_layers).init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("name", "depth", "expected"),
    [("xlnet-base-cased", 12, 116_718_336), ("xlnet-large-cased", 24, 360_268_800)],
)
def test_params_equal_the_published_count(name, depth, expected):
    none, one = count(name, 0), count(name, 1)
    assert none + depth * (one - none) == expected + 32000  # and the bias of the words


def test_a_place_is_guessed_from_those_before_it_in_the_order_and_not_from_itself():
    model = xlnet(**SMALL, dropout_rate=0.0)
    random = np.random.default_rng(0)
    like = jax.eval_shape(model.init, jax.random.key(0))
    variables = jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)
    order = np.array([[2, 0, 3, 1]])

    run = quick(lambda v, tokens: model.apply(v, tokens, order, method="permuted")[0])
    tokens = np.array([[1, 2, 3, 4]], np.int32)
    logits = np.asarray(run(variables, tokens))
    assert np.isfinite(logits).all()
    for place in range(4):
        other = np.asarray(run(variables, np.where(np.arange(4)[None] == place, 9, tokens)))
        moved = np.abs(other - logits).max(axis=2)[0] > 1e-6
        np.testing.assert_array_equal(moved, order[0] > order[0, place])


def test_the_objective_has_a_loss_and_bad_shapes_are_told():
    model = xlnet(**SMALL)
    like = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jnp.ones([2, 6], int)
    objective = permutation_language_modelling(model)
    loss, _ = jax.eval_shape(objective, like.params, (), tokens, jax.random.key(0))
    assert loss.shape == ()
    half = xlnet(**SMALL, dtype=jnp.bfloat16)
    assert jax.eval_shape(half.apply, like, tokens, tokens)[0].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"segments are for each token, \[2, 6\]"):
        jax.eval_shape(model.apply, like, tokens, tokens[:, :3])
    with pytest.raises(ValueError, match="heads share"):
        xlnet(hidden_dim=8, num_heads=3)
