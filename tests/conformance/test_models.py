"""What every model must do, whatever it is.

Results are looked at with NumPy: eager JAX would compile each look for each shape.
"""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model, Variables
from tests.conformance.case import quick
from tests.conformance.catalogue import MODELS

MEMBERS = 2


def _member_keys():
    return jax.random.split(jax.random.key(0), MEMBERS)


class Prepared:
    """A case with its programs, compiled once for all the tests of it."""

    def __init__(self, case):
        self.case, self.model = case, case.make()
        self.key = jax.random.key(2) if case.noisy else None
        self.init = quick(self.model.init)
        self.variables = self.init(jax.random.key(0))
        self.members = quick(jax.vmap(self.model.init))(_member_keys())
        # Traced once for all programs that evaluate.
        self.traced = jax.jit(self.evaluation)
        self.evaluate = quick(self.traced)

    def evaluation(self, variables, key):
        return _evaluation(self.model, self.case, variables, key)

    def program(self):
        """That of an evaluation, traced anew, but for addresses."""
        traced = jax.make_jaxpr(lambda *inputs: self.evaluation(*inputs))(self.variables, self.key)
        return re.sub("0x[0-9a-f]+", "", str(traced))

    def loss(self, params, buffers, key):
        """A generic function of the outputs of a training pass."""
        variables, options = Variables(params, buffers), dict(self.case.options)
        outputs, buffers = self.model.apply(
            variables, *self.case.inputs, key=key, train=True, **options
        )
        random = np.random.default_rng(0)
        terms = [jnp.sum(x * random.normal(size=x.shape).astype(x.dtype)) for x in _floats(outputs)]
        return sum(terms), buffers

    def perturbed(self):
        """Params at no special point: a layer that starts at zero would stop gradients."""
        random = np.random.default_rng(1)
        return jax.tree.map(
            lambda x: (
                np.asarray(x) + 0.05 * random.normal(size=x.shape).astype(x.dtype)
                if jnp.issubdtype(x.dtype, jnp.floating)
                else x
            ),
            self.variables.params,
        )


def _marked(name):
    return pytest.param(name, marks=pytest.mark.slow) if MODELS[name].slow else name


@pytest.fixture(scope="module", params=map(_marked, MODELS))
def prepared(request):
    return Prepared(MODELS[request.param])


def test_it_is_a_model(prepared):
    assert isinstance(prepared.model, Model)


def test_init_depends_on_the_key_alone(prepared):
    again = prepared.init(jax.random.key(0))
    assert _equal(again, prepared.variables)
    other = prepared.init(jax.random.key(1))
    assert not _equal(other, again) or not jax.tree.leaves(again)
    assert isinstance(again, Variables)


def test_init_of_members_is_a_vmap(prepared):
    for number, key in enumerate(_member_keys()):
        _close(_member(prepared.members, number), prepared.init(key), 1e-6)


def test_evaluation_repeats_and_leaves_the_buffers_alone(prepared):
    outputs, buffers = prepared.evaluate(prepared.variables, prepared.key)
    again, _ = prepared.evaluate(prepared.variables, prepared.key)
    assert _equal(outputs, again)
    assert _equal(buffers, prepared.variables.buffers)
    assert all(np.isfinite(x).all() for x in _floats(outputs))


def test_training_leaves_no_trace_in_the_model(prepared):
    before = prepared.program()
    jax.eval_shape(prepared.loss, *prepared.variables, jax.random.key(0))
    assert prepared.program() == before


def test_a_finite_gradient_reaches_every_parameter_and_each_key_is_used_once(prepared):
    params, buffers = prepared.perturbed(), prepared.variables.buffers
    with jax.debug_key_reuse(True):
        step = quick(jax.value_and_grad(prepared.loss, has_aux=True))
        # XLA compiles this generator in less time than threefry, once for each dropout.
        (_, after), gradient = step(params, buffers, jax.random.key(3, impl="unsafe_rbg"))
    _same_type(after, buffers)
    still = []
    for path, x in jax.tree.leaves_with_path(gradient):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        assert np.isfinite(x).all(), name
        if not np.any(x):
            still.append(name)
    assert sorted(still) == sorted(prepared.case.unused)


def test_an_ensemble_is_a_vmap(prepared):
    together, _ = quick(jax.vmap(prepared.traced, (0, None)))(prepared.members, prepared.key)
    for number in range(MEMBERS):
        alone, _ = prepared.evaluate(_member(prepared.members, number), prepared.key)
        _close(_member(together, number), alone, prepared.case.tolerance)


WITH_DTYPE = [
    name for name, case in MODELS.items() if "dtype" in inspect.signature(case.make).parameters
]


@pytest.mark.parametrize("name", WITH_DTYPE)
def test_half_precision_computes_in_it_and_keeps_params_in_full(name):
    case = MODELS[name]
    model, key = case.make(dtype=jnp.bfloat16), jax.random.key(2) if case.noisy else None
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert {x.dtype for x in _floats(variables.params)} == {jnp.dtype(jnp.float32)}
    outputs, _ = jax.eval_shape(lambda v: _evaluation(model, case, v, key), variables)
    wanted = jnp.bfloat16 if case.half else jnp.float32
    assert {x.dtype for x in _floats(outputs)} == {jnp.dtype(wanted)}


def _evaluation(model, case, variables, key):
    return model.apply(variables, *case.inputs, key=key, train=False, **case.options)


def _floats(tree):
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]


def _member(tree, number):
    return jax.tree.map(lambda x: np.asarray(x)[number], tree)


def _equal(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _close(a, b, tolerance):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=10 * tolerance, atol=tolerance), a, b
    )


def _same_type(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
