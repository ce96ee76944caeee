"""A scan over layers is the loop over them, noise included, in a program of one layer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.transformers.bert import bert
from jdl.models.transformers.gpt2 import gpt2, next_token
from jdl.models.transformers.vit import vit
from jdl.stacks import layers, run_stack, stacked, unstacked
from jdl.summary import summary
from jdl.train import descent, gradient
from jdl.train.ensemble import ensemble, members
from jdl.train.lora import lora
from tests.conformance.case import quick

KEY = jax.random.key(0)
TOKENS = np.random.default_rng(0).integers(0, 7, [2, 5])
IMAGES = np.random.default_rng(1).normal(size=[2, 4, 4, 3]).astype(np.float32)
SMALL_GPT2 = functools.partial(gpt2, 7, 6, 8, num_heads=2)
NETWORKS = {
    "gpt2": (functools.partial(SMALL_GPT2, num_layers=2), TOKENS, "__call__"),
    "bert": (functools.partial(bert, 7, 6, 8, 2, 2, pooler=False), TOKENS, "__call__"),
    "vit": (
        functools.partial(vit, 2, 8, 2, 2, image_size=4, num_classes=3, dropout_rate=0.2),
        IMAGES,
        "encode",
    ),
}
REMAT = jax.checkpoint_policies.dots_saveable


class Layer(nnx.Module):
    """x -> 2 x + a number 0 or 1 of noise for each entry: the digits of x are the layers' noise."""

    def __init__(self, rngs, activation=jax.nn.relu, features=3):
        self.scale = nnx.Param(jnp.full([features], 2.0))
        self.activation, self.dropout = activation, nnx.Dropout(0.5)

    def __call__(self, x, rngs):
        return self.activation(x * self.scale[None]) + self.dropout(
            jnp.full_like(x, 0.5), rngs=rngs
        )


class Tower(nnx.Module):
    def __init__(self, rngs, make=Layer, kinds=({},) * 4, **options):
        self.blocks = nnx.List(make(rngs, **kind) for kind in kinds)
        self.options = options

    def __call__(self, x, *, rngs=None):
        return run_stack(
            self.blocks, x, lambda block, x, rngs: block(x, rngs), rngs=rngs, **self.options
        )

    def scales(self):
        return [block.scale[0] for block in layers(self.blocks)]


def tower(**options):
    return functional(lambda rngs: Tower(rngs, **options), stacks=("blocks",))


X = np.zeros([40, 3], np.float32)


def pass_and_gradients(make, inputs, method, **options):
    model = make(**options)

    def run(variables):
        def loss(params):
            own = Variables(params, variables.buffers)
            found, _ = model.apply(own, inputs, key=KEY, train=True, method=method)
            found = jax.tree.leaves(found)[0]
            return jnp.sum(jnp.sin(found)), found

        return jax.grad(loss, has_aux=True)(variables.params)

    return run


@functools.cache
def looped(name):
    """Variables at no special point, and the loop's gradients and outputs."""
    like = jax.eval_shape(NETWORKS[name][0]().init, KEY)
    random = np.random.default_rng(2)
    variables = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(np.float32), like)
    return variables, quick(pass_and_gradients(*NETWORKS[name]))(variables)


def assert_same(found, expected):
    (gradients, outputs), (known, wanted) = found, expected
    np.testing.assert_allclose(outputs, wanted, atol=1e-6)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(known))
    for x, y in zip(jax.tree.leaves(gradients), jax.tree.leaves(known), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6 * largest)


@pytest.mark.parametrize(
    ("name", "options"),
    [("gpt2", {"scan_layers": True}), ("gpt2", {"remat": REMAT})],
    ids=["scan", "rematerialized"],
)
def test_outputs_and_gradients_are_the_loops_under_dropout_too(name, options):
    variables, expected = looped(name)
    assert_same(quick(pass_and_gradients(*NETWORKS[name], **options))(variables), expected)


