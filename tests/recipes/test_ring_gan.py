"""The ring of Gaussians: a short game reports what it should, and the full one finds all modes."""

import jax
import numpy as np
import pytest

from jdl.recipes import ring_gan

SHORT = ring_gan.Settings(steps=40, measurements=4, batch_size=64, hidden=16, modes=3, samples=500)


@pytest.fixture(scope="module")
def report():
    return ring_gan.run(SHORT, jax.random.key(0))


def test_a_game_just_begun_has_found_little(report):
    assert set(report.metrics) == {
        "modes",
        "high_quality",
        "smallest_share",
        "largest_share",
        "value",
    }
    assert report.metrics["high_quality"] < 0.1 and "of 3 modes" in report.text
    # The value starts near that of a discriminator that says 1/2 to everything.
    assert abs(report.metrics["value"] + np.log(4)) < 0.1


def test_pictures_show_the_moments_and_the_curves(report):
    strip, curves = report.figures["samples"], report.figures["learning"]
    panels = [axes for axes in strip.axes if axes.get_title()]
    assert panels[0].get_title().startswith("step 0\n")
    assert panels[-1].get_title().startswith("step 40\n")
    assert [len(line.get_xdata()) for line in curves.axes[0].lines] == [5, 5]
    assert [len(line.get_xdata()) for line in curves.axes[1].lines] == [40, 40]
    fields = np.stack([axes.images[0].get_array() for axes in panels])
    assert fields.min() > 0 and fields.max() < 1


def test_run_is_a_function_of_settings_and_key(report):
    again = ring_gan.run(SHORT, jax.random.key(0))
    other = ring_gan.run(SHORT, jax.random.key(1))
    assert again.metrics == report.metrics and other.metrics != report.metrics


@pytest.mark.slow
def test_full_game_finds_all_modes():
    metrics = ring_gan.run(ring_gan.Settings(), jax.random.key(0)).metrics
    assert metrics["modes"] == 8 and metrics["high_quality"] > 0.8
    assert metrics["smallest_share"] > 0.05
