import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Variables
from jdl.train import run
from jdl.train.search import random_search, simulated_annealing


def parabola(params, buffers, batch, key):
    return 0.5 * params**2, (buffers, {})


def double_well(params, buffers, batch, key):
    return (params**2 - 1) ** 2 + 0.6 * params, (buffers, {})


def chains(algorithm, start, steps, count=200):
    """The params [count, steps] and the info of chains side by side."""

    @jax.jit
    @jax.vmap
    def chain(key):
        state = algorithm.init(Variables(jnp.array(start)))
        kept = lambda state, info: (state.variables.params, info)  # noqa: E731
        return run(algorithm, state, None, key, length=steps, keep=kept)[1]

    params, info = chain(jax.random.split(jax.random.key(0), count))
    return np.asarray(params), jax.tree.map(np.asarray, info)


def test_at_a_constant_temperature_annealing_draws_from_its_boltzmann_density():
    temperature = 0.5
    draws, _ = chains(simulated_annealing(parabola, lambda t: 1.5, lambda t: temperature), 0.0, 300)
    late = draws[:, 100::20]  # var of 0.5 w^2 / T is T
    assert abs(late.mean()) < 0.06
    assert abs(late.var() / temperature - 1) < 0.12


def test_cooling_finds_the_deeper_well_and_greed_does_not():
    cooling = simulated_annealing(double_well, lambda t: 0.5, lambda t: 0.99**t)
    greedy = simulated_annealing(double_well, lambda t: 0.2, lambda t: 0.0)
    found, stuck = (chains(a, 1.0, 600, 40)[0][:, -1] for a in (cooling, greedy))
    assert (found < -0.9).mean() > 0.8
    assert (stuck > 0.8).mean() > 0.9


def test_random_search_never_takes_what_is_worse_and_reports_what_it_keeps():
    params, info = chains(random_search(parabola, lambda t: 2.0 * 0.95**t), 3.0, 100, 20)
    assert (np.diff(info["loss"]) <= 0).all()
    np.testing.assert_allclose(info["loss"], 0.5 * params**2, rtol=1e-6)
    moved = np.diff(params, axis=1) != 0
    np.testing.assert_array_equal(moved, info["accepted"][:, 1:] == 1)
    assert np.abs(params[:, -1]).max() < 0.1


def test_random_search_stays_in_its_box():
    params, _ = chains(
        random_search(lambda w, b, batch, key: (-w, (b, {})), lambda t: 0.5), 0.0, 50, 20
    )
    moves = np.diff(params, axis=1)
    assert moves.min() == 0 and 0.4 < moves.max() <= 0.5
