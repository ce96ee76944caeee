"""Embeddings of length 1, the losses that are put on them, and a regression head."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.models.convnets.face_verification import (
    angular_softmax,
    contrastive,
    face_classifier,
    face_embedding,
    mined_triplets,
    squared_distances,
    triplet,
)
from jdl.models.convnets.resnet import resnet
from jdl.models.mlp import mlp
from jdl.nn.margins import contrastive_loss, semi_hard_triplet_loss, triplet_loss
from jdl.train.objectives import regression
from tests.conformance.case import quick
from tests.nn.test_convolution import EXACT, normal

NETWORK = mlp([4, 3])
EMBEDDER = face_embedding(NETWORK)
A, P, N = normal(5, 4), normal(5, 4), normal(5, 4)
TINY = functools.partial(resnet, (1,), bottleneck=False, widths=(4,), small_images=True)


@pytest.fixture(scope="module")
def variables():
    return EMBEDDER.init(jax.random.key(0))


def embedded(variables, x):
    z = np.asarray(NETWORK.apply(variables, x)[0], np.float64)
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def test_embeddings_have_length_1_and_squared_distances_are_of_their_angles(variables):
    z, other = (EMBEDDER.apply(variables, x)[0] for x in (A, P))
    np.testing.assert_allclose(z, embedded(variables, A), **EXACT)
    cosines = np.sum(np.asarray(z) * np.asarray(other), -1)
    np.testing.assert_allclose(squared_distances(z, other), 2 - 2 * cosines, rtol=1e-4, atol=1e-5)


def test_any_convolutional_network_embeds_and_keeps_its_methods():
    model = face_embedding(TINY(num_classes=6))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 8, 8, 3], jnp.float32)
    assert jax.eval_shape(model.apply, variables, images)[0].shape == (2, 6)
    apply = functools.partial(model.apply, method="features")
    assert jax.eval_shape(apply, variables, images)[0][-1].shape == (2, 8, 8, 4)


def test_an_embedding_of_zeros_stays_and_has_a_finite_gradient():
    blank = face_embedding(mlp([4, 3], kernel_init=jax.nn.initializers.zeros))
    variables = blank.init(jax.random.key(0))
    slope = jax.grad(lambda p: blank.apply(Variables(p), A)[0].sum())(variables.params)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))
    np.testing.assert_array_equal(blank.apply(variables, A)[0], np.zeros([5, 3]))


def test_the_objectives_are_the_losses_of_the_embeddings(variables):
    is_same = np.array([True, False, True, False, False])
    persons = np.array([0, 0, 1, 1, 2])

    def found(variables):
        return (
            contrastive(EMBEDDER, 0.7)(*variables, (A, P, is_same), None)[0],
            triplet(EMBEDDER)(*variables, (A, P, N), None),
            mined_triplets(EMBEDDER)(*variables, (A, persons), None)[0],
        )

    pairs, (triplets, (_, info)), mined = quick(found)(variables)
    a, p, n = (jnp.asarray(embedded(variables, x), jnp.float32) for x in (A, P, N))
    np.testing.assert_allclose(pairs, contrastive_loss(a, p, is_same, 0.7).mean(), rtol=1e-4)
    np.testing.assert_allclose(triplets, triplet_loss(a, p, n).mean(), rtol=1e-4)
    nearer = squared_distances(a, p) < squared_distances(a, n)
    np.testing.assert_allclose(info["ordered"], nearer.mean())
    np.testing.assert_allclose(mined, semi_hard_triplet_loss(a, persons), rtol=1e-4)


def test_the_classifier_gives_cosines_and_its_loss_is_a_softmax_with_a_margin():
    model = face_classifier(NETWORK, 3, 4)
    variables = model.init(jax.random.key(0))
    labels = np.array([0, 1, 2, 3, 0])
    z = embedded(Variables(variables.params["backbone"]), A)
    directions = np.asarray(variables.params["head"]["kernel"], np.float64)
    cosines = z @ (directions / np.linalg.norm(directions, axis=0))
    objective = angular_softmax(model, 0.3, 8.0)
    found, (loss, (_, info)) = quick(
        lambda v: (model.apply(v, A)[0], objective(*v, (A, labels), None))
    )(variables)
    np.testing.assert_allclose(found, cosines, **EXACT)
    rows = np.arange(5)
    angles = np.arccos(cosines[rows, labels])
    assert (angles < np.pi - 0.3).all()
    cosines[rows, labels] = np.cos(angles + 0.3)
    expected = optax.softmax_cross_entropy_with_integer_labels(8.0 * cosines, labels).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(info["accuracy"], np.mean(cosines.argmax(-1) == labels))


def test_a_convolutional_network_of_two_outputs_regresses_two_numbers():
    """The gradient of the last layer is the error times the pooled features, by hand."""
    model, pooled = TINY(num_classes=2), TINY(num_classes=None)
    variables, images, targets = model.init(jax.random.key(0)), normal(3, 6, 6, 3), normal(3, 2)
    body = {name: part for name, part in variables.params.items() if name != "head"}

    def both(variables):
        seen = pooled.apply(Variables({**body, "head": {}}, variables.buffers), images, train=True)
        objective = regression(model)
        (loss, _), slopes = jax.value_and_grad(
            lambda p: objective(p, variables.buffers, (images, targets), None), has_aux=True
        )(variables.params)
        return seen[0], loss, slopes["head"]["linear"]

    features, loss, slopes = quick(both)(variables)
    last = variables.params["head"]["linear"]
    errors = features @ last["kernel"] + last["bias"][None] - targets
    np.testing.assert_allclose(loss, np.mean(errors**2), rtol=1e-4)
    np.testing.assert_allclose(slopes["kernel"], 2 / 6 * features.T @ errors, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(slopes["bias"], 2 / 6 * errors.sum(0), rtol=1e-3, atol=1e-4)
