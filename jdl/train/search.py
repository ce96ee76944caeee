"""Training without derivatives: simulated annealing and random search.

    proposal = params + scale_t * noise
    params   = proposal, if its loss is accepted

    simulated_annealing   noise normal,  accepted with probability min(1, exp(-(change) / T_t))
    random_search         noise uniform in a box around the best point, accepted if it is better

Both take two passes forward a step, with one batch and one key, so a mini-batch compares fairly.

Source: Kirkpatrick, Gelatt, Vecchi 1983; Metropolis et al. 1953; Bengio, Simard, Frasconi 1994,
section IV, who train recurrent networks so; 004 ch. 5, in words. 004 states no rule of acceptance;
Metropolis' is taken. Departs from the multi-grid search of Bengio et al.: the box shrinks by a
schedule, not by success.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Algorithm, Objective, Variables

Schedule = Callable[[jax.Array], jax.Array | float]


class SearchState(NamedTuple):
    """The variables, and the steps made []."""

    variables: Variables
    steps: jax.Array


def simulated_annealing(objective: Objective, scale: Schedule, temperature: Schedule) -> Algorithm:
    """The Algorithm that takes what is better, and at times what is worse.

    At a constant temperature T it draws from the density exp(-loss / T): random-walk Metropolis.

    Args:
        objective: (params, buffers, batch, key) -> (loss, (buffers, info)).
        scale: steps made -> standard deviation of a proposal, in the unit of the params.
        temperature: steps made -> T, in the unit of the loss; at 0 only what is better is taken.

    Returns:
        An Algorithm. Info: that of the objective and `loss`, of what was kept; `accepted`, 0 or 1.

    Example:
        >>> def double_well(params, buffers, batch, key):
        ...     return (params**2 - 1) ** 2 + 0.6 * params, (buffers, {})
        >>> algorithm = simulated_annealing(
        ...     double_well, lambda t: 0.5, lambda t: 0.99**t
        ... )
        >>> from jdl.train.run import run
        >>> state = algorithm.init(Variables(jnp.array(1.0)))  # in the shallower well
        >>> state, _ = run(algorithm, state, None, jax.random.key(0), length=600)
        >>> bool(state.variables.params < -0.9)
        True
    """

    def accepts(key, change, steps):
        return jnp.log(jax.random.uniform(key)) < -change / temperature(steps)

    return _search(objective, scale, jax.random.normal, accepts)


def random_search(objective: Objective, scale: Schedule) -> Algorithm:
    """The Algorithm that looks around the best point so far and moves to what is better.

    Args:
        objective: (params, buffers, batch, key) -> (loss, (buffers, info)).
        scale: steps made -> half the width of the box, in the unit of the params. A cycle,
            `lambda t: widths[t % len(widths)]`, searches on several grids by turns.

    Returns:
        An Algorithm. Info: that of the objective and `loss`, of what was kept; `accepted`, 0 or 1.
    """

    def box(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, minval=-1.0)

    return _search(objective, scale, box, lambda key, change, steps: change < 0)


def _search(objective, scale, noise, accepts):
    def init(variables, key=None):
        return SearchState(variables, jnp.int32(0))

    def step(state, batch, key):
        (params, buffers), steps = state
        key_noise, key_loss, key_choice = jax.random.split(key, 3)
        drawn = optax.tree.random_like(key_noise, params, noise)
        proposal = jax.tree.map(lambda w, z: w + (scale(steps) * z).astype(w.dtype), params, drawn)
        both = jax.tree.map(lambda *x: jnp.stack(x), params, proposal)
        losses, outcome = jax.vmap(objective, (0, None, None, None))(both, buffers, batch, key_loss)
        accepted = accepts(key_choice, losses[1] - losses[0], steps)
        params, loss, (buffers, info) = jax.tree.map(
            lambda x: jnp.where(accepted, x[1], x[0]), (both, losses, outcome)
        )
        info = {"loss": loss, "accepted": accepted.astype(jnp.float32), **info}
        return SearchState(Variables(params, buffers), steps + 1), info

    return Algorithm(init, step)
