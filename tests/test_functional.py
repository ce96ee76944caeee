"""Modules as pure functions: noise, buffers, methods, and what is said of mistakes."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional

INPUTS = jax.random.normal(jax.random.key(5), [4, 3])


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List(nnx.Linear(3, 3, rngs=rngs) for _ in range(11))
        self.norm = nnx.BatchNorm(3, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, *, rngs=None):
        for layer in self.layers:
            x = layer(x)
        return self.dropout(self.norm(x), rngs=rngs)

    def first(self, x, scale=1.0):
        return scale * self.layers[0](x)

    def sample(self, x, *, rngs):
        return x + jax.random.normal(rngs.latent(), x.shape)


@pytest.fixture(scope="module")
def net():
    model = functional(Net)
    return model, model.init(jax.random.key(0))


def test_paths_are_strings_and_order_is_that_of_the_list(net):
    _, variables = net
    assert variables.params["layers"].keys() == {str(number) for number in range(11)}
    paths = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree.leaves_with_path(variables.params)
    ]
    assert "layers.10.kernel" in paths and "norm.scale" in paths


def test_a_module_is_built_once_for_the_model_and_its_first_variables():
    built = []

    def build(rngs):
        built.append(rngs)
        return nnx.Linear(3, 2, rngs=rngs)

    model = functional(build)
    model.apply(model.init(jax.random.key(0)), INPUTS)
    model.init(jax.random.key(1))
    assert len(built) == 1


def test_params_are_those_of_flaxs_own_streams():
    class Draws(nnx.Module):
        def __init__(self, rngs):
            for name in "abc":
                setattr(self, name, nnx.Param(jax.random.normal(rngs.params(), [2])))
            self.kept = nnx.BatchStat(jax.random.normal(rngs.other(), [2]))

    ours = functional(Draws).init(jax.random.key(3))
    flaxs = nnx.to_pure_dict(nnx.state(Draws(nnx.Rngs(jax.random.key(3)))))
    for name, drawn in flaxs.items():
        np.testing.assert_allclose((ours.params | ours.buffers)[name], drawn, rtol=1e-6)


def test_layers_of_a_list_are_applied_in_order(net):
    model, variables = net
    x = np.asarray(INPUTS, np.float64)
    for number in range(11):
        layer = jax.tree.map(np.asarray, variables.params["layers"][str(number)])
        x = x @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(
        model.apply(variables, INPUTS)[0], x / np.sqrt(1 + 1e-5), rtol=1e-4, atol=1e-6
    )


def test_training_moves_batch_statistics_and_evaluation_does_not(net):
    model, variables = net
    hidden = INPUTS
    for number in range(11):
        layer = variables.params["layers"][str(number)]
        hidden = hidden @ layer["kernel"] + layer["bias"][None]
    _, buffers = model.apply(variables, INPUTS, key=jax.random.key(1), train=True)
    np.testing.assert_allclose(buffers["norm"]["mean"], 0.1 * hidden.mean(0), atol=1e-6)
    np.testing.assert_allclose(buffers["norm"]["var"], 0.9 + 0.1 * hidden.var(0), rtol=1e-5)
    _, same = model.apply(variables, INPUTS)
    assert same is variables.buffers
    _, again = model.apply(Variables(variables.params, buffers), INPUTS, key=jax.random.key(1))
    np.testing.assert_array_equal(again["norm"]["mean"], buffers["norm"]["mean"])


def test_dropout_follows_the_key_of_the_call(net):
    model, variables = net
    drop = jax.jit(lambda key: model.apply(variables, INPUTS, key=key, train=True)[0])
    first, again, other = (drop(jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first == 0, other == 0)
    assert 0 < (first == 0).sum() < first.size


def test_noise_without_a_key_says_which_and_what_to_do(net):
    model, variables = net
    with pytest.raises(ValueError, match=r"'dropout' noise.*key=jax.random.key"):
        model.apply(variables, INPUTS, train=True)
    with pytest.raises(ValueError, match=r"'latent' noise"):
        jax.eval_shape(lambda v: model.apply(v, INPUTS, method="sample"), variables)
    model.apply(variables, INPUTS)  # draws nothing: needs none


def test_other_methods_and_their_arguments(net):
    model, variables = net
    first = variables.params["layers"]["0"]
    np.testing.assert_allclose(
        model.apply(variables, INPUTS, method="first", scale=2.0)[0],
        2 * (INPUTS @ first["kernel"] + first["bias"][None]),
        rtol=1e-5,
    )
    sample, _ = model.apply(variables, INPUTS, key=jax.random.key(0), method="sample")
    assert sample.shape == INPUTS.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {k: v for k, v in p.items() if k != "norm"}, "missing: norm.bias, norm.scale"),
        (lambda p: {**p, "head": jnp.zeros(2)}, "surplus: head"),
        (lambda p: {**p, "norm": {**p["norm"], "bias": jnp.zeros(4)}}, r"norm.bias \(4,\) for \(3"),
        (lambda p: jax.tree.map(lambda x: jnp.stack([x, x]), p), "vmap over apply"),
    ],
)
def test_params_of_another_model_are_named(net, change, said):
    model, variables = net
    with pytest.raises(ValueError, match=f"these params are not the model's.*{said}"):
        model.apply(Variables(change(variables.params), variables.buffers), INPUTS)
    with pytest.raises(ValueError, match="these buffers are not the model's"):
        model.apply(Variables(variables.params, {}), INPUTS)


def test_a_call_changes_nothing_but_its_result(net):
    model, variables = net
    before = jax.tree.map(np.array, variables)
    first, _ = model.apply(variables, INPUTS)
    model.apply(variables, INPUTS, key=jax.random.key(0), train=True)
    again, _ = model.apply(variables, INPUTS)
    np.testing.assert_array_equal(first, again)
    jax.tree.map(np.testing.assert_array_equal, variables, before)


def test_arrays_of_numpy_are_not_written_to():
    model = functional(lambda rngs: nnx.BatchNorm(3, momentum=0.9, rngs=rngs))
    variables = jax.tree.map(np.array, model.init(jax.random.key(0)))
    _, after = model.apply(variables, INPUTS, train=True)
    np.testing.assert_array_equal(variables.buffers["mean"], np.zeros(3))
    np.testing.assert_allclose(after["mean"], 0.1 * INPUTS.mean(0), rtol=1e-5)
    closed = jax.jit(lambda x: model.apply(variables, x, train=True)[1])(INPUTS)
    np.testing.assert_allclose(closed["mean"], after["mean"], rtol=1e-5)


def test_each_member_of_a_vmap_has_its_own_params(net):
    model, _ = net
    keys = jax.random.split(jax.random.key(0), 2)
    members = jax.vmap(model.init)(keys)
    together, _ = jax.vmap(lambda v: model.apply(v, INPUTS))(members)
    for number, key in enumerate(keys):
        np.testing.assert_allclose(
            together[number], model.apply(model.init(key), INPUTS)[0], rtol=1e-5, atol=1e-6
        )


GRAPH_MODE = """
import hashlib, jax, jax.numpy as jnp, numpy as np
from flax import nnx
from jdl.functional import functional

