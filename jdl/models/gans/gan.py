"""The generative adversarial network.

A generator turns noise z into samples G(z); a discriminator gives each sample a logit, whose
sigmoid D is the probability that it is real. They play

    min_G max_D  V(D, G) = E_data log D(x) + E_z log(1 - D(G(z)))

For a fixed generator of density p the best discriminator is D* = p_data / (p_data + p), and

    V(D*, G) = -log 4 + 2 JS(p_data, p)

with the Jensen-Shannon divergence JS: at the solution p = p_data, D = 1/2 and V = -log 4. While the
discriminator wins, log(1 - D(G(z))) is flat, so the generator in practice descends -log D(G(z)).

Source: Goodfellow and others 2014, equations 1, 2 and 4-6, algorithm 1; 004 section 8.1, eqs. 8.1,
8.3 and 8.4. 004 eq. 8.7 leaves out the factors 1/2 of JS.

Axes: B examples, Z latent features.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Key, Model, Objective, Tree, Variables


def game_value(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """The value V(D, G) of the game, at most 0: the mean over the logits of each kind."""
    real, fake = jax.nn.log_sigmoid(real_logits), jax.nn.log_sigmoid(-fake_logits)
    return jnp.mean(real) + jnp.mean(fake)


def minimax_loss(fake_logits: jax.Array) -> jax.Array:
    """The generator's loss of the zero-sum game, E log(1 - D(G(z))); its gradient saturates."""
    return jnp.mean(jax.nn.log_sigmoid(-fake_logits))


def non_saturating_loss(fake_logits: jax.Array) -> jax.Array:
    """The generator's loss with flipped labels, -E log D(G(z))."""
    return -jnp.mean(jax.nn.log_sigmoid(fake_logits))


def optimal_logits(log_data_density: jax.Array, log_model_density: jax.Array) -> jax.Array:
    """The logits of the best discriminator, log p_data(x) - log p(x)."""
    return log_data_density - log_model_density


def gan_variables(generator: Model, discriminator: Model, key: Key) -> Variables:
    """Draws the variables of both players, as `game` takes them: dicts by player.

    Args:
        generator: noise [B, Z] -> samples [B, ...].
        discriminator: samples [B, ...] -> logits.
        key: of the draw.

    Returns:
        Variables whose params and buffers have the entries `discriminator` and `generator`.
    """
    key_discriminator, key_generator = jax.random.split(key)
    drawn = {
        "discriminator": discriminator.init(key_discriminator),
        "generator": generator.init(key_generator),
    }
    return Variables(
        {name: x.params for name, x in drawn.items()},
        {name: x.buffers for name, x in drawn.items()},
    )


def generate(
    generator: Model, variables: Variables, noise: jax.Array, *, train: bool = False
) -> tuple[jax.Array, Tree]:
    """Samples of the generator.

    Args:
        generator: noise [B, Z] -> samples [B, ...].
        variables: of both players, by name.
        noise: [B, Z].
        train: whether the generator's layers behave as in training.

    Returns:
        The samples, and the generator's buffers after the pass.
    """
    params, buffers = variables
    own = Variables(params["generator"], buffers["generator"])
    return generator.apply(own, noise, train=train)


def discriminate(
    discriminator: Model, variables: Variables, samples: jax.Array, *, train: bool = False
) -> tuple[jax.Array, Tree]:
    """Logits of the discriminator, positive where a sample seems real.

    Args:
        discriminator: samples [B, ...] -> logits.
        variables: of both players, by name.
        samples: [B, ...].
        train: whether the discriminator's layers behave as in training.

    Returns:
        The logits, and the discriminator's buffers after the pass.
    """
    params, buffers = variables
    own = Variables(params["discriminator"], buffers["discriminator"])
    return discriminator.apply(own, samples, train=train)


def discriminator_objective(generator: Model, discriminator: Model, latent_dim: int) -> Objective:
    """The discriminator's loss, -V(D, G), with as many samples as the batch has examples.

    Args:
        generator: noise [B, Z] -> samples [B, ...].
        discriminator: samples [B, ...] -> logits.
        latent_dim: Z; the noise is standard normal.

    Returns:
        An Objective over the params of both players and a batch of real examples [B, ...]. Info:
        `real` and `fake`, the mean probabilities that examples of each kind are real.
    """

    def objective(params, buffers, batch, key):
        noise = jax.random.normal(key, [len(batch), latent_dim])
        samples, _ = generate(generator, Variables(params, buffers), noise, train=True)
        samples = jax.lax.stop_gradient(samples)
        real, own = discriminate(discriminator, Variables(params, buffers), batch, train=True)
        seen = {**buffers, "discriminator": own}
        fake, own = discriminate(discriminator, Variables(params, seen), samples, train=True)
        seen = {**buffers, "discriminator": own}
        info = {"real": jax.nn.sigmoid(real).mean(), "fake": jax.nn.sigmoid(fake).mean()}
        return -game_value(real, fake), (seen, info)

    return objective


def generator_objective(
    generator: Model,
    discriminator: Model,
    latent_dim: int,
    loss: Callable[[jax.Array], jax.Array] = non_saturating_loss,
) -> Objective:
    """The generator's loss on as many samples as the batch has examples.

    Args:
        generator: noise [B, Z] -> samples [B, ...].
        discriminator: samples [B, ...] -> logits.
        latent_dim: Z; the noise is standard normal.
        loss: of the logits of samples: `non_saturating_loss` or `minimax_loss`.

    Returns:
        An Objective over the params of both players and a batch, of which only the length counts.
    """

    def objective(params, buffers, batch, key):
        noise = jax.random.normal(key, [len(batch), latent_dim])
        samples, own = generate(generator, Variables(params, buffers), noise, train=True)
        buffers = {**buffers, "generator": own}
        logits, _ = discriminate(discriminator, Variables(params, buffers), samples, train=True)
        return loss(logits), (buffers, {})

    return objective
