import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.nn.margins import (
    angular_margin,
    contrastive_loss,
    ranking_hinge,
    semi_hard_triplet_loss,
    triplet_loss,
)
from tests.conformance.case import quick


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_the_binary_hinge_wants_a_margin_of_1():
    scores, signs = jnp.array([2.0, 0.5, -0.5, -2.0]), jnp.array([1, 1, 1, -1])
    close(optax.hinge_loss(scores, signs), [0, 0.5, 1.5, 0])


def test_the_multiclass_hinge_is_against_the_best_of_the_others():
    scores, labels = np.random.default_rng(0).normal(size=[8, 4]), np.arange(8) % 4
    expected = [
        max(0, 1 + max(z[k] for k in range(4) if k != y) - z[y])
        for z, y in zip(scores, labels, strict=True)
    ]
    close(optax.losses.multiclass_hinge_loss(jnp.asarray(scores), jnp.asarray(labels)), expected)
    assert min(expected) == 0


def test_the_ranking_hinge_counts_what_is_missing_to_the_margin():
    close(ranking_hinge(jnp.array([3.0, 1.0, 0.0]), jnp.array([0.0, 0.5, 2.0])), [0, 0.5, 3])
    close(ranking_hinge(jnp.array([1.0]), jnp.array([0.5]), margin=2.0), [1.5])


def test_the_contrastive_loss_pulls_its_kind_and_pushes_others_to_the_margin():
    first, second = jnp.zeros([3, 2]), jnp.array([[3.0, 4.0], [0.3, 0.4], [3.0, 4.0]])
    same = jnp.array([True, False, False])
    close(contrastive_loss(first, second, same, 2.0), [25, 1.5**2, 0])
    y = jnp.array([0, 1, 1])  # Hadsell and others: 1 for pairs that differ, and a half
    distances = np.linalg.norm(second, axis=-1)
    published = (1 - y) * distances**2 / 2 + y * np.maximum(0, 2 - distances) ** 2 / 2
    close(contrastive_loss(first, second, y == 0, 2.0) / 2, published)
    with pytest.raises(ValueError, match="boolean"):
        contrastive_loss(first, second, y)


def test_the_contrastive_gradient_is_finite_where_embeddings_coincide():
    x = jnp.ones([2, 3])
    slope = jax.grad(
        lambda x: contrastive_loss(x, jnp.ones([2, 3]), jnp.array([True, False])).sum()
    )
    close(slope(x), np.zeros([2, 3]))
    naive = jax.grad(lambda x: jnp.sum(jnp.linalg.norm(x - 1.0, axis=-1)))
    assert jnp.isnan(naive(x)).all()


def test_the_two_forms_of_the_triplet_loss():
    a, p, n = jnp.array([[0.0, 0.0]]), jnp.array([[0.6, 0.8]]), jnp.array([[0.0, 1.1]])
    close(triplet_loss(a, p, n), 1.0 - 1.21 + 0.2 if 1.0 - 1.21 + 0.2 > 0 else 0)
    close(triplet_loss(a, p, n, margin=0.5), 1.0 - 1.21 + 0.5)
    close(optax.losses.triplet_margin_loss(a, p, n, margin=0.5), 1.0 - 1.1 + 0.5)
    assert float(triplet_loss(a, n, p)[0]) > 0.4  # the roles matter


def test_semi_hard_triplets_are_those_found_one_by_one():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=[9, 3]), np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    losses, kinds = [], set()
    for a in range(9):
        for p in range(9):
            if a != p and labels[a] == labels[p]:
                others = squares[a][labels != labels[a]]
                farther = others[others > squares[a, p]]
                kinds.add(farther.size > 0)
                far = farther.min() if farther.size else others.max()
                losses.append(max(0.0, squares[a, p] - far + 0.2))
    assert kinds == {True, False} and len(losses) == 14
    found = quick(semi_hard_triplet_loss)(x.astype(np.float32), labels)
    close(found, np.mean(losses))


def test_a_batch_without_triplets_has_no_loss_and_no_gradient():
    x = np.random.default_rng(0).normal(size=[3, 2]).astype(np.float32)
    both = quick(jax.value_and_grad(semi_hard_triplet_loss))
    for labels in ([0, 1, 2], [0, 0, 0]):
        loss, slope = both(x, np.array(labels))
        assert loss == 0 and (np.asarray(slope) == 0).all()


def test_an_angular_margin_widens_the_angle_of_the_label_and_never_turns_back():
    angles = np.linspace(0, np.pi, 41).astype(np.float32)
    cosines = np.stack([np.cos(angles), np.full(41, 0.3, np.float32)], 1)
    found, slope = quick(
        lambda c: (
            angular_margin(c, np.zeros(41, int)),
            jax.grad(lambda c: angular_margin(c, np.zeros(41, int)).sum())(c),
        )
    )(cosines)
    inside = angles < np.pi - 0.5
    close(found[inside, 0], np.cos(angles[inside] + 0.5), 1e-4)
    assert (np.diff(found[:, 0]) < 0).all()
    close(found[:, 1], 0.3)
    assert np.isfinite(slope).all()
    close(angular_margin(cosines, np.zeros(41, int), 0.0), cosines, 1e-6)