class Recurrent(nnx.Module):
    def __init__(self, rngs):
        self.cells = nnx.List(nnx.LSTMCell(3, 3, rngs=rngs) for _ in range(1))
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)
    def __call__(self, x, *, rngs=None):
        for cell in self.cells:
            carry = (jnp.zeros([x.shape[0], 3]), jnp.zeros([x.shape[0], 3]))
            def step(carry, x, cell=cell):
                return cell(carry, x)
            _, x = jax.lax.scan(step, carry, x.swapaxes(0, 1))
            x = x.swapaxes(0, 1)
        return self.dropout(self.norm(x), rngs=rngs)

model = functional(Recurrent)
variables = model.init(jax.random.key(0))
x = jax.random.normal(jax.random.key(1), [2, 5, 3])
def loss(params):
    outputs, buffers = model.apply(variables._replace(params=params), x, key=jax.random.key(2),
                                   train=True)
    return jnp.sum(outputs ** 2), buffers
(value, buffers), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables.params)
out = [jax.jit(model.apply)(variables, x)[0], value, buffers, gradient, variables]
print(hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in jax.tree.leaves(out))).hexdigest())
print(nnx.set_graph_mode.current_value())
"""


def test_graph_mode_of_nnx_changes_no_bit():
    results = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", GRAPH_MODE],
            env={**os.environ, "NNX_GRAPH_MODE": mode, "NNX_GRAPH_UPDATES": mode},
            capture_output=True,
            text=True,
            check=False,
        )
        for mode in ("true", "false")
    ]
    assert [result.returncode for result in results] == [0, 0], results[1].stderr[-2000:]
    (on, is_on), (off, is_off) = (result.stdout.split() for result in results)
    assert (is_on, is_off) == ("True", "False")
    assert on == off
