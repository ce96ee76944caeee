import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.models.historical.mark1 import mark1
from jdl.train import descent, perceptron, run

MODEL = mark1(1)


@pytest.fixture(scope="module")
def variables():
    return MODEL.init(jax.random.key(0))


@pytest.fixture(scope="module")
def images():
    return jax.random.bernoulli(jax.random.key(1), 0.5, [20, 20, 20, 1]).astype(jnp.float32)


def test_a_photocell_has_forty_wires_of_both_signs(variables):
    wiring = variables.buffers["wiring"]
    assert wiring.shape == (400, 512)
    assert set(np.unique(wiring)) == {-1, 0, 1}
    assert (jnp.abs(wiring).sum(1) == 40).all()
    assert abs(float(wiring.sum())) < 4 * np.sqrt(400 * 40)


def test_responses_weigh_the_association_units_that_are_above_the_threshold(variables, images):
    kernel = jax.random.normal(jax.random.key(2), [512, 1])
    with_weights = variables._replace(params={"responses": {"kernel": kernel}})
    model = mark1(1, threshold=2.0)
    voltages = np.asarray(images).reshape(20, 400) @ np.asarray(variables.buffers["wiring"])
    expected = (voltages > 2).astype(np.float32) @ np.asarray(kernel)
    np.testing.assert_allclose(model.apply(with_weights, images)[0], expected, atol=1e-3)


def test_the_perceptron_rule_learns_any_labels_of_twenty_images_and_leaves_the_wires(
    variables, images
):
    labels = jax.random.bernoulli(jax.random.key(3), 0.5, [20]).astype(jnp.float32)
    algorithm = descent(perceptron(MODEL), optax.sgd(1.0))
    epochs = jax.tree.map(lambda x: jnp.concatenate([x] * 20)[:, None], (images, labels))
    state, info = jax.jit(lambda *args: run(algorithm, *args))(
        algorithm.init(variables), epochs, jax.random.key(0)
    )
    assert info["mistakes"][:20].sum() > 0
    assert info["mistakes"][-20:].sum() == 0
    assert (state.variables.buffers["wiring"] == variables.buffers["wiring"]).all()


def test_too_many_wires_and_another_retina_are_refused(variables):
    with pytest.raises(ValueError, match="num_wires=513"):
        mark1(num_wires=513)
    with pytest.raises(ValueError, match="20 x 20"):
        MODEL.apply(variables, jnp.ones([1, 28, 28, 1]))
