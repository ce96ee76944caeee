"""The adapters against the libraries' own apply."""

import builtins

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.adapters import from_equinox, from_linen
from jdl.core import Variables
from jdl.train import descent, gradient

INPUTS = jax.random.normal(jax.random.key(7), [6, 3])


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x))

    def encode(self, x):
        return 2 * x


class EquinoxNet(eqx.Module):
    dense: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    counts: jax.Array

    def __init__(self, key):
        self.dense = eqx.nn.Linear(3, 4, key=key)
        self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.5)
        self.counts = jnp.arange(4)

    def __call__(self, x, state, *, key=None):
        x, state = self.norm(self.dense(x), state)
        return self.dropout(x + self.counts, key=key), state


@pytest.fixture(scope="module")
def linen():
    model = from_linen(LinenNet(), jax.ShapeDtypeStruct([1, 3], jnp.float32))
    return model, model.init(jax.random.key(0))


@pytest.fixture(scope="module")
def equinox():
    model = from_equinox(eqx.nn.make_with_state(EquinoxNet))
    return model, model.init(jax.random.key(0))


def test_linen_outputs_and_statistics_equal_linens(linen):
    model, variables = linen
    own = {"params": variables.params, **variables.buffers}
    outputs, buffers = model.apply(variables, INPUTS)
    np.testing.assert_array_equal(outputs, LinenNet().apply(own, INPUTS))
    assert buffers is variables.buffers

    key = jax.random.key(3)
    outputs, buffers = model.apply(variables, INPUTS, key=key, train=True)
    noise = {"dropout": jax.random.split(key, 1)[0]}
    expected, after = LinenNet().apply(own, INPUTS, train=True, rngs=noise, mutable=["batch_stats"])
    np.testing.assert_array_equal(outputs, expected)
    jax.tree.map(np.testing.assert_array_equal, buffers, dict(after))
    assert not jnp.array_equal(
        buffers["batch_stats"]["BatchNorm_0"]["mean"],
        variables.buffers["batch_stats"]["BatchNorm_0"]["mean"],
    )


def test_linen_variables_have_linens_names_and_distributions(linen):
    model, variables = linen
    own = LinenNet().init(jax.random.key(0), INPUTS)
    shapes = jax.tree.map(jnp.shape, {"params": variables.params, **variables.buffers})
    assert shapes == jax.tree.map(jnp.shape, dict(own))


def test_linen_takes_other_methods(linen):
    model, variables = linen
    np.testing.assert_array_equal(model.apply(variables, INPUTS, method="encode")[0], 2 * INPUTS)


def test_linen_noise_without_a_key_says_what_to_do(linen):
    model, variables = linen
    with pytest.raises(ValueError, match=r"streams \('dropout',\).*key=jax.random.key"):
        model.apply(variables, INPUTS, train=True)


def test_equinox_outputs_and_state_equal_equinoxs(equinox):
    model, variables = equinox
    module, state = eqx.nn.make_with_state(EquinoxNet)(jax.random.key(0))
    np.testing.assert_allclose(variables.params["dense"]["weight"], module.dense.weight, rtol=1e-6)
    key = jax.random.key(3)
    expected, after = jax.vmap(
        lambda x, key: module(x, state, key=key), axis_name="batch", out_axes=(0, None)
    )(INPUTS, jax.random.split(key, len(INPUTS)))
    outputs, buffers = model.apply(variables, INPUTS, key=key, train=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(buffers["state"]), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    inference = eqx.nn.inference_mode(module)
    expected, _ = jax.vmap(lambda x: inference(x, after), axis_name="batch", out_axes=(0, None))(
        INPUTS
    )
    outputs, again = model.apply(Variables(variables.params, buffers), INPUTS)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    assert again is buffers


def test_equinox_integers_are_buffers_and_arrays_have_paths(equinox):
    _, variables = equinox
    assert jax.tree.map(jnp.shape, variables.params) == {
        "dense": {"weight": (4, 3), "bias": (4,)},
        "norm": {"weight": (4,), "bias": (4,)},
    }
    np.testing.assert_array_equal(variables.buffers["module"]["counts"], jnp.arange(4))


def test_equinox_params_of_another_model_say_which_were_expected(equinox):
    model, variables = equinox
    wrong = Variables({"dense": variables.params["dense"]}, variables.buffers)
    with pytest.raises(ValueError, match="expected .*'norm.weight'.*; got .*'dense.weight'"):
        model.apply(wrong, INPUTS)


@pytest.mark.parametrize("adapted", ["linen", "equinox"])
def test_an_adapted_model_trains_by_descent_in_one_trace(adapted, request):
    model, variables = request.getfixturevalue(adapted)
    traces = []

    def objective(params, buffers, batch, key):
        traces.append(None)
        outputs, buffers = model.apply(Variables(params, buffers), batch, key=key, train=True)
        return jnp.mean((outputs - 1) ** 2), (buffers, {})

    algorithm = descent(gradient(objective), optax.sgd(0.1))
    step, state = jax.jit(algorithm.step), algorithm.init(variables)
    for own in jax.random.split(jax.random.key(0), 3):
        state, info = step(state, INPUTS, own)
    assert len(traces) == 1 and jnp.isfinite(info["loss"])


def test_without_equinox_the_error_names_the_package(monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name == "equinox":
            raise ModuleNotFoundError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install equinox"):
        from_equinox(lambda key: None)
