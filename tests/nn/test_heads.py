import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.heads import HIDDEN_ACTIVATIONS, output_head

OUTPUTS = jnp.asarray(np.random.default_rng(0).normal(size=[4, 3]))


@pytest.mark.parametrize(
    ("task", "size", "targets"),
    [
        ("binary", 1, np.array([0, 1, 1, 0])),
        ("multiclass", 3, np.array([0, 2, 1, 2])),
        ("multilabel", 3, np.eye(3)[[0, 1, 2, 2]]),
        ("counts", 3, np.arange(12).reshape(4, 3)),
        ("regression", 3, np.ones([4, 3])),
    ],
)
def test_the_gradient_of_a_head_is_what_it_predicts_minus_the_target(task, size, targets):
    head = output_head(task, size)
    outputs = OUTPUTS[:, : head.units]
    assert head.units == size
    assert head.loss(outputs, jnp.asarray(targets)).shape == (4,)
    slope = jax.grad(lambda z: head.loss(z, jnp.asarray(targets)).sum())(outputs)
    rows = np.eye(3)[targets] if task == "multiclass" else np.reshape(targets, outputs.shape)
    factor = 2 / size if task == "regression" else 1
    np.testing.assert_allclose(slope, factor * (head.activation(outputs) - rows), atol=1e-5)


def test_predictions_are_probabilities_numbers_and_rates():
    assert (output_head("regression").activation(OUTPUTS) == OUTPUTS).all()
    assert (output_head("counts").activation(OUTPUTS) > 0).all()
    np.testing.assert_allclose(output_head("multiclass", 3).activation(OUTPUTS).sum(-1), 1, 1e-5)
    p = output_head("binary").activation(OUTPUTS)
    assert ((0 < p) & (p < 1)).all()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="always 1"):
        output_head("multiclass", 1)  # 004's example 3.10.1
    with pytest.raises(ValueError, match="multiclass"):
        output_head("binary", 2)
    with pytest.raises(ValueError, match="one of"):
        output_head("ranking")


def test_hidden_activations_are_those_of_003():
    z = jnp.array([-1.0])
    found = {name: float(f(z)[0]) for name, f in HIDDEN_ACTIVATIONS.items()}
    expected = {
        "default": 0,
        "dead units": -0.01,
        "very deep": np.expm1(-1),
        "vision": -1 / (1 + np.e),
        "language": -0.15865525,
        "recurrent": np.tanh(-1),
    }
    assert found == pytest.approx(expected, abs=1e-6)
