import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from jdl.nn.divergences import (
    bernoulli_kl,
    empirical_wasserstein,
    gaussian_kl,
    jensen_shannon,
    kl_divergence,
    total_variation,
    wasserstein,
)

P, Q = np.random.default_rng(0).dirichlet(np.ones(5), 2)
LEFT, RIGHT = jnp.array([0.5, 0.5, 0.0, 0.0]), jnp.array([0.0, 0.0, 0.25, 0.75])


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_kl_is_the_expected_log_ratio_and_not_symmetric():
    close(kl_divergence(jnp.asarray(P), jnp.asarray(Q)), np.sum(P * np.log(P / Q)))
    backward = kl_divergence(jnp.asarray(Q), jnp.asarray(P))
    close(backward, np.sum(Q * np.log(Q / P)))
    assert abs(backward - np.sum(P * np.log(P / Q))) > 0.01


def test_kl_takes_0_log_0_as_0_where_the_formula_is_nan():
    p, q = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.25, 0.75, 0.0])
    assert jnp.isnan(jnp.sum(p * jnp.log(p / q)))
    assert jnp.isnan(optax.kl_divergence(jnp.log(q), p))
    close(kl_divergence(p, q), 0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert np.isfinite(jax.grad(kl_divergence, (0, 1))(p, q)).all()


def test_the_values_for_disjoint_supports():
    assert jnp.isinf(kl_divergence(LEFT, RIGHT))
    close(jensen_shannon(LEFT, RIGHT), np.log(2))
    close(2 * jensen_shannon(LEFT, RIGHT), 2 * np.log(2))  # 004 eq. 8.7, without the 1/2
    close(total_variation(LEFT, RIGHT), 1)
    for distance in (1.0, 10.0):  # only this one tells how far they lie
        place = jnp.array([0.0, distance])
        close(wasserstein(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), place), distance)


def test_the_values_for_equal_distributions_are_0():
    p = jnp.asarray(P)
    for divergence in (kl_divergence, jensen_shannon, total_variation):
        assert float(divergence(p, p)) == 0
    assert float(wasserstein(p, p, jnp.arange(5.0))) == 0


def test_the_game_of_a_gan_is_worth_minus_log_4_and_twice_jensen_shannon():
    value = np.sum(P * np.log(P / (P + Q)) + Q * np.log(Q / (P + Q)))
    close(-np.log(4) + 2 * jensen_shannon(jnp.asarray(P), jnp.asarray(Q)), value)
    close(-np.log(4) + 2 * jensen_shannon(jnp.asarray(P), jnp.asarray(P)), -1.3862944)


def test_jensen_shannon_is_the_square_of_scipy_s_and_survives_underflow():
    from scipy.spatial.distance import jensenshannon

    close(jensen_shannon(jnp.asarray(P), jnp.asarray(Q)), jensenshannon(P, Q) ** 2)
    tiny = jnp.array([1.0, 1.2e-38])  # its half is not a normal number of float32
    assert float(jensen_shannon(tiny, jnp.array([1.0, 0.0]))) < 1e-30
    slope = jax.grad(jensen_shannon, (0, 1))(LEFT, RIGHT)
    assert np.isfinite(slope).all()


def test_total_variation_is_the_largest_difference_over_all_events():
    events = itertools.product([0, 1], repeat=5)
    largest = max(abs(np.dot(event, P - Q)) for event in events)
    close(total_variation(jnp.asarray(P), jnp.asarray(Q)), largest)


def test_pinsker_s_inequality_binds_the_two():
    rows = np.random.default_rng(1).dirichlet(np.ones(4), [2, 100])
    p, q = map(jnp.asarray, rows)
    assert (total_variation(p, q) <= np.sqrt(kl_divergence(p, q) / 2) + 1e-6).all()


def transport(p, q, positions):
    """The least cost over joint distributions, 004 eq. 8.8, by linear programming."""
    size = len(p)
    cost = np.abs(positions[:, None] - positions[None]).ravel()
    rows = [np.kron(np.eye(size)[i], np.ones(size)) for i in range(size)]
    columns = [np.kron(np.ones(size), np.eye(size)[i]) for i in range(size)]
    sums = np.array(rows + columns)
    return scipy.optimize.linprog(cost, A_eq=sums, b_eq=np.concatenate([p, q])).fun


def test_wasserstein_is_the_cheapest_transport():
    positions = np.array([-1.0, 0.5, 0.6, 3.0, 10.0])
    found = wasserstein(jnp.asarray(P), jnp.asarray(Q), jnp.asarray(positions))
    close(found, transport(P, Q, positions))
    rows = jnp.stack([jnp.asarray(P), jnp.asarray(Q)])
    close(wasserstein(rows, rows[::-1], jnp.asarray(positions)), [found, found])


@pytest.mark.parametrize(("n", "m"), [(1, 1), (30, 30), (30, 17)])
def test_the_empirical_wasserstein_distance_is_scipy_s(n, m):
    rng = np.random.default_rng(n + m)
    x, y = rng.normal(size=n), rng.normal(1, 2, m)
    ours = empirical_wasserstein(jnp.asarray(x), jnp.asarray(y))
    close(ours, scipy.stats.wasserstein_distance(x, y))
    if n == m:
        close(ours, np.abs(np.sort(x) - np.sort(y)).mean())


def test_the_empirical_wasserstein_distance_has_a_gradient_and_takes_ties():
    x = jnp.array([0.0, 0.0, 2.0])
    close(
        empirical_wasserstein(x, jnp.array([0.0, 1.0])),
        scipy.stats.wasserstein_distance([0, 0, 2], [0, 1]),
    )
    slope = jax.grad(empirical_wasserstein)(jnp.array([0.0, 2.0]), jnp.array([5.0, 6.0]))
    close(slope, [-0.5, -0.5])


def test_the_kl_of_two_coins_has_the_numbers_of_the_sparse_autoencoder():
    close(bernoulli_kl(0.05, jnp.array([0.5, 0.2, 0.05])), [0.4946319, 0.0939430, 0], 1e-6)
    assert float(bernoulli_kl(0.0, 0.5)) == pytest.approx(np.log(2))


def test_the_kl_of_normal_distributions_is_the_integral():
    close(gaussian_kl(jnp.array([0.5, -1.0]), jnp.log(jnp.array([1.0, 4.0]))).sum(), 1.4318528)
    p, q = scipy.stats.norm(1.0, 0.5), scipy.stats.norm(-0.5, 2.0)
    integral, _ = scipy.integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -5, 7)
    close(gaussian_kl(1.0, 2 * np.log(0.5), -0.5, 2 * np.log(2.0)), integral)
    assert float(gaussian_kl(0.0, 0.0)) == 0
    # The exponential of sigma in place of sigma^2, as 002 prints it, is least at another sigma.
    assert abs(jax.grad(lambda s: (jnp.exp(s) + 0 - 1 - s) / 2)(1.0)) > 0.5
