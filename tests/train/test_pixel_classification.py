"""Cross-entropy of pixels, some of which have no label."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.train.objectives import classification, pixel_classification
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=[2, 3, 4, 5]).astype(np.float32)
LABELS = RNG.integers(0, 3, [2, 3, 4])


@pytest.fixture(scope="module")
def model():
    return functional(lambda rngs: nnx.Linear(5, 3, rngs=rngs))


@pytest.fixture(scope="module")
def variables(model):
    return model.init(jax.random.key(0))


def by_hand(variables, labels, weights=1.0):
    logits = IMAGES @ np.asarray(variables.params["kernel"], np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    known = labels != 255
    of_labels = np.take_along_axis(logs, np.where(known, labels, 0)[..., None], -1)[..., 0]
    right = (logits.argmax(-1) == labels)[known].mean()
    return -(of_labels * weights)[known].sum() / known.sum(), right


def test_pixels_without_a_label_count_nowhere_and_the_rest_by_their_weights(model, variables):
    labels = LABELS.copy()
    labels[0, 1:] = 255
    weights = RNG.uniform(1, 10, labels.shape).astype(np.float32)
    objective = pixel_classification(model)

    def both(variables):
        plain = objective(*variables, (IMAGES, labels), None)
        return plain, objective(*variables, (IMAGES, labels, weights), None)

    (plain, (_, info)), (weighted, _) = quick(both)(variables)
    expected, right = by_hand(variables, labels)
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
    np.testing.assert_allclose(info["pixel_accuracy"], right, rtol=1e-6)
    np.testing.assert_allclose(weighted, by_hand(variables, labels, weights)[0], rtol=1e-5)


def test_where_all_have_one_it_is_the_classification_of_pixels(model, variables):
    batch = IMAGES, LABELS
    both = classification, pixel_classification
    losses = quick(lambda v: [objective(model)(*v, batch, None)[0] for objective in both])(
        variables
    )
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_gradients_stay_finite_with_void_pixels_and_with_nothing_else(model, variables):
    slope = quick(jax.grad(lambda p, y: pixel_classification(model)(p, (), (IMAGES, y), None)[0]))
    some = LABELS.copy()
    some[0] = 255
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope(variables.params, some)))
    none = np.full_like(LABELS, 255)
    assert all((x == 0).all() for x in jax.tree.leaves(slope(variables.params, none)))


def test_a_label_that_is_no_class_is_seen(model, variables):
    wrong = LABELS.copy()
    wrong[0, 0, 0] = 3
    assert jnp.isnan(pixel_classification(model)(*variables, (IMAGES, wrong), None)[0])
    with pytest.raises(ValueError, match="labels are integers"):
        pixel_classification(model)(*variables, (IMAGES, LABELS[:, :2]), None)
