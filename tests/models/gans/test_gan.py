"""The game of Goodfellow et al. 2014 against its solution in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jdl import Variables
from jdl.models.gans import gan
from jdl.models.mlp import mlp


@pytest.fixture(scope="module")
def players():
    generator, discriminator = mlp([3, 8, 2]), mlp([2, 8, 1])
    variables = gan.gan_variables(generator, discriminator, jax.random.key(0))
    return generator, discriminator, variables


def test_value_is_minus_log_4_where_nothing_can_be_told_apart():
    logits = jnp.zeros(7)
    np.testing.assert_allclose(gan.game_value(logits, logits), -np.log(4), rtol=1e-6)
    # No discriminator does better against equal distributions: any logits on the same points.
    same = jax.random.normal(jax.random.key(0), [1000])
    assert gan.game_value(same, same) < -np.log(4)


def test_optimal_discriminator_attains_the_jensen_shannon_divergence():
    # p_data = N(0, 1), p = N(1, 1): both sides by quadrature, theorem 1 of the paper.
    x = np.linspace(-12, 13, 20001)
    data, model = stats.norm(0, 1), stats.norm(1, 1)
    logits = gan.optimal_logits(jnp.array(data.logpdf(x)), jnp.array(model.logpdf(x)))
    np.testing.assert_allclose(logits, 0.5 - x, atol=1e-4)

    def value(logits):
        log_d, log_not_d = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        return integrate.trapezoid(data.pdf(x) * log_d + model.pdf(x) * log_not_d, x)

    middle = (data.pdf(x) + model.pdf(x)) / 2
    divergence = sum(
        integrate.trapezoid(p.pdf(x) * (p.logpdf(x) - np.log(middle)), x) / 2 for p in (data, model)
    )
    np.testing.assert_allclose(value(logits), -np.log(4) + 2 * divergence, rtol=1e-5)
    for change in (0.9, 1.1):
        assert value(change * logits) < value(logits)
    assert value(logits + 0.1) < value(logits) and value(logits - 0.1) < value(logits)


def test_losses_are_cross_entropies_of_the_labels():
    real, fake = jax.random.normal(jax.random.key(0), [2, 50])
    d_real, d_fake = jax.nn.sigmoid(real), jax.nn.sigmoid(fake)
    value = jnp.log(d_real).mean() + jnp.log(1 - d_fake).mean()
    np.testing.assert_allclose(gan.game_value(real, fake), value, rtol=1e-5)
    np.testing.assert_allclose(gan.minimax_loss(fake), jnp.log(1 - d_fake).mean(), rtol=1e-5)
    np.testing.assert_allclose(gan.non_saturating_loss(fake), -jnp.log(d_fake).mean(), rtol=1e-5)


def test_minimax_gradient_vanishes_where_the_discriminator_is_sure_and_the_other_does_not():
    # d/dlogit: -D for the minimax loss, -(1 - D) for the non-saturating one.
    for logit in (-20.0, 0.0, 3.0):
        d = 1 / (1 + np.exp(-logit))
        np.testing.assert_allclose(jax.grad(gan.minimax_loss)(logit), -d, rtol=1e-5)
        np.testing.assert_allclose(jax.grad(gan.non_saturating_loss)(logit), d - 1, rtol=1e-5)
    assert abs(jax.grad(gan.minimax_loss)(-20.0)) < 1e-8
    assert abs(jax.grad(gan.non_saturating_loss)(-20.0)) > 0.99


def test_losses_stay_finite_for_extreme_logits():
    for logit in (-1e4, 1e4):
        assert jnp.isfinite(gan.game_value(jnp.float32(logit), jnp.float32(-logit)))
        assert jnp.isfinite(gan.non_saturating_loss(jnp.float32(logit)))


def test_objectives_are_the_losses_of_the_players_logits(players, key):
    generator, discriminator, variables = players
    batch = jax.random.normal(jax.random.key(1), [16, 2])
    noise = jax.random.normal(key, [16, 3])
    samples, _ = gan.generate(generator, variables, noise)
    real, fake = (gan.discriminate(discriminator, variables, x)[0] for x in (batch, samples))
    found, (_, info) = gan.discriminator_objective(generator, discriminator, 3)(
        *variables, batch, key
    )
    np.testing.assert_allclose(found, -gan.game_value(real, fake), rtol=1e-6)
    np.testing.assert_allclose(info["real"], jax.nn.sigmoid(real).mean(), rtol=1e-6)
    np.testing.assert_allclose(info["fake"], jax.nn.sigmoid(fake).mean(), rtol=1e-6)
    for loss in (gan.minimax_loss, gan.non_saturating_loss):
        found, _ = gan.generator_objective(generator, discriminator, 3, loss)(
            *variables, batch, key
        )
        np.testing.assert_allclose(found, loss(fake), rtol=1e-6)


def test_minimax_game_is_zero_sum_for_the_generator(players, key):
    generator, discriminator, variables = players
    batch = jax.random.normal(jax.random.key(1), [16, 2])

    def value(own):
        params = {**variables.params, "generator": own}
        noise = jax.random.normal(key, [16, 3])
        samples, _ = gan.generate(generator, Variables(params, variables.buffers), noise)
        logits = gan.discriminate(discriminator, variables, samples)[0]
        return gan.game_value(gan.discriminate(discriminator, variables, batch)[0], logits)

    def loss(own):
        params = {**variables.params, "generator": own}
        objective = gan.generator_objective(generator, discriminator, 3, gan.minimax_loss)
        return objective(params, variables.buffers, batch, key)[0]

    own = variables.params["generator"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
        jax.grad(loss)(own),
        jax.grad(value)(own),
    )


def test_discriminator_moves_no_weight_of_the_generator(players, key):
    generator, discriminator, variables = players
    objective = gan.discriminator_objective(generator, discriminator, 3)
    batch = jax.random.normal(jax.random.key(1), [16, 2])
    gradients = jax.grad(lambda params: objective(params, variables.buffers, batch, key)[0])(
        variables.params
    )
    assert all((x == 0).all() for x in jax.tree.leaves(gradients["generator"]))
    assert all((x != 0).any() for x in jax.tree.leaves(gradients["discriminator"]))
