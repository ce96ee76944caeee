"""Edges of a photograph, by one convolution; and how large its output is with strides.

Three things of 004, section 4.2. In one dimension a rectangle of width 10 is smoothed by a Gaussian
pulse of variance 5, and a finite difference finds its two ends, +1 and -1. In two, the kernel of
eq. 4.4, all -1 with 8 in the middle, answers with nothing where the brightness is even and with
much where it changes, however bright it is (example 4.2.1); the photograph is one of the two that
scikit-learn carries. And with a stride of 4 an image of 587 x 1024 gives 147 x 256 if it is padded
by 0 or 1 on each side, 148 x 257 by 2 (example 4.2.2, whose padding is not printed).

Measured on the temple: the mean answer of the strongest tenth of the places is 20 times the median;
half the brightness gives half the answer, and 0.3 added to it changes nothing. Cost: 3 s.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Key
from jdl.data import photographs
from jdl.nn.convolution import convolve, correlate
from jdl.nn.filters import filtered, finite_difference, gaussian, laplacian
from jdl.plot.canvas import canvas
from jdl.plot.images import image_grid
from jdl.recipes.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOOK_SHAPE, STRIDE = (587, 1024), 4  # of example 4.2.2
PLACES = np.arange(-20, 21)


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    photograph: int = 0
    """0 is the temple, 1 the flower."""
    variance: float = 5.0
    """Of the Gaussian pulse, in places squared."""
    width: int = 10
    """Of the rectangle, in places."""


def run(settings: Settings, key: Key) -> Report:
    """Filters the line and the photograph, measures and draws; the key is not used."""
    rectangle = (np.abs(PLACES + 0.5) <= settings.width / 2).astype(np.float32)
    pulse = gaussian(settings.variance**0.5)
    lines = {
        "rectangle": rectangle,
        "smoothed": on_a_line(rectangle, pulse),
        "finite difference": on_a_line(rectangle, finite_difference()[::-1]),
    }

    images, names = photographs()
    grey = jnp.asarray(images[settings.photograph].mean(-1)[None, :, :, None])
    found = edges(grey)
    halved, raised = edges(0.5 * grey), edges(grey + 0.3)
    threshold = jnp.quantile(found, 0.9)
    numbers = {
        "smoothed_peak": float(lines["smoothed"].max()),
        "steps_up": int((lines["finite difference"] == 1).sum()),
        "steps_down": int((lines["finite difference"] == -1).sum()),
        "edge_over_median": float(found[found > threshold].mean() / jnp.median(found)),
        "half_the_light": float(halved.sum() / found.sum()),
        "change_by_added_light": float(jnp.abs(raised - found).max()),
        **strided_sizes(grey),
    }
    strongest = jnp.quantile(found, 0.99)
    pictures = jnp.concatenate([grey, 1 - jnp.clip(jnp.pad(found, AROUND) / strongest, 0, 1)])
    figures = {
        "edges": image_grid(
            1 - np.asarray(pictures),
            [names[settings.photograph], "edges"],
            columns=2,
            size=4.0,
        ),
        "line": drawn(lines),
    }
    return Report(numbers, figures)


AROUND = ((0, 0), (1, 1), (1, 1), (0, 0))  # what a valid 3 x 3 leaves out


def edges(grey: jax.Array) -> jax.Array:
    """The size of the answer of eq. 4.4: images [B, H, W, 1] -> [B, H - 2, W - 2, 1]."""
    return jnp.abs(filtered(grey, -laplacian(diagonals=True), padding="VALID"))


def on_a_line(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """True convolution of one axis, [N] -> [N], zeros before and after."""
    before = (len(kernel) - 1) // 2
    kernel = jnp.asarray(kernel)[:, None, None]
    padding = [(len(kernel) - 1 - before, before)]
    return np.asarray(convolve(jnp.asarray(values)[None, :, None], kernel, padding=padding)).ravel()


def strided_sizes(grey: jax.Array) -> dict[str, int]:
    """Rows and columns of example 4.2.2, of an image of that size."""
    image = jax.image.resize(grey, (1, *BOOK_SHAPE, 1), "linear")
    kernel = -jnp.asarray(laplacian(diagonals=True))[:, :, None, None]
    sizes = {}
    for padding in (0, 1, 2):
        made = correlate(image, kernel, strides=STRIDE, padding=padding)
        sizes |= {
            f"rows_padded_by_{padding}": made.shape[1],
            f"columns_padded_by_{padding}": made.shape[2],
        }
    return sizes


def drawn(lines: dict[str, np.ndarray]) -> "Figure":
    """The rectangle, and what the two kernels make of it."""
    figure, panels = canvas(4 * len(lines), 2.6, 1, len(lines))
    for axes, (name, values) in zip(panels, lines.items(), strict=True):
        axes.plot(PLACES, values, drawstyle="steps-mid" if name != "smoothed" else "default")
        axes.set(title=name, xlabel="place", ylim=(-1.15, 1.15))
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    return figure