@pytest.mark.parametrize(
    ("name", "remat"), [("gpt2", False), ("bert", True), ("vit", REMAT)], ids=NETWORKS
)
def test_stacked_params_give_the_same(name, remat):
    variables, expected = looped(name)
    run = pass_and_gradients(*NETWORKS[name], scan_layers=True, remat=remat)
    params = stacked(variables.params, "blocks")
    gradients, outputs = quick(run)(Variables(params, variables.buffers))
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, params)
    assert_same((unstacked(gradients, "blocks"), outputs), expected)


@pytest.mark.parametrize("options", [{"scan_layers": True}, {"remat": True}])
def test_each_layer_has_its_own_noise_and_a_key_gives_it_again(options):
    model = tower(**options)
    variables = model.init(KEY)
    run = jax.jit(lambda key: model.apply(variables, X, key=key, train=True)[0])
    digits = np.asarray(run(KEY)).astype(int)
    noise = [digits >> layer & 1 for layer in range(4)]
    assert all(np.mean(a != b) > 0.2 for i, a in enumerate(noise) for b in noise[:i])
    loop = tower().apply(variables, X, key=KEY, train=True)[0]
    np.testing.assert_array_equal(digits, loop)
    np.testing.assert_array_equal(digits, run(KEY))
    assert np.mean(digits != run(jax.random.key(1))) > 0.5


def test_noise_behind_a_stack_goes_on_as_behind_the_loop():
    class Two(nnx.Module):
        def __init__(self, rngs, **options):
            self.tower, self.dropout = Tower(rngs, **options), nnx.Dropout(0.5)

        def __call__(self, x, *, rngs=None):
            return self.tower(x, rngs=rngs) + self.dropout(jnp.ones_like(x), rngs=rngs)

    models = [functional(lambda rngs, o=o: Two(rngs, **o)) for o in ({}, {"scan_layers": True})]
    variables = models[0].init(KEY)
    found, expected = (m.apply(variables, X, key=KEY, train=True)[0] for m in models)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_the_backward_pass_keeps_the_stream_alone_or_what_the_policy_says(scan_layers):
    def kept(remat):
        model = SMALL_GPT2(num_layers=3, dropout_rate=0.0, scan_layers=scan_layers, remat=remat)
        variables = jax.eval_shape(model.init, KEY)
        residuals = jax.eval_shape(
            lambda v: jax.vjp(lambda v: model.apply(v, TOKENS)[0], v)[1], variables
        )
        return sum(x.size for x in jax.tree.leaves(residuals))

    none, dots, all_values = map(kept, (True, jax.checkpoint_policies.dots_saveable, False))
    assert none + 3 * TOKENS.size * (4 + 3) * 8 <= dots < all_values


def lines(depth, joined):
    """Of the program of a training pass."""
    model = SMALL_GPT2(num_layers=depth, scan_layers=joined)
    params = jax.eval_shape(model.init, KEY).params
    if joined:
        params = jax.eval_shape(lambda params: stacked(params, "blocks"), params)

    def loss(params):
        return next_token(model)(params, (), TOKENS, KEY)[0]

    return len(jax.jit(jax.grad(loss)).lower(params).as_text().splitlines())


def test_the_program_of_a_stack_does_not_grow_with_the_layers():
    assert lines(2, joined=True) == lines(6, joined=True)
    assert lines(3, joined=False) > 1.2 * lines(2, joined=False)


@pytest.mark.parametrize(
    "kinds", [({}, {}, {"activation": jnp.tanh}), ({}, {}, {"features": 1})], ids=["form", "shape"]
)
def test_layers_that_differ_are_named_and_run_by_a_loop(kinds):
    model = tower(kinds=kinds, scan_layers=True)
    variables = model.init(KEY)
    with pytest.raises(ValueError, match="layer 2 is another than layer 0"):
        model.apply(variables, X)
    assert tower(kinds=kinds, remat=True).apply(variables, X)[0].shape == X.shape
    if "features" in kinds[2]:
        with pytest.raises(ValueError, match="'blocks' have other shapes"):
            stacked(variables.params, "blocks")


