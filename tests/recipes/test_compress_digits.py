"""A small LeNet-5: sizes are what they are said to be, and each way is in the table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.recipes import compress_digits

SHORT = compress_digits.Settings(
    steps=2,
    batch_size=16,
    test_fraction=0.2,
    sparsities=(0.5, 0.9),
    retraining=1,
    bits=(8, 2),
    students=2,
    student_steps=4,
)


@pytest.fixture(scope="module")
def report():
    return compress_digits.run(SHORT, jax.random.key(0))


def test_table_numbers_and_pictures_agree(report):
    lines = report.text.splitlines()
    names = ["LeNet-5", "pruned 50%", "pruned 90%", "8 bits", "2 bits"]
    names += ["small, labels", "small, distilled"]
    assert [line[:16].rstrip() for line in lines[1:]] == names
    assert lines[1].split()[1:] == ["246.8", f"{report.metrics['LeNet-5_accuracy']:.1%}", "100.0%"]
    at_once, after = report.figures["pruning"].axes[0].lines
    for share, before, later in zip((50, 90), at_once.get_ydata(), after.get_ydata(), strict=True):
        assert report.metrics[f"pruned_{share}_accuracy_before"] == before
        assert report.metrics[f"pruned_{share}_accuracy"] == later
    assert len(report.figures["sizes"].axes[0].lines) == 5


def test_sizes_are_those_of_what_is_left(report):
    weights, biases = 61_470, 236  # 61,706 parameters
    sizes = {n: x for n, x in report.metrics.items() if n.endswith("kB")}
    pruned = (0.4 * weights + 4 * biases + weights / 8) / 1000
    np.testing.assert_allclose(sizes["pruned_90_kB"], pruned, rtol=1e-6)
    # A scale for each of 6 + 16 + 120 + 84 + 10 channels, and as many biases.
    np.testing.assert_allclose(sizes["8_bits_kB"], (weights + 2 * 4 * biases) / 1000)
    np.testing.assert_allclose(sizes["2_bits_kB"], (weights / 4 + 8 * biases) / 1000)
    np.testing.assert_allclose(sizes["small_labels_kB"], 4 * (65 * 8 + 90) / 1000)


def test_the_size_of_a_sparse_network_counts_what_is_not_zero():
    params = {"kernel": jnp.array([[0.0, 1.0], [0.0, 0.0]] * 4), "bias": jnp.zeros(2)}
    assert compress_digits.sparse_size(params) == 4 * (4 + 2) + 2


@pytest.mark.slow  # 30 s
def test_nine_of_ten_weights_and_all_but_four_bits_can_go():
    metrics = compress_digits.run(compress_digits.Settings(), jax.random.key(0)).metrics
    full = metrics["LeNet-5_accuracy"]
    assert full > 0.96
    assert abs(metrics["pruned_90_accuracy"] - full) < 0.02
    assert abs(metrics["4_bits_accuracy"] - full) < 0.01
    assert metrics["2_bits_accuracy"] < full - 0.1
    assert metrics["pruned_90_accuracy"] > metrics["pruned_90_accuracy_before"] + 0.03
