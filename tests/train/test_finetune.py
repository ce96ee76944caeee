"""What is frozen stays, to the bit; rates have exact ratios; stages begin when they should."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.mlp import mlp
from jdl.train import classification, descent, gradient
from jdl.train.finetune import (
    frozen,
    frozen_features,
    in_evaluation,
    stagewise,
    with_new_head,
)
from jdl.train.transfer import TAXONOMY, advise, setting
from tests.conformance.case import quick

_random = np.random.default_rng(0)
INPUTS = _random.normal(size=[6, 3]).astype(np.float32)
LABELS = np.arange(6, dtype=np.int32) % 2
BATCH = INPUTS, LABELS
STAGES = ["stem.*", ["norm.*", "middle.*"], "head.*"]


class Net(nnx.Module):
    """Three stages, with batch statistics and dropout in the base and in the head."""

    def __init__(self, rngs):
        self.stem = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.5, rngs=rngs)
        self.middle = nnx.Linear(4, 5, rngs=rngs)
        self.head = Head(rngs)
        self.dropout = nnx.Dropout(0.5)

    def features(self, x, *, rngs=None):
        return jnp.tanh(self.middle(self.dropout(self.norm(self.stem(x)), rngs=rngs)))

    def __call__(self, x, *, rngs=None):
        return self.head(self.features(x, rngs=rngs), rngs=rngs)


class Head(nnx.Module):
    """A dropout that may be off, normalisation and a linear layer."""

    def __init__(self, rngs, rate=0.0):
        self.dropout = nnx.Dropout(rate)
        self.norm = nnx.BatchNorm(5, momentum=0.5, rngs=rngs)
        self.linear = nnx.Linear(5, 2, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return self.linear(self.norm(self.dropout(x, rngs=rngs)))


MODEL = functional(Net)


@pytest.fixture(scope="module")
def variables():
    drawn = MODEL.init(jax.random.key(0))
    buffers = jax.tree.map(lambda x: x + 0.3, drawn.buffers)  # as if there had been training
    return Variables(drawn.params, buffers)


def trained(model, optimizer, variables, steps=3, batch=BATCH):
    algorithm = descent(gradient(classification(model)), optimizer)
    step, states = quick(algorithm.step), [algorithm.init(variables)]
    for number in range(steps):
        states.append(step(states[-1], batch, jax.random.key(number))[0])
    assert step._cache_size() == 1
    return states


def equal(a, b):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


@pytest.fixture(scope="module")
def head_alone(variables):
    optimizer = stagewise(optax.adamw, STAGES, 0.1, last=1)
    return trained(frozen(MODEL, "head.*"), optimizer, variables)


def test_frozen_params_and_statistics_stay_to_the_bit_and_the_others_move(head_alone, variables):
    params, buffers = head_alone[-1].variables
    for part in ("stem", "norm", "middle"):
        assert equal(params[part], variables.params[part])
    assert equal(buffers["norm"], variables.buffers["norm"])
    assert not equal(params["head"]["linear"], variables.params["head"]["linear"])
    assert not equal(buffers["head"], variables.buffers["head"])


def test_the_optimizer_holds_no_moments_of_what_is_frozen(head_alone, variables):
    held = sum(x.size for x in jax.tree.leaves(head_alone[0].optimizer))
    head = sum(x.size for x in jax.tree.leaves(variables.params["head"]))
    assert held == 2 * head + 1


def test_training_mode_alone_would_normalise_the_frozen_features_by_the_batch(variables):
    outputs, buffers = MODEL.apply(variables, INPUTS, key=jax.random.key(0), train=True)
    assert not equal(buffers["norm"], variables.buffers["norm"])
    still = frozen(MODEL, ["head.*"])
    frozen_outputs, _ = still.apply(variables, INPUTS, key=jax.random.key(0), train=True)
    base, _ = MODEL.apply(variables, INPUTS, method="features")
    means = base.mean(0)[None]
    norm, linear = variables.params["head"]["norm"], variables.params["head"]["linear"]
    seen = (base - means) / np.sqrt(((base - means) ** 2).mean(0)[None] + 1e-5)
    seen = seen * norm["scale"][None] + norm["bias"][None]
    wanted = seen @ linear["kernel"] + linear["bias"][None]
    np.testing.assert_allclose(frozen_outputs, wanted, rtol=1e-4, atol=1e-5)
    assert np.abs(outputs - wanted).max() > 1e-2


def test_a_dropout_drops_where_its_path_learns(variables):
    def outputs(learning, seed):
        return frozen(MODEL, learning).apply(
            variables, INPUTS, key=jax.random.key(seed), train=True
        )[0]

    assert equal(outputs("head.*", 0), outputs("head.*", 1))
    assert not equal(outputs(["head.*", "dropout*"], 0), outputs(["head.*", "dropout*"], 1))


def test_evaluation_is_that_of_the_model(variables):
    for model in (frozen(MODEL, "head.*"), in_evaluation(MODEL, "*")):
        assert equal(model.apply(variables, INPUTS), MODEL.apply(variables, INPUTS))


def test_a_module_in_evaluation_keeps_its_statistics_and_passes_gradients(variables):
    model = in_evaluation(MODEL, ["norm.*", "dropout*"])

    def loss(params):
        outputs, buffers = model.apply(
            Variables(params, variables.buffers), INPUTS, key=jax.random.key(0), train=True
        )
        return jnp.sum(outputs**2), buffers

    slopes, buffers = jax.grad(loss, has_aux=True)(variables.params)
    assert equal(buffers["norm"], variables.buffers["norm"])
    assert not equal(buffers["head"], variables.buffers["head"])
    assert np.abs(slopes["stem"]["kernel"]).max() > 1e-5


def test_features_computed_once_train_the_head_that_freezing_trains(variables):
    base = jax.jit(lambda x: MODEL.apply(variables, x, method="features")[0])
    features = frozen_features(base, INPUTS, batch_size=4)
    assert features.shape == (6, 5)
    own = Variables(variables.params["head"], variables.buffers["head"])
    there = trained(functional(Head), optax.adam(0.1), own, 5, (features, LABELS))[-1].variables
    here = trained(
        frozen(MODEL, "head.*"), stagewise(optax.adam, STAGES, 0.1, last=1), variables, 5
    )
    found = here[-1].variables
    for a, b in [(found.params, there.params), (found.buffers, there.buffers)]:
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a["head"], b)


def test_features_need_inputs():
    with pytest.raises(ValueError, match="batch_size >= 1; got N=0"):
        frozen_features(lambda x: x, np.zeros([0, 2]))


def test_rates_under_gradient_descent_have_exact_ratios(variables):
    ones = jax.tree.map(jnp.ones_like, variables.params)
    optimizer = stagewise(optax.sgd, STAGES, 0.26)
    updates, _ = optimizer.update(ones, optimizer.init(ones), ones)
    for part, rate in [("head", 0.26), ("middle", 0.1), ("norm", 0.1), ("stem", 0.1 / 2.6)]:
        for x in jax.tree.leaves(updates[part]):
            np.testing.assert_allclose(x, -rate, rtol=1e-6)


def test_a_schedule_is_divided_too():
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    optimizer = stagewise(optax.sgd, ["a", "b"], lambda step: 1.0 + step, decay=2.0)
    state = optimizer.init(params)
    for number in range(2):
        updates, state = optimizer.update(params, state, params)
        assert (float(updates["a"][0]), float(updates["b"][0])) == (
            -(1 + number) / 2,
            -(1.0 + number),
        )


def test_stages_begin_one_after_another_with_a_fresh_optimizer(variables):
    optimizer = stagewise(optax.adam, STAGES, 0.1, decay=1.0, unfreeze_every=2)
    model = in_evaluation(MODEL, "*")
    states = [s.variables.params for s in trained(model, optimizer, variables, 5)]

    def moved(part):
        return [not equal(a[part], b[part]) for a, b in zip(states, states[1:], strict=False)]

    assert moved("head") == [True] * 5
    assert moved("middle") == moved("norm") == [False, False, True, True, True]
    assert moved("stem") == [False] * 4 + [True]
    # The first step of Adam is the rate times the sign: no trace of the steps before.
    first = states[3]["middle"]["kernel"] - states[2]["middle"]["kernel"]
    np.testing.assert_allclose(np.abs(first), 0.1, rtol=1e-3)


def test_stages_that_do_not_fit_are_named(variables):
    with pytest.raises(ValueError, match="got 2.6, 4 of 3"):
        stagewise(optax.sgd, STAGES, 0.1, last=4)
    with pytest.raises(ValueError, match="matches norm.bias"):
        stagewise(optax.sgd, ["stem.*", "middle.*", "head.*"], 0.1).init(
            {k: variables.params[k] for k in ("norm", "stem", "middle", "head")}
        )
    with pytest.raises(ValueError, match=r"no parameter matches \['haed.*'\]; they are"):
        frozen(MODEL, "haed.*").apply(variables, INPUTS, train=True)


def test_a_new_head_sits_on_the_pretrained_base():
    old, new = mlp([2, 4, 10]), mlp([2, 4, 3])
    pretrained, fresh = old.init(jax.random.key(0)), new.init(jax.random.key(1))
    found = with_new_head(pretrained, fresh, "layers.1.*").params["layers"]
    assert equal(found["0"], pretrained.params["layers"]["0"])
    assert equal(found["1"], fresh.params["layers"]["1"])
    with pytest.raises(ValueError, match=r"layers.1.bias has shape \(10,\) .* \(3,\) in the fresh"):
        with_new_head(pretrained, fresh, "layers.1.kernel")
    with pytest.raises(ValueError, match="pretrained variables lack layers.2.bias, layers.2.ker"):
        with_new_head(pretrained, mlp([2, 4, 10, 3]).init(jax.random.key(1)), "layers.1.*")
    with pytest.raises(ValueError, match="fresh model has no layers.1.bias"):
        with_new_head(pretrained, mlp([2, 4]).init(jax.random.key(1)), "layers.0.*")
    with pytest.raises(ValueError, match=r"no parameter matches \['head.*'\]; they are"):
        with_new_head(pretrained, fresh, "head.*")


def test_a_new_head_brings_its_statistics(variables):
    fresh = MODEL.init(jax.random.key(5))
    found = with_new_head(variables, fresh, "head.*")
    assert equal(found.buffers["norm"], variables.buffers["norm"])
    assert equal(found.buffers["head"], fresh.buffers["head"])


def test_few_examples_freeze_more_and_likeness_transfers_more():
    advice = {
        (small, similar): advise(small=small, similar=similar)
        for small in (True, False)
        for similar in (True, False)
    }
    assert all(found.last == (1 if small else None) for (small, _), found in advice.items())
    assert advice[True, False].features_of == "early" and advice[True, True].features_of == "last"
    assert advice[False, True].decay > advice[False, False].decay == 1.0
    assert all(found.rate < 1 for (small, _), found in advice.items() if not small)


def test_settings_are_those_of_the_taxonomy():
    found = {setting(same_task=a, target_labels=b) for a, b in [(0, 0), (0, 1), (1, 0)]}
    assert found == {name for name, kind in TAXONOMY.items() if kind.of == "setting"}
    with pytest.raises(ValueError, match="none of the three"):
        setting(same_task=True, target_labels=True)
