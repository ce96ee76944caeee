"""What a recipe gives back."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Report(NamedTuple):
    """The numbers and pictures of a run.

    Attributes:
        metrics: numbers by name, floats or ints; written to `metrics.json`.
        figures: figures by file stem; written as PNG.
        text: what to print, a few lines or a table.
    """

    metrics: dict[str, float]
    figures: dict[str, "Figure"]
    text: str = ""
