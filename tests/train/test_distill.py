"""The gradient of distillation is that of the paper, at any temperature and in its limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model, Variables
from jdl.models.mlp import mlp
from jdl.train.distill import distillation, divergence

_random = np.random.default_rng(0)
Z, V = _random.normal(size=[2, 4, 3]).astype(np.float32) * 2
LABELS = np.array([0, 2, 1, 0], np.int32)
# A student whose params are its logits.
TABLE = Model(lambda key: Variables(Z), lambda variables, x, **_: (variables.params, ()))


def slope(temperature, share, logits=Z):
    objective = distillation(TABLE, temperature=temperature, share=share)

    def loss(z):
        return objective(z, (), (jnp.zeros(4), LABELS, V), jax.random.key(0))[0]

    return jax.grad(loss)(logits)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_loss_and_gradient_are_those_of_softened_probabilities(temperature):
    p, q = softmax(V / temperature), softmax(Z / temperature)
    np.testing.assert_allclose(
        slope(temperature, 1.0), temperature * (q - p) / 4, rtol=1e-4, atol=1e-6
    )
    batch = jnp.zeros(4), LABELS, V
    objective = distillation(TABLE, temperature=temperature, share=0.7)
    loss, (_, info) = objective(Z, (), batch, jax.random.key(0))
    soft = temperature**2 * (p * np.log(p / q)).sum(-1).mean()
    hard = -np.log(softmax(Z)[np.arange(4), LABELS]).mean()
    np.testing.assert_allclose([info["soft"], info["hard"]], [soft, hard], rtol=1e-4)
    np.testing.assert_allclose(loss, 0.7 * soft + 0.3 * hard, rtol=1e-4)
    assert info["agreement"] == (Z.argmax(-1) == V.argmax(-1)).mean()


def test_at_a_high_temperature_it_matches_logits():
    centred = Z - Z.mean(-1, keepdims=True)
    wanted = (centred - (V - V.mean(-1, keepdims=True))) / 3 / 4  # K = 3, B = 4
    np.testing.assert_allclose(slope(300.0, 1.0), wanted, rtol=0.05, atol=2e-3)
    assert np.abs(slope(1.0, 1.0) - wanted).max() > 0.05


def test_without_a_share_it_is_the_cross_entropy():
    wanted = (softmax(Z) - np.eye(3)[LABELS]) / 4
    np.testing.assert_allclose(slope(4.0, 0.0), wanted, rtol=1e-4, atol=1e-6)


def test_a_student_that_agrees_loses_nothing():
    assert abs(float(divergence(jnp.asarray(V), jnp.asarray(V) + 5).max())) < 1e-5


def test_a_teacher_closed_over_gives_what_its_logits_in_the_batch_give(key):
    student, teacher = mlp([2, 3]), mlp([2, 5, 3])
    known, variables = teacher.init(key), student.init(jax.random.key(1))
    x = jnp.asarray(_random.normal(size=[4, 2]), jnp.float32)

    def says(inputs):
        return teacher.apply(known, inputs)[0]

    closed = distillation(student, says)(*variables, (x, LABELS), key)[0]
    given = distillation(student)(*variables, (x, LABELS, says(x)), key)[0]
    assert closed == given


def test_what_does_not_fit_is_named(key):
    with pytest.raises(ValueError, match="got 0 and 0.9"):
        distillation(TABLE, temperature=0)
    with pytest.raises(ValueError, match=r"teacher has logits \[4, 2\], the student \[4, 3\]"):
        distillation(TABLE)(Z, (), (jnp.zeros(4), LABELS, V[:, :2]), key)
