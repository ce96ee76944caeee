"""Each rule beside its publication's, in NumPy's float64, over 50 steps of a falling rate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.train import descent, gradient
from jdl.train.nesterov import nesterov
from jdl.train.optimizers import adagrad, adamax, heavy_ball, steps_per_epoch, summed

STEPS, DECAY = 50, 0.01
GRADIENTS = np.random.default_rng(0).normal(size=(STEPS, 4)) * [1.0, 0.1, 3.0, 0.01] + 0.02
START = np.array([1.0, -2.0, 0.5, 0.1])


def rate(t):
    """Of step t = 0, 1, ...; NumPy's and JAX's."""
    return 0.1 / (1 + t / 10)


def sgd(w, g, t, mu, s):
    return w - mu * g


def momentum(w, g, t, mu, s):
    s["v"] = 0.9 * s.get("v", 0) - mu * g
    return w + s["v"]


def momentum_with_the_rate_outside(w, g, t, mu, s):
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - mu * s["v"]


def adagrad_outside(w, g, t, mu, s):
    s["s"] = s.get("s", 0) + g**2
    return w - mu * g / (np.sqrt(s["s"]) + 1e-3)


def adagrad_inside(w, g, t, mu, s):
    s["s"] = s.get("s", 0) + g**2
    return w - mu * g / np.sqrt(s["s"] + 1e-3)


def adadelta(w, g, t, mu, s):
    s["g"] = 0.95 * s.get("g", 0) + 0.05 * g**2
    change = -np.sqrt(s.get("x", 0) + 1e-6) / np.sqrt(s["g"] + 1e-6) * g
    s["x"] = 0.95 * s.get("x", 0) + 0.05 * change**2
    return w + change


def rmsprop_inside(w, g, t, mu, s):
    s["s"] = 0.9 * s.get("s", 0) + 0.1 * g**2
    return w - mu * g / np.sqrt(s["s"] + 1e-3)


def rmsprop_outside(w, g, t, mu, s):
    s["s"] = 0.9 * s.get("s", 0) + 0.1 * g**2
    return w - mu * g / (np.sqrt(s["s"]) + 1e-3)


def adam(w, g, t, mu, s):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    unbiased = s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.999**t)
    return w - mu * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)


def adamw(w, g, t, mu, s):
    return adam(w, g, t, mu, s) - mu * DECAY * w


def adam_with_coupled_l2(w, g, t, mu, s):
    return adam(w, g + DECAY * w, t, mu, s)


def adamax_of_004(w, g, t, mu, s):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.999 * s.get("u", 0), abs(g))
    return w - mu * s["m"] / (1 - 0.9**t) / (s["u"] + 1e-3)


def adamax_of_kingma_and_ba(w, g, t, mu, s):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.999 * s.get("u", 0), abs(g))
    return w - mu / (1 - 0.9**t) * s["m"] / s["u"]


def nadam(w, g, t, mu, s):
    """Dozat 2016, algorithm 8, with mu_t = 0.9 at each step."""
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    mean = 0.9 * s["m"] / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
    return w - mu * mean / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


RULES = {
    sgd: optax.sgd(rate),
    momentum: heavy_ball(rate, 0.9),
    momentum_with_the_rate_outside: optax.sgd(rate, momentum=0.9),
    adagrad_outside: adagrad(rate, eps=1e-3),
    adagrad_inside: optax.adagrad(rate, initial_accumulator_value=0.0, eps=1e-3),
    adadelta: optax.adadelta(1.0, rho=0.95, eps=1e-6),
    rmsprop_inside: optax.rmsprop(rate, decay=0.9, eps=1e-3),
    rmsprop_outside: optax.rmsprop(rate, decay=0.9, eps=1e-3, eps_in_sqrt=False),
    adam: optax.adam(rate),
    adamw: optax.adamw(rate, weight_decay=DECAY),
    adam_with_coupled_l2: optax.chain(optax.add_decayed_weights(DECAY), optax.adam(rate)),
    adamax_of_004: adamax(rate, eps=1e-3),
    adamax_of_kingma_and_ba: optax.adamax(rate, eps=0.0),
    nadam: optax.nadam(rate),
}
TWINS = [  # rules that a wrong placement or a wrong coupling would confuse
    (momentum, momentum_with_the_rate_outside),
    (adagrad_outside, adagrad_inside),
    (rmsprop_outside, rmsprop_inside),
    (adamw, adam_with_coupled_l2),
    (adam, nadam),
    (adamax_of_004, adamax_of_kingma_and_ba),
]


def published(rule):
    w, memory, path = START, {}, []
    for t in range(STEPS):
        w = rule(w, GRADIENTS[t], t + 1, rate(t), memory)
        path.append(w)
    return np.array(path)


@pytest.fixture(scope="module")
def paths():
    """The path of each rule, all in one program."""
    optimizers = list(RULES.values())

    @jax.jit
    def descend(gradients):
        def step(carry, g):
            moved = []
            for optimizer, (params, memory) in zip(optimizers, carry, strict=True):
                updates, memory = optimizer.update(g, memory, params)
                moved.append((optax.apply_updates(params, updates), memory))
            return moved, [params for params, _ in moved]

        start = [(jnp.array(START, jnp.float32), o.init(jnp.zeros(4))) for o in optimizers]
        return jax.lax.scan(step, start, gradients)[1]

    return dict(zip(RULES, descend(jnp.array(GRADIENTS, jnp.float32)), strict=True))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_path_is_the_published_rules(rule, paths):
    np.testing.assert_allclose(paths[rule], published(rule), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("rule", "twin"), TWINS, ids=lambda rule: rule.__name__)
def test_its_twin_takes_another_path(rule, twin, paths):
    assert np.abs(paths[rule] - published(twin)).max() > 1e-3


def parabola(params, buffers, batch, key):
    return params**2, (buffers, {})


SIADATI = [  # of w^2 from 1, spec/siadati-000.md
    (heavy_ball(0.1, 0.9), 0.00439987),
    (optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8), 0.55373120),
    (optax.rmsprop(0.01, decay=0.9, eps=1e-8), 0.83205242),
    (optax.adam(0.01), 0.90034965),
]


def test_the_listings_of_000_end_where_the_book_says():
    for optimizer, last in SIADATI:
        algorithm = descent(gradient(parabola), optimizer)
        state = algorithm.init(Variables(jnp.array(1.0)))
        step = jax.jit(algorithm.step)
        for _ in range(10):
            state, _ = step(state, None, jax.random.key(0))
        assert float(state.variables.params) == pytest.approx(last, abs=2e-6)


def test_the_velocity_of_001_under_a_constant_gradient():
    optimizer, found = heavy_ball(0.1, 0.9), []
    memory = optimizer.init(jnp.zeros(()))
    for _ in range(3):
        update, memory = optimizer.update(jnp.ones(()), memory)
        found.append(float(update))
    np.testing.assert_allclose(found, [-0.1, -0.19, -0.271], rtol=1e-6)


@pytest.mark.parametrize("optimizer", [adagrad(0.1), adamax(0.1)])
def test_a_gradient_that_was_always_zero_moves_nothing(optimizer):
    update, _ = optimizer.update(jnp.zeros(2), optimizer.init(jnp.ones(2)))
    assert update.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("look", [1.0, 0.0])
def test_nesterov_takes_its_gradient_ahead(look):
    hessian = np.array([[3.0, 1.0], [1.0, 2.0]])

    def quadratic(params, buffers, batch, key):
        return 0.5 * params @ jnp.array(hessian, jnp.float32) @ params, (buffers, {})

    algorithm = nesterov(gradient(quadratic), rate, 0.9)
    state = algorithm.init(Variables(jnp.array([1.0, -2.0])))
    step = jax.jit(algorithm.step)
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for t in range(STEPS):
        state, _ = step(state, None, jax.random.key(0))
        v = 0.9 * v - rate(t) * hessian @ (w + look * 0.9 * v)
        w = w + v
    close = np.allclose(state.variables.params, w, rtol=1e-3, atol=1e-5)
    assert close == (look == 1.0)


def test_optax_keeps_the_points_ahead_of_nesterovs_path():
    algorithm = nesterov(gradient(parabola), 0.1, 0.9)
    other = descent(gradient(parabola), optax.sgd(0.1, 0.9, nesterov=True))
    state, twin = (a.init(Variables(jnp.array(1.0))) for a in (algorithm, other))
    for _ in range(5):
        state, _ = algorithm.step(state, None, jax.random.key(0))
        twin, _ = other.step(twin, None, jax.random.key(0))
        ahead = state.variables.params + 0.9 * state.velocity
        np.testing.assert_allclose(twin.variables.params, ahead, rtol=1e-5)
        assert abs(float(twin.variables.params - state.variables.params)) > 1e-3


def test_the_gradient_of_a_sum_is_the_batch_times_that_of_the_mean():
    def mean(params, buffers, batch, key):
        return jnp.mean((params - batch) ** 2), (buffers, {})

    def total(params, buffers, batch, key):
        return jnp.sum((params - batch) ** 2), (buffers, {})

    batch = jnp.array([1.0, 2.0, 6.0])
    found, _, _ = summed(gradient(mean))(jnp.array(0.5), (), batch, None)
    expected, _, _ = gradient(total)(jnp.array(0.5), (), batch, None)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("drop_last", "steps"), [(True, 468), (False, 469)])
def test_60000_images_in_batches_of_128(drop_last, steps):
    assert steps_per_epoch(60_000, 128, drop_last=drop_last) == steps


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: heavy_ball(0.1, 1.0),
        lambda: adagrad(0.1, eps=0.0),
        lambda: adamax(0.1, b1=1.0),
        lambda: nesterov(gradient(parabola), 0.1, -0.1),
        lambda: steps_per_epoch(10, 11),
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        wrong()
