import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.train import Player, descent, ensemble, fit, game, gradient, members, run
from tests.train import fit_case as case

SIZE = 3
# SGD: Adam would blow up the rounding error of the bias before BatchNorm, whose gradient is 0.
ONE = descent(gradient(case.objective), optax.sgd(0.05))


def batches(steps):
    x, y = case.data(size=8 * steps)
    return x.reshape(steps, 8, 4), y.reshape(steps, 8, 1)


def separately(state, batches, keys, member_batches=False):
    """Each member by itself, with the keys that the ensemble gives it, one step after another."""
    step, results = jax.jit(ONE.step), []
    for m in range(SIZE):
        own = jax.tree.map(lambda x, m=m: x[m], state)
        for i, key in enumerate(keys):
            batch = jax.tree.map(lambda x, i=i: x[i], batches)
            batch = jax.tree.map(lambda x, m=m: x[m], batch) if member_batches else batch
            own, _ = step(own, batch, jax.random.split(key, SIZE)[m])
        results.append(own)
    return jax.tree.map(lambda *x: jnp.stack(x), *results)


def assert_close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other)


@pytest.fixture(scope="module")
def start():
    variables = members(case.model, SIZE).init(jax.random.key(0))
    return ensemble(ONE).init(variables)


def test_members_are_what_they_would_be_alone(start, key):
    algorithm, data = ensemble(ONE), batches(5)
    together, _ = jax.jit(lambda *args: run(algorithm, *args))(start, data, key)
    assert_close(together, separately(start, data, jax.random.split(key, 5)))


def test_members_may_have_data_of_their_own(start, key):
    algorithm = ensemble(ONE, batch_axis=0)
    data = jax.tree.map(lambda x: x.reshape(2, SIZE, *x.shape[1:]), batches(2 * SIZE))
    together, _ = jax.jit(lambda *args: run(algorithm, *args))(start, data, key)
    assert_close(together, separately(start, data, jax.random.split(key, 2), member_batches=True))


def test_members_begin_and_stay_different(start):
    kernel = start.variables.params["dense1"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_outputs_of_members_are_those_of_each(start, key):
    x, _ = case.data()
    outputs, _ = members(case.model, SIZE).apply(start.variables, x)
    for m in range(SIZE):
        own = jax.tree.map(lambda leaf, m=m: leaf[m], start.variables)
        np.testing.assert_allclose(outputs[m], case.model.apply(own, x)[0], rtol=1e-5, atol=1e-6)


def test_each_member_draws_noise_of_its_own(key):
    model = members(case.model, 2)
    one = jax.tree.map(lambda x: jnp.stack([x, x]), case.model.init(key))
    outputs, buffers = model.apply(one, case.data()[0], key=key, train=True)
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01
    assert buffers["norm"]["mean"].shape == (2, 8)


def test_fit_takes_an_ensemble_as_any_algorithm(start, key):
    fitted = fit(ensemble(ONE), start, case.data(), key, steps=30, batch_size=10)
    assert fitted.history["loss"].shape == (30, SIZE)
    assert (fitted.history["loss"][-5:].mean(0) < fitted.history["loss"][:5].mean(0)).all()


def test_games_and_ensembles_are_members_too(key):
    def objective(params, buffers, batch, key):
        return jnp.sum((params["one"] - params["other"]) ** 2), (buffers, {})

    players = {name: Player(objective, optax.sgd(0.1)) for name in ("one", "other")}
    algorithm = ensemble(ensemble(game(players)))
    variables = Variables({"one": jnp.ones([2, 3, 4]), "other": jnp.zeros([2, 3, 4])})
    state, info = algorithm.step(algorithm.init(variables), None, key)
    assert info["one"]["loss"].shape == (2, 3)
    np.testing.assert_allclose(state.variables.params["one"], 0.8)


def test_variables_without_an_axis_of_members_are_named(key):
    with pytest.raises(ValueError, match="leading axis of members on every leaf; got"):
        ensemble(ONE).init(case.model.init(key))
    with pytest.raises(ValueError, match="at least one member; got size=0"):
        members(case.model, 0)


def test_an_ensemble_descends_like_its_members_not_like_their_mean(key):
    def square(params, buffers, batch, key):
        return jnp.sum((params - batch) ** 2), (buffers, {})

    algorithm = ensemble(descent(gradient(square), optax.sgd(0.25)))
    state = algorithm.init(Variables(jnp.array([[0.0], [4.0]])))
    state, info = algorithm.step(state, jnp.ones(1), key)
    np.testing.assert_allclose(state.variables.params, [[0.5], [2.5]])
    np.testing.assert_allclose(info["loss"], [1.0, 9.0])
