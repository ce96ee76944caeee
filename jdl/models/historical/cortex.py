"""Rosenblatt's model of the visual cortex: the perceptron before the machine.

    image [B, H, W, 1] of 0 and 1
      -> retina S, H x W points
      -> projection area:  units [sum of +-1 wires >= threshold], wired around a centre each
      -> association area: units [sum of +-1 wires >= threshold], wired to any projection units
      -> responses R, linear                                       learned

A unit has `num_excitatory` origin points with wires of +1 and `num_inhibitory` others with -1. In
the projection area a point at the distance d of the unit's centre is drawn, without replacement,
with a weight of exp(-d / spread); in the association area all are alike. The wires are buffers;
the responses learn by `jdl.train.perceptron`.

Source: Rosenblatt 1958, figure 1 and the section on the organization of a perceptron, as in 004
section 1.1; from memory: that origin points get fewer exponentially with the distance, and that a
unit fires when the sum reaches its threshold. Numbers of units and wires, thresholds and spread are
choices. Departs from the paper: its responses excite or inhibit association units in turn, and it
reinforces units that were active; here nothing flows back, and errors correct the responses, as in
Rosenblatt 1962. Centres are drawn evenly over the retina, whose border cuts what lies beyond.

Axes: B images, H rows, W columns.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Key, Model
from jdl.functional import functional
from jdl.models.neurons import binary_threshold


def cortex(
    num_responses: int = 1,
    *,
    retina: tuple[int, int] = (20, 20),
    num_projections: int = 256,
    num_associations: int = 512,
    num_excitatory: int = 6,
    num_inhibitory: int = 4,
    spread: float = 2.0,
    thresholds: tuple[float, float] = (1.0, 1.0),
    kernel_init: Callable = nnx.initializers.zeros_init(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The perceptron of 1958.

    Args:
        num_responses: response units; the perceptron rule trains one.
        retina: its rows and columns.
        num_projections: units of the projection area.
        num_associations: units of the association area.
        num_excitatory: origin points of a unit of either area whose wires are +1.
        num_inhibitory: those whose wires are -1.
        spread: over how many points the density of a projection unit's origins falls by e.
        thresholds: of the projection and of the association units, which fire at it.
        kernel_init: (key, shape, dtype) -> the responses' weights to start with.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params and the wires.

    Returns:
        A Model: images [B, H, W, 1] -> responses [B, num_responses]; the answer is their sign. Its
        methods "projection" and "association" give the areas, 0 and 1.

    Raises:
        ValueError: more wires than points to wire, a spread that is not positive, or images of
            another size.

    Example:
        >>> variables = cortex().init(jax.random.key(0))
        >>> jax.tree.map(jnp.shape, variables.buffers)
        {'associations': (256, 512), 'centres': (256, 2), 'projections': (400, 256)}
    """
    points, wires = retina[0] * retina[1], num_excitatory + num_inhibitory
    if not 0 < wires <= min(points, num_projections) or min(num_excitatory, num_inhibitory) < 0:
        raise ValueError(
            f"a unit has 1 to {min(points, num_projections)} wires, of the {points} points or the "
            f"{num_projections} projection units; got {num_excitatory=}, {num_inhibitory=}"
        )
    if spread <= 0:
        raise ValueError(f"the spread of the origin points is positive; got {spread=}")
    options = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
    sizes = (num_projections, num_associations, num_responses)
    counts = (num_excitatory, num_inhibitory)
    return functional(
        lambda rngs: Cortex(retina, sizes, counts, spread, thresholds, options, rngs=rngs)
    )


def wired(key: Key, log_density: jax.Array, num_excitatory: int, num_inhibitory: int) -> jax.Array:
    """Random wires of fixed numbers, from places of given density.

    Args:
        key: draws places without replacement, and signs.
        log_density: of the origin points of each unit, up to a constant, [points, units].
        num_excitatory: wires of +1 a unit.
        num_inhibitory: wires of -1 a unit.

    Returns:
        [points, units] of -1, 0 and 1.
    """
    places, signs = jax.random.split(key)
    # The largest of log density + Gumbel noise are a draw without replacement.
    noisy = log_density + jax.random.gumbel(places, log_density.shape)
    chosen = _largest(noisy, num_excitatory + num_inhibitory)
    shuffled = jnp.where(chosen, jax.random.uniform(signs, log_density.shape), -1)
    return jnp.where(_largest(shuffled, num_excitatory), 1, jnp.where(chosen, -1, 0))


class Cortex(nnx.Module):
    """The network of `cortex`."""

    def __init__(self, retina, sizes, counts, spread, thresholds, options, *, rngs):
        self.retina, self.thresholds, self.dtype = retina, thresholds, options["dtype"]
        kind = options["param_dtype"]
        points = jnp.stack(jnp.mgrid[: retina[0], : retina[1]], -1).reshape(-1, 2)
        limits = jnp.array(retina) - 1
        centres = jax.random.uniform(rngs.centres(), [sizes[0], 2]) * limits[None]
        distance = jnp.linalg.norm(points[:, None] - centres[None], axis=-1)
        self.centres = nnx.Variable(centres.astype(kind))
        self.projections = nnx.Variable(
            wired(rngs.projections(), -distance / spread, *counts).astype(kind)
        )
        self.associations = nnx.Variable(
            wired(rngs.associations(), jnp.zeros(sizes[:2]), *counts).astype(kind)
        )
        self.responses = nnx.Linear(*sizes[1:], use_bias=False, **options, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, 1] -> responses [B, num_responses]."""
        return self.responses(self.association(images))

    def association(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, 1] -> association area [B, num_associations]."""
        projected = self.projection(images)
        return _fired(projected, self.associations[...], self.thresholds[1])

    def projection(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, 1] -> projection area [B, num_projections]."""
        rows, columns = self.retina
        chex.assert_shape(
            images,
            (None, rows, columns, 1),
            exception_type=ValueError,
            custom_message=f"the retina has {rows} x {columns} points",
        )
        wires = self.projections[...]
        dtype = self.dtype or jnp.result_type(images, wires)
        points = images.reshape(images.shape[0], rows * columns).astype(dtype)
        return _fired(points, wires, self.thresholds[0])


def _fired(inputs, wires, threshold):
    return binary_threshold(inputs @ wires.astype(inputs.dtype), threshold, at_threshold=1)


def _largest(scores, count):
    """Whether each score is among the `count` largest of its column."""
    return jnp.argsort(jnp.argsort(-scores, 0), 0) < count
