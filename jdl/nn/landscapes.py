"""Functions of a point whose minima are known, to try optimizers on.

    beale        (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2
    beale_of_004 the same with 2.2625 in place of 2.625
    rosenbrock   sum over i of  100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2
    himmelblau   (x^2 + y - 11)^2 + (x + y^2 - 7)^2
    rastrigin    sum over i of  10 + x_i^2 - 10 cos(2 pi x_i)

Source: More, Garbow, Hillstrom 1981, problems 1 and 5; Himmelblau 1972; Rastrigin 1974; 004 eq.
2.25 and section 9.3. 004 prints 2.2625 both times, which moves Beale's minimum, and says "around
(2.5, 1.5)", where the function is 103.7.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


def beale(point: jax.Array, last: float = 2.625) -> jax.Array:
    """Beale's function, a flat valley between steep walls.

    Args:
        point: [2].
        last: the third constant.

    Returns:
        [], 0 at (3, 0.5) for 2.625.
    """
    x, y = point
    return sum((c - x * (1 - y**power)) ** 2 for power, c in ((1, 1.5), (2, 2.25), (3, last)))


def beale_of_004(point: jax.Array) -> jax.Array:
    """Beale's function with the constant that 004 prints.

    Args:
        point: [2].

    Returns:
        [], least at (2.450738, 0.363114), 0.0237097.
    """
    return beale(point, 2.2625)


def rosenbrock(point: jax.Array) -> jax.Array:
    """Rosenbrock's function, a bent and narrow valley.

    Args:
        point: [D], D at least 2.

    Returns:
        [], 0 at (1, ..., 1).
    """
    return jnp.sum(100 * (point[1:] - point[:-1] ** 2) ** 2 + (1 - point[:-1]) ** 2)


def himmelblau(point: jax.Array) -> jax.Array:
    """Himmelblau's function, of four minima.

    Args:
        point: [2].

    Returns:
        [], 0 at (3, 2) and three more points.
    """
    x, y = point
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def rastrigin(point: jax.Array) -> jax.Array:
    """Rastrigin's function, a bowl with a local minimum near every point of whole numbers.

    Args:
        point: [D].

    Returns:
        [], 0 at the origin.
    """
    return jnp.sum(10 + point**2 - 10 * jnp.cos(2 * jnp.pi * point))


class Landscape(NamedTuple):
    """A function of two numbers, and what is known of it.

    Attributes:
        function: [2] -> [].
        minimum: a point where it is least.
        least: its value there.
        window: (left, right, bottom, top) to draw it in.
    """

    function: Callable[[jax.Array], jax.Array]
    minimum: tuple[float, float]
    least: float
    window: tuple[float, float, float, float]


LANDSCAPES = {
    "beale": Landscape(beale, (3.0, 0.5), 0.0, (-0.5, 4.5, -1.0, 2.0)),
    "beale of 004": Landscape(
        beale_of_004, (2.4507382, 0.3631139), 0.0237097, (-0.5, 4.5, -1.0, 2.0)
    ),
    "rosenbrock": Landscape(rosenbrock, (1.0, 1.0), 0.0, (-2.0, 2.0, -1.0, 3.0)),
    "himmelblau": Landscape(himmelblau, (3.0, 2.0), 0.0, (-5.0, 5.0, -5.0, 5.0)),
    "rastrigin": Landscape(rastrigin, (0.0, 0.0), 0.0, (-3.0, 3.0, -3.0, 3.0)),
}
