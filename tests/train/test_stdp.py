import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.train.stdp import stdp_all_to_all, stdp_nearest_neighbours, stdp_window


def change(dt):
    """Song, Miller, Abbott 2000 in plain numbers."""
    if dt == 0:
        return 0.0
    return 0.005 * np.exp(-dt / 20) if dt > 0 else -0.00525 * np.exp(dt / 20)


@pytest.fixture(scope="module")
def trains():
    rng = np.random.default_rng(0)
    return [np.sort(rng.integers(0, 200, n)).astype(np.float32) for n in (9, 12)]


def test_pre_before_post_strengthens_and_post_before_pre_weakens():
    dt = jnp.array([-40.0, -1, 0, 1, 40])
    np.testing.assert_allclose(stdp_window(dt), [change(float(x)) for x in dt], rtol=1e-5)
    assert jnp.sign(stdp_window(dt)).tolist() == [-1, -1, 0, 1, 1]


def test_without_correlation_the_window_depresses():
    """A_minus tau_minus > A_plus tau_plus: what kept the weights of Song et al. stable."""
    dt = jnp.arange(-2000, 2001) / 8  # exactly 0 in the middle
    area = float(jnp.sum(stdp_window(dt)) / 8)
    assert area == pytest.approx(20 * (0.005 - 0.00525), rel=0.02)


def test_all_to_all_is_a_double_loop(trains):
    pre, post = trains
    expected = sum(change(float(b - a)) for a in pre for b in post)
    assert float(stdp_all_to_all(pre, post)) == pytest.approx(expected, rel=1e-4)


def test_nearest_neighbours_pair_with_the_last_spike_before(trains):
    pre, post = trains
    expected = sum(change(min(b - a for a in pre if a < b)) for b in post if (pre < b).any())
    expected += sum(change(max(b - a for b in post if b < a)) for a in pre if (post < a).any())
    assert float(stdp_nearest_neighbours(pre, post)) == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(float(stdp_all_to_all(pre, post)), rel=0.1)


@pytest.mark.parametrize("rule", [stdp_all_to_all, stdp_nearest_neighbours])
def test_padding_and_order_change_nothing_and_one_silent_side_is_no_change(rule, trains):
    pre, post = map(jnp.asarray, trains)
    padded = jnp.append(pre[::-1], jnp.nan), jnp.concatenate([jnp.full(2, jnp.nan), post])
    assert float(rule(*padded)) == pytest.approx(float(rule(pre, post)), rel=1e-5)
    assert float(rule(pre, jnp.zeros(0))) == 0
    assert jax.vmap(rule, (0, None))(jnp.stack([pre, pre]), post).shape == (2,)
