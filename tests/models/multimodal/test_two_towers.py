"""Pairs of towers: the symmetric loss from its formula, embeddings, the limit of the scale."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.models.multimodal.two_towers import matching, similarities, two_towers
from tests.models.convnets.abstract import random_variables
from tests.nn.test_convolution import normal, quick

IMAGES, TEXTS = normal(4, 5), normal(4, 7)


@pytest.fixture(scope="module")
def pair():
    model = two_towers(mlp([5, 3]), mlp([7, 3]))
    variables = random_variables(model)
    variables.params["log_scale"] = np.float32(0.7)
    return model, variables


def test_each_finds_its_pair_among_those_of_the_batch(pair):
    model, variables = pair
    first, second = (
        x @ layer["kernel"] + layer["bias"]
        for x, layer in zip(
            (IMAGES, TEXTS),
            (
                jax.tree.leaves(variables.params[n], is_leaf=lambda x: "kernel" in x)[0]
                for n in ("image", "text")
            ),
            strict=True,
        )
    )
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    logits = np.exp(0.7) * first @ second.T
    rows = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    columns = logits - np.log(np.exp(logits).sum(0, keepdims=True))
    expected = -(np.trace(rows) + np.trace(columns)) / 8

    def found(variables):
        loss, (_, info) = matching(model)(*variables, (IMAGES, TEXTS), None)
        encoded = [
            model.apply(variables, x, method=f"encode_{name}")[0]
            for name, x in (("image", IMAGES), ("text", TEXTS))
        ]
        return loss, info, model.apply(variables, IMAGES, TEXTS)[0], encoded

    loss, info, scores, encoded = quick(found, variables)
    np.testing.assert_allclose(scores, logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded, [first, second], rtol=1e-5, atol=1e-6)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert info["accuracy"] == np.mean(logits.argmax(1) == np.arange(4))


def test_the_scale_stops_at_its_limit_and_can_come_back():
    u = jnp.eye(2)
    score = functools.partial(similarities, u, u)
    assert score(jnp.asarray(9.0))[0, 0] == pytest.approx(100, rel=1e-5)
    slope = jax.grad(lambda s: score(s)[0, 0])(jnp.asarray(9.0))
    assert slope == pytest.approx(100, rel=1e-5)


def test_the_scale_is_that_of_clip_at_first():
    params = two_towers(mlp([5, 3]), mlp([7, 3])).init(jax.random.key(0)).params
    assert params["log_scale"] == pytest.approx(2.6593, abs=1e-4)


def test_an_embedding_of_zeros_stays_so(pair):
    model, variables = pair
    zeros = Variables(jax.tree.map(jnp.zeros_like, variables.params), variables.buffers)
    assert not model.apply(zeros, IMAGES, method="encode_image")[0].any()


def test_mistakes_say_what_to_do(pair):
    model, variables = pair
    with pytest.raises(ValueError, match="encode_text"):
        model.apply(variables, IMAGES, method="encode")
    other = two_towers(mlp([5, 3]), mlp([7, 2]))
    with pytest.raises(ValueError, match="one width; got 3 of images and 2 of texts"):
        jax.eval_shape(other.apply, jax.eval_shape(other.init, jax.random.key(0)), IMAGES, TEXTS)
