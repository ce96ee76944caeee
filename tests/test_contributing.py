"""The two skeletons of CONTRIBUTING.md are what they say, and keep the laws of the catalogue."""

import doctest
import functools
import inspect
import pathlib
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.train import gradient, run
from tests.conformance import test_algorithms, test_models
from tests.conformance.case import AlgorithmCase, ModelCase

ROOT = pathlib.Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = FENCE.findall((ROOT / "CONTRIBUTING.md").read_text())


def module_of(name, code):
    module = types.ModuleType(name)
    exec(compile(code, f"CONTRIBUTING.md: {name}", "exec"), module.__dict__)
    return module


HIGHWAY, LANGEVIN = map(module_of, ["highway", "langevin"], CODE)


def laws(module):
    """The tests of a module of laws that take nothing but a prepared case."""
    found = [f for name, f in vars(module).items() if name.startswith("test_")]
    prepared = {"prepared", "vmappable", "divisible"}
    return [f for f in found if inspect.signature(f).parameters.keys() <= prepared]


def walk():
    """A Langevin walk down the distance from the mean of a batch."""

    def objective(params, buffers, batch, key):
        return jnp.mean((batch - params["x"][None]) ** 2), (buffers, {})

    return LANGEVIN.langevin(gradient(objective), 0.1), Variables({"x": jnp.zeros([3])})


@pytest.fixture(scope="module")
def model():
    inputs = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    case = ModelCase(functools.partial(HIGHWAY.highway, 3), (inputs,))
    return test_models.Prepared(case)


@pytest.fixture(scope="module")
def algorithm():
    batch = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    return test_algorithms.Prepared(AlgorithmCase(walk, batch))


@pytest.mark.parametrize("law", laws(test_models), ids=lambda law: law.__name__)
def test_the_model_keeps_the_law(law, model):
    law(model)


@pytest.mark.parametrize("law", laws(test_algorithms), ids=lambda law: law.__name__)
def test_the_algorithm_keeps_the_law(law, algorithm):
    law(algorithm)


def test_there_are_laws():
    assert len(laws(test_models)) > 4 and len(laws(test_algorithms)) > 4


@pytest.mark.parametrize("module", [HIGHWAY, LANGEVIN], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


def test_a_highway_layer_with_a_closed_gate_is_the_identity(key):
    x = jax.random.normal(jax.random.key(1), [4, 3])
    for gate_bias, expected in [(-30.0, x), (30.0, None)]:
        model = HIGHWAY.highway(3, gate_bias=gate_bias)
        variables = model.init(key)
        if expected is None:
            transform = variables.params["transform"]
            expected = jnp.tanh(x @ transform["kernel"] + transform["bias"][None])
        np.testing.assert_allclose(model.apply(variables, x)[0], expected, rtol=1e-5, atol=1e-6)


def test_langevin_draws_from_the_density_of_its_loss():
    def objective(params, buffers, batch, key):
        return jnp.sum((params - 3) ** 2) / (2 * 0.25), (buffers, {})

    walk = LANGEVIN.langevin(gradient(objective), 0.005)
    state = walk.init(Variables(jnp.full([2000], 3.0)))  # 2000 walks side by side
    state, _ = jax.jit(lambda state, key: run(walk, state, None, key, length=400))(
        state, jax.random.key(0)
    )
    draws = state.variables.params
    assert abs(draws.mean() - 3) < 4 * 0.5 / 2000**0.5
    # The chain's variance is 0.25 / (1 - 0.005 / (2 * 0.25)); half the noise would halve it.
    np.testing.assert_allclose(draws.var(), 0.25 / 0.99, rtol=4 * (2 / 2000) ** 0.5)


def test_hooks_and_environments_have_one_version_of_ruff():
    pinned = re.search(r"^ruff==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"ruff==([\d.]+)", hooks)) == {pinned}


def test_what_the_pages_tell_to_make_can_be_made():
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / ".ci/run"]
    told = re.findall(
        r"^ *(?:- run: )?make ([a-z-]+)", "\n".join(p.read_text() for p in pages), re.M
    )
    assert len(told) > 4 and set(told) <= rules
