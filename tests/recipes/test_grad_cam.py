"""Where a network looks: the pictures and the numbers of a short run, and that heat tells."""

import jax
import numpy as np
import pytest

from jdl.recipes import grad_cam

SHORT = grad_cam.Settings(
    widths=(2, 3, 4), steps=2, batch_size=8, patch=16, strides=16, draws=2, measured=6, top=3
)


@pytest.fixture(scope="module")
def report():
    return grad_cam.run(SHORT, jax.random.key(0))


def test_each_digit_has_a_row_of_each_heat(report):
    panels = report.figures["heat"].axes
    assert len(panels) == 10 * 5 and all(len(axes.images) == 2 for axes in panels[10:])
    titles = ["", "Grad-CAM", "occlusion", "gradient", "SmoothGrad"]
    assert [axes.get_ylabel() for axes in panels[::10]] == titles
    assert set(report.figures) == {"heat", "filters", "excited", "maps1", "maps2", "maps3", "maps4"}
    assert sum(bool(axes.images) for axes in report.figures["excited"].axes) == 4 * 3


def test_the_patch_that_occlusion_calls_hottest_takes_most(report):
    metrics = report.metrics
    most, least = metrics["occlusion_hottest"], metrics["occlusion_coldest"]
    assert least <= metrics["any_patch"] <= most
    for name in ("grad_cam", "gradient", "smooth_grad"):
        assert metrics[f"{name}_hottest"] <= most + 1e-6
        assert metrics[f"{name}_coldest"] >= least - 1e-6
    assert len(report.text.splitlines()) == 7


def test_faithfulness_takes_the_drop_at_the_patch_with_most_heat():
    drops = np.array([[[0.1, 0.2], [0.3, 0.9]]])
    heat = np.zeros([1, 4, 4])
    heat[0, :2, 2:], heat[0, 2:, :2] = 1, -1
    values = grad_cam.Heats(heat, -heat, heat, heat, drops)
    found = grad_cam.faithfulness(values, grad_cam.Settings(patch=2, strides=2))
    assert found["grad_cam"] == (0.2, 0.3) and found["occlusion"] == (0.3, 0.2)


@pytest.mark.slow  # 30 s
def test_grad_cam_finds_what_the_class_rests_on():
    metrics = grad_cam.run(grad_cam.Settings(), jax.random.key(0)).metrics
    assert metrics["test_accuracy"] > 0.96
    assert metrics["grad_cam_hottest"] > 1.5 * metrics["any_patch"]
    assert metrics["grad_cam_coldest"] < 0.5 * metrics["any_patch"]
