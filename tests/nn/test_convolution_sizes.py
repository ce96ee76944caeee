"""Sizes against the books' numbers and JAX; receptive fields against what moves an output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.convolution_sizes import (
    Window,
    output_size,
    padded,
    receptive_field,
    total_padding,
    transposed_size,
)


@pytest.mark.parametrize(
    ("size", "kernel", "padding", "stride", "expected"),
    [
        (32, 5, 0, 1, 28),
        (32, 5, 2, 1, 32),
        (227, 11, 0, 4, 55),
        (7, 3, 0, 2, 3),
        (224, 7, 3, 2, 112),
    ],
)
def test_sizes_of_001_with_zeros_a_side(size, kernel, padding, stride, expected):
    assert output_size(size, kernel, stride, padding) == expected


@pytest.mark.parametrize(("total", "expected"), [(0, 54), (3, 55), (6, 55), (7, 56)])
def test_alexnet_of_004_with_zeros_of_both_sides_together(total, expected):
    assert output_size(224, 11, 4, total_padding(total)) == expected
    assert (224 + total - 11 + 4) // 4 == expected  # eq. 4.6 as printed


def test_the_cifar_network_of_004():
    sizes = [32]
    for kernel, stride in [(3, 1), (2, 2)] * 3:
        sizes.append(output_size(sizes[-1], kernel, stride))
    assert sizes == [32, 30, 15, 13, 6, 4, 2]


CASES = [
    (size, kernel, stride, padding, dilation)
    for size in (7, 8)
    for kernel in (1, 2, 3, 4)
    for stride in (1, 2, 3)
    for dilation in (1, 2)
    for padding in ("VALID", "SAME", 1, (2, 0))
]


def jax_shape(size, kernel, stride, padding, dilation, transposed=False):
    pads = padding if isinstance(padding, str) else [(padding,) * 2]
    pads = [padding] if isinstance(padding, tuple) else pads
    x, w = jnp.zeros([1, size, 1]), jnp.zeros([kernel, 1, 1])
    names = {"dimension_numbers": ("NTC", "TIO", "NTC"), "rhs_dilation": (dilation,)}
    call = jax.lax.conv_transpose if transposed else jax.lax.conv_general_dilated
    return jax.eval_shape(lambda: call(x, w, (stride,), pads, **names)).shape[1]


def test_every_size_is_that_of_jax():
    for case in CASES:
        assert output_size(*case) == jax_shape(*case), case


def test_transposed_sizes_are_those_of_jax_and_are_undone():
    for size, kernel, stride, padding, dilation in CASES:
        case = size, kernel, stride, padding, dilation
        if isinstance(padding, str):
            assert transposed_size(*case) == jax_shape(*case, transposed=True), case
        for extra in range(stride if padding != "SAME" else 1):
            extra = 0 if padding == "VALID" else extra
            large = transposed_size(*case, extra=extra)
            assert output_size(large, kernel, stride, padding, dilation) == size, case


def test_same_padding_of_an_odd_kernel_is_half_of_it_on_each_side():
    for kernel in (1, 3, 5, 7):
        assert padded(20, kernel, 1, "SAME") == ((kernel - 1) // 2,) * 2


def test_kernels_that_do_not_fit_and_other_words_are_refused():
    with pytest.raises(ValueError, match="pad more"):
        output_size(4, 3, dilation=2)
    with pytest.raises(ValueError, match="got 'same'"):
        output_size(4, 3, padding="same")
    with pytest.raises(ValueError, match="Take padded"):
        receptive_field([Window(3, padding="SAME")])


@pytest.mark.parametrize(
    ("windows", "size"),
    [
        ([(3,)] * 2, 5),
        ([(3,)] * 3, 7),
        ([(3,), (2, 2), (3,)], 8),
        ([(3, 1, 1), (3, 1, 2), (3, 1, 4)], 15),
    ],
)
def test_sizes_that_the_books_name(windows, size):
    assert receptive_field(windows).size == size


STACK = [Window(3, 2, 1, 1), Window(2, 1, 3, (1, 2)), Window(3, 2, 1, 2)]


def test_it_is_what_moves_an_output():
    """Inputs of ones, kernels of ones: an input is seen if the output changes with it."""
    size = 40
    seen = np.eye(size)  # rows: the inputs that each unit sees
    for kernel, stride, dilation, (low, high) in [
        (w.kernel, w.stride, w.dilation, padded(0, w.kernel, padding=w.padding)) for w in STACK
    ]:
        inputs = np.pad(seen, ((low, high), (0, 0)))
        outputs = (len(inputs) - dilation * (kernel - 1) - 1) // stride + 1
        seen = np.array(
            [sum(inputs[stride * p + dilation * a] for a in range(kernel)) for p in range(outputs)]
        )
    size_seen, jump, start = receptive_field(STACK)
    for i, row in enumerate(seen):
        first, last = start + i * jump, start + i * jump + size_seen - 1
        inside = np.flatnonzero(row)
        assert inside.min() >= first and inside.max() <= last
        if first >= 0:
            assert inside.min() == first
        if last < size:
            assert inside.max() == last
    assert start < 0


def test_without_dilation_it_would_be_too_small():
    plain = [window._replace(dilation=1) for window in STACK]
    assert receptive_field(plain).size < receptive_field(STACK).size
