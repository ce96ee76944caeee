"""The two skeletons of CONTRIBUTING.md are what they say, and keep the laws."""

import doctest
import pathlib
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.train import gradient, run

ROOT = pathlib.Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = FENCE.findall((ROOT / "CONTRIBUTING.md").read_text())


def module_of(name, code):
    module = types.ModuleType(name)
    exec(compile(code, f"CONTRIBUTING.md: {name}", "exec"), module.__dict__)
    return module


HIGHWAY, LANGEVIN = map(module_of, ["highway", "langevin"], CODE)


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