def test_frozen_layers_beside_trained_ones_are_not_scanned():
    model = tower(scan_layers=True)
    variables = model.init(KEY)
    with pytest.raises(ValueError, match=r"layer 3.*frozen"):
        model.apply(variables, X, key=KEY, train=lambda path: path.startswith("blocks.3"))


class Normed(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(3, rngs=rngs)

    def __call__(self, x, rngs):
        return self.norm(x)


@pytest.mark.parametrize("options", [{"scan_layers": True}, {"remat": True}])
def test_buffers_are_read_and_not_written(options):
    model = tower(make=Normed, **options)
    variables, x = model.init(KEY), X + 1
    expected = tower(make=Normed).apply(variables, x)[0]
    np.testing.assert_allclose(model.apply(variables, x)[0], expected, atol=1e-6)
    with pytest.raises(ValueError, match="writes a buffer"):
        model.apply(variables, x, train=True)


def test_mistakes_are_told():
    model = tower(scan_layers=True)
    variables = model.init(KEY)
    with pytest.raises(ValueError, match="needs a key"):
        model.apply(variables, X, train=True)
    with pytest.raises(ValueError, match="at least one layer"):
        tower(kinds=(), scan_layers=True).apply(Variables({}, {}), X)
    deep = stacked(variables.params, "blocks")
    short = jax.tree.map(lambda x: x[:2], deep)
    with pytest.raises(ValueError, match=r"blocks.scale \(2, 3\) for \(4, 3\)"):
        model.apply(Variables(short, {}), X)
    with pytest.raises(ValueError, match="has no layers 0, 1"):
        stacked(deep, "blocks")
    with pytest.raises(ValueError, match="there is no 'body.blocks'"):
        stacked(deep, "body.blocks")
    with pytest.raises(ValueError, match="no leaves with a common axis"):
        unstacked({"blocks": {"a": jnp.ones(2), "b": jnp.ones(3)}}, "blocks")


@pytest.mark.parametrize("scan_layers", [False, True])
def test_stacked_params_are_taken_by_methods_that_loop(scan_layers):
    model = tower(scan_layers=scan_layers)
    params = {"blocks": {str(i): {"scale": jnp.full(3, i)} for i in range(4)}}
    deep = Variables(stacked(params, "blocks"))
    assert [x.item() for x in model.apply(deep, method="scales")[0]] == [0, 1, 2, 3]
    expected = model.apply(Variables(params), X + 1)[0]
    np.testing.assert_array_equal(model.apply(deep, X + 1)[0], expected)


def test_half_precision_ensembles_adapters_and_counts_go_through():
    half = SMALL_GPT2(num_layers=2, scan_layers=True, remat=True, dtype=jnp.bfloat16)
    variables = jax.eval_shape(half.init, KEY)
    assert jax.eval_shape(half.apply, variables, TOKENS)[0].dtype == jnp.bfloat16

    model = SMALL_GPT2(num_layers=2, scan_layers=True)
    algorithm = ensemble(descent(gradient(next_token(model)), optax.adam(1e-3)))
    state = jax.eval_shape(lambda key: algorithm.init(members(model, 3).init(key)), KEY)
    after, info = jax.eval_shape(algorithm.step, state, TOKENS, KEY)
    assert info["loss"].shape == (3,)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)

    base = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), variables)
    adapted = lora(model, base, "blocks.*.query_key_value.kernel", rank=2)
    own = jax.eval_shape(adapted.init, KEY)
    assert len(own.params) == 2
    assert jax.eval_shape(adapted.apply, own, TOKENS)[0].shape == (2, 5, 7)
    assert str(summary(model)) == str(summary(SMALL_GPT2(num_layers=2)))
