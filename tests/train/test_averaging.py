import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.train import (
    averaged,
    copied,
    debiased_ema,
    descent,
    ema,
    fit,
    gradient,
    model_variables,
    polyak,
    reestimated,
    run,
    swa,
    with_average,
    with_target,
)
from tests.train import fit_case as case

STEPS = 50


def square(params, buffers, batch, key):
    return jnp.sum((params - batch) ** 2), (buffers, {})


@pytest.fixture(scope="module")
def iterates():
    """Params after 0, 1, ... steps of noisy descent [51, 2], and the batches."""
    batches = np.random.default_rng(0).normal(size=[STEPS, 2]).astype(np.float32)
    params, found = np.array([3.0, -1.0]), []
    for batch in batches:
        found.append(params)
        params = params - 0.1 * 2 * (params - batch)
    return np.array([*found, params]), batches


def average_of(weight, batches):
    algorithm = with_average(descent(gradient(square), optax.sgd(0.1)), weight)
    state = algorithm.init(Variables(jnp.array([3.0, -1.0])))
    keep = lambda state, info: averaged(state).params  # noqa: E731
    return run(algorithm, state, batches, jax.random.key(0), keep=keep)


def test_ema_is_its_recursion(iterates):
    expected, average = [], iterates[0][0]
    for params in iterates[0][1:]:
        average = 0.9 * average + 0.1 * params
        expected.append(average)
    np.testing.assert_allclose(average_of(ema(0.9), iterates[1])[1], expected, rtol=1e-5, atol=1e-6)


def test_ema_is_that_of_optax_but_for_where_it_starts(iterates):
    transform = optax.ema(0.9, debias=False)
    state = transform.init(jnp.zeros(2))
    for params in iterates[0][1:]:
        average, state = transform.update(jnp.asarray(params, jnp.float32), state)
    expected = average + 0.9**STEPS * iterates[0][0]
    np.testing.assert_allclose(average_of(ema(0.9), iterates[1])[1][-1], expected, rtol=1e-4)


def test_debiased_ema_is_that_of_optax(iterates):
    transform = optax.ema(0.9, debias=True)
    state, expected = transform.init(jnp.zeros(2)), []
    for params in iterates[0][1:]:
        average, state = transform.update(jnp.asarray(params, jnp.float32), state)
        expected.append(average)
    found = average_of(debiased_ema(0.9), iterates[1])[1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(found[0] - average_of(ema(0.9), iterates[1])[1][0]).max() > 0.1


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9999])
def test_weights_of_the_debiased_ema_are_exact_where_decay_is_near_1(decay):
    steps = np.arange(1, 1001)
    expected = (1 - decay) / (1 - np.float64(decay) ** steps)
    found = debiased_ema(decay)(jnp.asarray(steps, jnp.int32))
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("start", [0, 20])
def test_polyak_is_the_mean_of_the_iterates_after_the_start(iterates, start):
    found = average_of(polyak(start), iterates[1])[1]
    np.testing.assert_allclose(found[-1], iterates[0][start + 1 :].mean(0), rtol=1e-4)
    if start:
        np.testing.assert_allclose(found[start - 1], iterates[0][start], rtol=1e-5)


def test_swa_is_the_mean_of_every_tenth_iterate(iterates):
    found = average_of(swa(start=20, every=10), iterates[1])[1]
    np.testing.assert_allclose(found[-1], iterates[0][[20, 30, 40, 50]].mean(0), rtol=1e-4)
    np.testing.assert_allclose(found[-2], iterates[0][[20, 30, 40]].mean(0), rtol=1e-4)
    np.testing.assert_allclose(found[9], iterates[0][10], rtol=1e-5)


def test_a_warm_up_of_the_decay_is_a_weight_too(iterates):
    weight = lambda t: 1 - jnp.minimum(0.99, (1 + t) / (10 + t))  # noqa: E731
    average = iterates[0][0]
    for t, params in enumerate(iterates[0][1:], start=1):
        average = average + (1 - min(0.99, (1 + t) / (10 + t))) * (params - average)
    np.testing.assert_allclose(average_of(weight, iterates[1])[1][-1], average, rtol=1e-4)


