"""The highway layer: its formula, gates shut and open, no bias, convolutions."""

import functools

import jax
import numpy as np
from flax import nnx

from jdl.functional import functional
from jdl.nn.highway import Highway
from tests.nn.test_convolution import EXACT
from tests.nn.test_residual import X, comes_in_half, made


def test_a_highway_is_its_formula_its_identity_and_its_transform():
    p, apply = made(functools.partial(Highway, 4))
    assert sum(x.size for x in jax.tree.leaves(p)) == 2 * 4 * 5
    x = X[0, 0]

    def affine(layer):
        return x @ layer["kernel"] + layer["bias"]

    gate = 1 / (1 + np.exp(-affine(p["gate"])))
    expected = gate * np.tanh(affine(p["transform"])) + (1 - gate) * x
    np.testing.assert_allclose(apply(p, x), expected, **EXACT)
    for bias, wanted in [(-40.0, x), (40.0, np.tanh(affine(p["transform"])))]:
        shut = {
            **p,
            "gate": {"kernel": 0 * p["gate"]["kernel"], "bias": np.full(4, bias, np.float32)},
        }
        np.testing.assert_allclose(apply(shut, x), wanted, **EXACT)


def test_a_highway_starts_near_the_identity_may_have_no_bias_and_may_convolve():
    model = functional(lambda rngs: Highway(4, gate_bias=-3.0, rngs=rngs))
    assert model.init(jax.random.key(0)).params["gate"]["bias"].tolist() == [-3] * 4
    bare = functional(lambda rngs: Highway(4, gate_bias=None, rngs=rngs))
    assert set(jax.eval_shape(bare.init, jax.random.key(0)).params["gate"]) == {"kernel"}
    layer = functools.partial(nnx.Conv, kernel_size=(3, 3))
    maps = functional(lambda rngs: Highway(4, layer=layer, rngs=rngs))
    variables = jax.eval_shape(maps.init, jax.random.key(0))
    assert jax.eval_shape(maps.apply, variables, X)[0].shape == X.shape


def test_half_precision_goes_through():
    builds = [functools.partial(Highway, 4)]
    assert all(comes_in_half(build) for build in builds)
