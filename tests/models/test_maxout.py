import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.maxout import maxout_mlp


@pytest.fixture(scope="module")
def inputs():
    return jax.random.normal(jax.random.key(1), [6, 3])


def test_a_unit_is_the_largest_of_its_affine_functions(inputs, key):
    model = maxout_mlp([3, 4, 2], num_pieces=5)
    variables = model.init(key)
    layer, head = variables.params["hidden"]["0"]["pieces"], variables.params["head"]
    layer["bias"] = jax.random.normal(key, layer["bias"].shape)
    hidden = np.array(
        [
            [max(x @ layer["kernel"][:, i, j] + layer["bias"][i, j] for j in range(5))
             for i in range(4)]
            for x in inputs
        ]
    )  # fmt: skip
    logits, _ = model.apply(variables, inputs)
    np.testing.assert_allclose(logits, hidden @ head["kernel"] + head["bias"][None], atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_two_pieces_make_relu_and_leaky_relu(inputs, key, slope):
    kernel = jax.random.normal(key, [3, 4])
    hidden = {"0": {"pieces": {"kernel": jnp.stack([kernel, slope * kernel], -1),
                               "bias": jnp.zeros([4, 2])}}}  # fmt: skip
    model = maxout_mlp([3, 4, 4], num_pieces=2)
    head = {"kernel": jnp.eye(4), "bias": jnp.zeros(4)}
    variables = model.init(key)._replace(params={"hidden": hidden, "head": head})
    outputs, _ = model.apply(variables, inputs)
    np.testing.assert_allclose(outputs, jax.nn.leaky_relu(inputs @ kernel, slope), atol=1e-6)


def test_no_pieces_are_refused():
    with pytest.raises(ValueError, match="num_pieces=0"):
        maxout_mlp([3, 4, 2], num_pieces=0)
