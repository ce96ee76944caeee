"""Whether a hyperplane separates two classes, and which does so best.

    eta = max over (w, b) of  min_i y_i (w'x_i + b) / sqrt(||w||^2 + b^2)

The classes are separable if eta > 0. It is the distance of the origin from the convex hull of
y_i (x_i, 1), found exactly by least distance programming with non-negative least squares (Lawson
and Hanson 1974, chapter 23). The bias counts in the norm, as in Novikoff's theorem (004, eq. 1.7);
support vector machines leave it out.
"""

from typing import NamedTuple

import numpy as np


class Separator(NamedTuple):
    """A hyperplane w'x + b = 0.

    Attributes:
        weights: [D]; with the bias of norm 1, or all 0 if nothing separates.
        bias: [].
        margin: eta, 0 if nothing separates.
    """

    weights: np.ndarray
    bias: float
    margin: float


def widest_separator(inputs: np.ndarray, labels: np.ndarray) -> Separator:
    """The hyperplane of largest margin.

    Args:
        inputs: [N, D].
        labels: [N], {0, 1} or {-1, 1}.

    Returns:
        The hyperplane, and its margin.

    Raises:
        ValueError: inputs and labels of other shapes.

    Example:
        >>> corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> widest_separator(corners, np.array([0, 0, 0, 1])).margin > 0  # AND
        True
        >>> widest_separator(corners, np.array([0, 1, 1, 0])).margin  # XOR
        0.0
    """
    from scipy.optimize import nnls

    inputs, labels = np.asarray(inputs, float), np.asarray(labels)
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1]:
        raise ValueError(
            f"separators take inputs [N, D] and labels [N]; got {inputs.shape} and {labels.shape}"
        )
    signed = np.where(labels > 0, 1.0, -1.0) * np.column_stack([inputs, np.ones(len(inputs))]).T
    # The shortest v with v'z_i >= 1 for all z_i; then eta = 1 / ||v||.
    scale = np.abs(signed).max()
    constraints = np.vstack([signed / scale, np.ones(len(inputs))])
    target = np.zeros(len(constraints))
    target[-1] = 1.0
    residual = constraints @ nnls(constraints, target)[0] - target
    if np.linalg.norm(residual) < 1e-9:
        return Separator(np.zeros(inputs.shape[1]), 0.0, 0.0)
    separator = residual[:-1] / np.linalg.norm(residual[:-1])
    return Separator(separator[:-1], float(separator[-1]), float((separator @ signed).min()))
