"""The table of a model against known counts."""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.functional import functional
from jdl.models.convnets import lenet5
from jdl.models.mlp import mlp
from jdl.summary import summary


def test_lenet_has_the_parameters_of_the_publication():
    table = summary(lenet5(), [1, 32, 32, 1])
    assert table.total == 61_706 and table.size == 4 * 61_706
    assert "61,706 parameters, 247 kB" in str(table)
    # 2 operations a multiply-add: C1 28*28*6*25, C3 10*10*16*150, dense 48,000 + 10,080 + 840.
    products = 2 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10)
    assert products < table.flops < 1.05 * products


def test_a_dense_layer_costs_two_operations_a_weight_and_example():
    batch, inputs, outputs = 8, 300, 400
    model = functional(lambda rngs: nnx.Linear(inputs, outputs, use_bias=False, rngs=rngs))
    assert summary(model, [batch, inputs]).flops == 2 * batch * inputs * outputs


def test_inputs_may_be_shapes_arrays_or_abstract():
    model = mlp([3, 4, 2])
    given = [[5, 3], (5, 3), jnp.zeros([5, 3]), jax.ShapeDtypeStruct([5, 3], jnp.float32)]
    assert len({summary(model, x).flops for x in given}) == 1
    assert summary(model).flops is None and "FLOP" not in str(summary(model))


def test_nothing_of_a_model_of_ten_to_the_eleven_parameters_is_allocated():
    table = summary(mlp([10**5, 10**6], param_dtype=jnp.bfloat16), [1, 10**5])
    assert table.total == 10**11 + 10**6 and table.size == 2 * table.total
    assert table.flops >= 2 * 10**11


def test_buffers_have_their_own_rows():
    table = summary(functional(lambda rngs: nnx.BatchNorm(4, rngs=rngs)), [2, 4], train=True)
    assert [row.path for row in table.params] == ["bias", "scale"]
    assert [row.path for row in table.buffers] == ["mean", "var"]
    assert table.total == 8 and "buffers" in str(table)


def test_noise_takes_a_key_and_methods_have_names():
    class Noisy(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(2, 3, rngs=rngs)

        def sample(self, x, *, rngs):
            return self.dense(x) + jax.random.normal(rngs.latent(), [1, 3])

    table = summary(functional(Noisy), [1, 2], key=jax.random.key(0), method="sample")
    assert table.flops > 2 * 2 * 3
