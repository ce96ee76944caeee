"""Gibbs sampling against enumeration, quadrature and a closed form."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.gibbs import gibbs, random_scan_gibbs
from jdl.bayes.metropolis import metropolis
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick


def ends(chain, start, length, chains):
    """The params of independent chains after some steps."""

    def one(key):
        return run(chain, chain.init(Variables(start)), None, key, length=length)[0]

    keys = jax.random.split(jax.random.key(0), chains)
    return jax.tree.map(np.asarray, quick(jax.vmap(one))(keys).variables.params)


# Two normal variables of correlation 0.8, means 1 and -2, deviations 1 and 3.
CORRELATION, MEANS, STDS = 0.8, {"x": 1.0, "y": -2.0}, {"x": 1.0, "y": 3.0}


def given(name, other, correlation=CORRELATION):
    def draw(params, key):
        units = correlation * (params[other] - MEANS[other]) / STDS[other]
        noise = np.sqrt(1 - correlation**2) * jax.random.normal(key)
        return MEANS[name] + STDS[name] * (units + noise)

    return draw


PAIR = {"x": given("x", "y"), "y": given("y", "x")}
FAR = {"x": jnp.array(5.0), "y": jnp.array(5.0)}


@pytest.mark.parametrize(
    "chain, length",
    [(gibbs(PAIR), 30), (random_scan_gibbs(PAIR), 120), (random_scan_gibbs(PAIR, [1, 4]), 160)],
    ids=["systematic", "random", "weighted"],
)
def test_both_scans_draw_a_bivariate_normal(chain, length):
    count = 8000
    found = ends(chain, FAR, length, count)
    for name in MEANS:
        error = STDS[name] / np.sqrt(count)
        assert abs(found[name].mean() - MEANS[name]) < 4.5 * error
        assert abs(found[name].std() - STDS[name]) < 4.5 * error / np.sqrt(2)
    correlation = np.corrcoef(found["x"], found["y"])[0, 1]
    assert abs(correlation - CORRELATION) < 4.5 * (1 - CORRELATION**2) / np.sqrt(count)


def test_a_scan_sees_the_entries_that_it_has_drawn():
    # After one scan x has forgotten itself, so the lag of y is the square of the correlation.
    def one(key):
        start = {"x": jnp.array(99.0), "y": jnp.array(-2.0 + 3.0 * 2)}
        return gibbs(PAIR).step(gibbs(PAIR).init(Variables(start)), None, key)[0]

    found = quick(jax.vmap(one))(jax.random.split(jax.random.key(0), 20000)).variables.params
    expected = -2.0 + 3.0 * 2 * CORRELATION**2
    assert abs(found["y"].mean() - expected) < 4.5 * found["y"].std() / np.sqrt(20000)


def test_a_semi_conjugate_normal_model_against_quadrature():
    # targets ~ N(mean, 1/precision), mean ~ N(m, s^2), precision ~ Gamma(a, rate b), independent.
    targets = np.array([2.1, 0.3, 1.7, 2.9, 1.1])
    m, s, a, b, n = -1.0, 1.5, 2.0, 3.0, 5

    def mean_given(params, key):
        weight = 1 / s**2 + n * params["precision"]
        centre = (m / s**2 + params["precision"] * targets.sum()) / weight
        return centre + jax.random.normal(key) / jnp.sqrt(weight)

    def precision_given(params, key):
        squares = jnp.sum((jnp.asarray(targets, jnp.float32) - params["mean"]) ** 2)
        return jax.random.gamma(key, a + n / 2) / (b + squares / 2)

    mean, precision = np.meshgrid(np.linspace(-5, 6, 801), np.linspace(1e-3, 8, 800), indexing="ij")
    squares = ((targets[:, None, None] - mean) ** 2).sum(0)
    logs = (a - 1 + n / 2) * np.log(precision) - b * precision - precision * squares / 2
    logs -= (mean - m) ** 2 / (2 * s**2)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()

    count = 8000
    chain = gibbs({"mean": mean_given, "precision": precision_given})
    start = {"mean": jnp.array(10.0), "precision": jnp.array(0.1)}
    found = ends(chain, start, 25, count)
    for function in (
        lambda mean, precision: mean,
        lambda mean, precision: precision,
        lambda mean, precision: np.log(precision) * mean,
        lambda mean, precision: (mean > 1.0) * 1.0,
        lambda mean, precision: precision**2,
    ):
        exact = (weights * function(mean, precision)).sum()
        values = function(found["mean"], found["precision"])
        assert abs(values.mean() - exact) < 4.5 * values.std() / np.sqrt(count)


COUPLING, FIELD = 0.5, np.array([0.3, -0.2, 0.0, 0.5])


def ising(chain_of, length):
    """A ring of four spins, each an entry; the share of each of its 16 states."""

    def spin_given(index):
        def draw(params, key):
            neighbours = params[f"s{(index - 1) % 4}"] + params[f"s{(index + 1) % 4}"]
            logit = 2 * (COUPLING * neighbours + FIELD[index])
            return jnp.where(jax.random.bernoulli(key, jax.nn.sigmoid(logit)), 1.0, -1.0)

        return draw

    chain = chain_of({f"s{index}": spin_given(index) for index in range(4)})
    found = ends(chain, {f"s{index}": jnp.array(1.0) for index in range(4)}, length, 5000)
    code = sum((found[f"s{index}"] > 0) * 2**index for index in range(4))
    return np.bincount(code, minlength=16) / 5000


@pytest.mark.parametrize(
    "scan, length", [(gibbs, 40), (lambda c: random_scan_gibbs(c, [1, 2, 1, 2]), 250)]
)
def test_states_of_a_small_ising_ring_against_enumeration(scan, length):
    states = np.array(list(itertools.product([-1, 1], repeat=4)))[:, ::-1]  # s0 is the lowest bit
    logs = COUPLING * (states * np.roll(states, -1, 1)).sum(1) + states @ FIELD
    exact = np.exp(logs) / np.exp(logs).sum()
    error = np.sqrt(exact * (1 - exact) / 5000)
    assert np.all(np.abs(ising(scan, length) - exact) < 4.5 * error)


def test_a_metropolis_step_may_stand_for_a_conditional():
    # x given y is left to one step of a walk over the density of both.
    def density(params):
        x, y = ((params[name] - MEANS[name]) / STDS[name] for name in "xy")
        return -0.5 * (x**2 - 2 * CORRELATION * x * y + y**2) / (1 - CORRELATION**2)

    def walk(params, key):
        chain = metropolis(lambda x: density({**params, "x": x}), 1.2)
        return chain.step(chain.init(Variables(params["x"])), None, key)[0].variables.params

    found = ends(gibbs({"x": walk, "y": PAIR["y"]}), FAR, 60, 4000)
    assert abs(found["x"].mean() - 1.0) < 4.5 / np.sqrt(4000)
    assert abs(found["x"].std() - 1.0) < 4.5 / np.sqrt(8000)


def test_a_random_scan_chooses_by_weight_and_changes_that_entry_alone():
    chain = random_scan_gibbs(PAIR, [1.0, 3.0])

    def one(key):
        state, info = chain.step(chain.init(Variables(FAR)), None, key)
        return state.variables.params, info["entry"]

    found, entry = quick(jax.vmap(one))(jax.random.split(jax.random.key(0), 4000))
    assert abs(entry.mean() - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / 4000)
    np.testing.assert_array_equal(found["x"] == 5.0, entry == 1)
    np.testing.assert_array_equal(found["y"] == 5.0, entry == 0)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="one for each conditional"):
        gibbs(PAIR).init(Variables({"x": jnp.zeros([])}))
    with pytest.raises(ValueError, match="params that are a dict"):
        gibbs(PAIR).init(Variables(jnp.zeros(2)))
    with pytest.raises(ValueError, match="a positive weight for each"):
        random_scan_gibbs(PAIR, [1.0])
    wrong = gibbs({"x": lambda params, key: params, "y": PAIR["y"]})
    with pytest.raises(ValueError, match="the conditional of 'x' returns that entry alone"):
        wrong.step(wrong.init(Variables(FAR)), None, jax.random.key(0))