def test_the_run_itself_is_as_without_an_average(iterates):
    state, _ = average_of(ema(0.9), iterates[1])
    np.testing.assert_allclose(state.variables.params, iterates[0][-1], rtol=1e-4)


def test_fit_evaluates_and_keeps_the_average():
    algorithm = with_average(case.algorithm, ema(0.95))
    start = algorithm.init(case.model.init(jax.random.key(0)))
    fitted = fit(
        algorithm,
        start,
        case.data(),
        jax.random.key(0),
        steps=20,
        batch_size=10,
        evaluate=case.evaluate,
        view=averaged,
    )
    assert float(case.evaluate(fitted.best)["loss"]) == pytest.approx(
        float(fitted.evaluations["loss"][-1]), rel=1e-5
    )
    jax.tree.map(np.testing.assert_array_equal, fitted.best, averaged(fitted.state))
    assert not np.allclose(
        fitted.best.params["dense2"]["kernel"], fitted.state.variables.params["dense2"]["kernel"]
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: ema(1.0),
        lambda: ema(-0.1),
        lambda: debiased_ema(1.0),
        lambda: polyak(-1),
        lambda: swa(0, 0),
        lambda: copied(0),
    ],
)
def test_numbers_out_of_range_are_named(make):
    with pytest.raises(ValueError, match=r"(lies in|at least|expected).*got"):
        make()


def to_target(params, buffers, batch, key):
    """Pulls the params to 1 + target: a Bellman equation of one state."""
    loss = (params - (1.0 + 0.9 * buffers["target"])) ** 2
    return jnp.sum(loss), (buffers, {"target": jnp.sum(buffers["target"])})


@pytest.mark.parametrize("name", ["soft", "hard"])
def test_the_objective_sees_the_target_and_does_not_move_it(name):
    weight = {"soft": ema(0.8), "hard": copied(3)}[name]
    algorithm = with_target(descent(gradient(to_target), optax.sgd(0.25)), weight)
    state = algorithm.init(Variables(jnp.array(5.0), ()))
    params = target = 5.0
    for t in range(1, 11):
        state, info = algorithm.step(state, None, jax.random.key(t))
        assert float(info["target"]) == pytest.approx(target, rel=1e-5)
        params = params - 0.25 * 2 * (params - (1 + 0.9 * target))
        if name == "soft":
            target = 0.8 * target + 0.2 * params
        elif t % 3 == 0:
            target = params
        assert float(state.variables.params) == pytest.approx(params, rel=1e-5)
        assert float(state.variables.buffers["target"]) == pytest.approx(target, rel=1e-5)


def test_the_model_is_evaluated_without_its_target(key):
    algorithm = with_target(case.algorithm, ema(0.9))
    variables = case.model.init(key)
    state = algorithm.init(variables)
    jax.tree.map(np.testing.assert_array_equal, model_variables(state.variables), variables)
    with pytest.raises(ValueError, match="the model's already"):
        model_variables(variables)


def test_reestimated_statistics_are_the_mean_of_those_of_the_batches(key):
    model = functional(lambda rngs: nnx.BatchNorm(3, momentum=0.97, rngs=rngs))
    batches = 2 + 3 * jax.random.normal(key, [5, 16, 3])
    buffers = reestimated(model, model.init(key), batches).buffers
    np.testing.assert_allclose(buffers["mean"], batches.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(buffers["var"], batches.var(1).mean(0), rtol=1e-4)


def test_buffers_that_a_pass_leaves_alone_stay(key):
    class Odd(nnx.Module):
        def __init__(self, rngs):
            self.scale = nnx.Variable(jnp.array(2.0))
            self.count = nnx.Variable(jnp.int32(7))
            self.linear = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.scale[...] * self.linear(x)

    model = functional(lambda rngs: Odd(rngs))
    variables = model.init(key)
    found = reestimated(model, variables, jnp.ones([2, 4, 3]))
    jax.tree.map(np.testing.assert_array_equal, found, variables)
