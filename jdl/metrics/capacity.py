"""How many labelings of points a perceptron can realize.

    C(N, d) = 2 sum over k < d of binomial(N - 1, k)

of the 2^N labelings of N points in general position, d the number of weights (inputs, and one for a
bias). All are realizable for N <= d, half of them for N = 2 d: the capacity of a perceptron is two
patterns a weight. Source: Cover 1965, theorem 1; 001 names the capacity and gives no number.
"""

import math

import jax
import numpy as np

from jdl.core import Key


def separable_labelings(num_points: int, num_weights: int) -> int:
    """How many of the 2^N labelings of points in general position a hyperplane realizes.

    Args:
        num_points: N >= 1.
        num_weights: d, the bias among them.

    Example:
        >>> separable_labelings(4, 3)  # all of 16 but XOR and its negation
        14
    """
    return 2 * sum(math.comb(num_points - 1, k) for k in range(num_weights))


def linearly_separable(inputs: np.ndarray, labels: np.ndarray) -> bool:
    """Whether some (w, b) has y_i (w'x_i + b) >= 1 for all i: a linear program.

    Args:
        inputs: [N, D].
        labels: [N], positive for one class, 0 or negative for the other.

    Example:
        >>> corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> linearly_separable(corners, [0, 0, 0, 1]), linearly_separable(corners, [0, 1, 1, 0])
        (True, False)
    """
    from scipy.optimize import linprog

    signs = np.where(np.asarray(labels) > 0, 1.0, -1.0)
    extended = np.column_stack([inputs, np.ones(len(signs))])
    found = linprog(
        np.zeros(extended.shape[1]),
        A_ub=-signs[:, None] * extended,
        b_ub=-np.ones(len(signs)),
        bounds=(None, None),
    )
    return found.status == 0


def separable_fraction(
    num_points: int, num_features: int, key: Key, *, num_labelings: int = 100
) -> float:
    """The experiment: which fraction of random labelings of random points is separable.

    Args:
        num_points: N.
        num_features: D, so d = D + 1 with the bias.
        key: draws normal points and fair labels, anew for each labeling.
        num_labelings: how many.

    Returns:
        The fraction; its mean is `separable_labelings(N, D + 1) / 2^N`.
    """
    own, other = jax.random.split(key)
    points = np.asarray(jax.random.normal(own, [num_labelings, num_points, num_features]))
    labels = np.asarray(jax.random.bernoulli(other, 0.5, [num_labelings, num_points]))
    return float(
        np.mean([linearly_separable(*drawn) for drawn in zip(points, labels, strict=True)])
    )
