"""Sizes of convolutions and poolings along one axis, and what their outputs see.

    extent e = dilation (kernel - 1) + 1
    output   = floor((size + low + high - e) / stride) + 1
    "VALID"    low = high = 0
    "SAME"     output = ceil(size / stride); the odd zero is added at the end   (JAX, TensorFlow)
    "FULL"     low = high = e - 1: every place where kernel and input meet      (NumPy, SciPy)

    transposed = (size - 1) stride - low - high + e + extra         undoes `output`

Two conventions of padding. An integer here is a number of zeros on each side, as in 001 and in
PyTorch: floor((n + 2 p - k) / s) + 1. 004 eqs. 4.5 and 4.6 count both sides together,
floor((n + p - k + s) / s): `total_padding(p)` is the pair of it. Its figure 4.7 says p = 1 and
computes with 2; AlexNet's "padding of 3" is a total. Same padding for stride 1 and an odd kernel is
(k - 1) / 2 a side.

Source: 001; 004 section 4.2; Dumoulin and Visin 2016, relationships 6, 14 and 15; Araujo, Norris,
Sim 2019 (receptive fields).
"""

from collections.abc import Iterable
from typing import NamedTuple

Padding = int | tuple[int, int] | str


def output_size(
    size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1
) -> int:
    """Outputs along an axis.

        floor((size + low + high - dilation (kernel - 1) - 1) / stride) + 1

    Args:
        size: of the input.
        kernel: taps of the kernel, or of the window of a pooling.
        stride: steps between outputs.
        padding: zeros on each side, a pair (low, high), "VALID", "SAME" or "FULL".
        dilation: steps between taps.

    Raises:
        ValueError: the kernel does not fit.

    Example:
        >>> output_size(227, 11, stride=4), output_size(7, 3, stride=2)
        (55, 3)
        >>> output_size(587, 3, 4, total_padding(2)), output_size(1024, 3, 4, total_padding(2))
        (147, 256)
    """
    low, high = padded(size, kernel, stride, padding, dilation)
    room = size + low + high - dilation * (kernel - 1) - 1
    if room < 0:
        raise ValueError(
            f"a kernel of {kernel} with dilation {dilation} does not fit into {size} + {low} + "
            f"{high}; pad more"
        )
    return room // stride + 1


def transposed_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    extra: int = 0,
) -> int:
    """Outputs of a transposed convolution: the size whose convolution has `size` outputs.

        (size - 1) stride - low - high + dilation (kernel - 1) + 1 + extra

    Args:
        size: of its input.
        kernel: taps.
        stride: of the convolution that it undoes.
        padding: of that convolution too. "SAME" gives size * stride, "VALID" at least that.
        dilation: steps between taps.
        extra: 0 to stride - 1, PyTorch's `output_padding`: several sizes have the same outputs.

    Example:
        >>> transposed_size(4, 4, 2, padding=1), transposed_size(4, 3, 2, "SAME")
        (8, 8)
    """
    extent = dilation * (kernel - 1) + 1
    if padding == "SAME":
        return size * stride
    if padding == "VALID":
        return (size - 1) * stride + max(extent, stride)
    low, high = padded(size, kernel, stride, padding, dilation)
    return (size - 1) * stride - low - high + extent + extra


def padded(
    size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1
) -> tuple[int, int]:
    """Zeros before and after the input that a padding stands for.

    Args:
        size: of the input; "SAME" depends on it.
        kernel: taps.
        stride: steps between outputs.
        padding: zeros on each side, a pair, "VALID", "SAME" or "FULL".
        dilation: steps between taps.

    Raises:
        ValueError: another word.

    Example:
        >>> padded(28, 5, 1, "SAME"), padded(28, 3, 2, "SAME"), padded(28, 3, 1, "FULL")
        ((2, 2), (0, 1), (2, 2))
    """
    extent = dilation * (kernel - 1) + 1
    if padding == "VALID":
        return 0, 0
    if padding == "FULL":
        return extent - 1, extent - 1
    if padding == "SAME":
        return total_padding(max((-(-size // stride) - 1) * stride + extent - size, 0))
    if isinstance(padding, str):
        raise ValueError(f"padding is VALID, SAME, FULL, a number or a pair; got {padding!r}")
    low, high = (padding, padding) if isinstance(padding, int) else padding
    return low, high


def total_padding(total: int) -> tuple[int, int]:
    """The pair (low, high) of zeros counted together, as 004's p; the odd one is last.

    Example:
        >>> total_padding(3)
        (1, 2)
    """
    return total // 2, total - total // 2


class Window(NamedTuple):
    """A convolution or a pooling along an axis.

    Attributes:
        kernel: taps.
        stride: steps between outputs.
        dilation: steps between taps.
        padding: zeros on each side, or the pair.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int | tuple[int, int] = 0


class ReceptiveField(NamedTuple):
    """What the outputs of a stack see along an axis.

    Output i sees the inputs from start + i jump to start + i jump + size - 1.

    Attributes:
        size: inputs that an output sees.
        jump: inputs from one output to the next.
        start: the first input that output 0 sees; below 0 it lies in the padding.
    """

    size: int
    jump: int
    start: int


def receptive_field(windows: Iterable[Window | tuple]) -> ReceptiveField:
    """What an output of a stack sees.

        start -= low jump,   size += dilation (kernel - 1) jump,   jump *= stride

    from (size, jump, start) = (1, 1, 0), layer by layer.

    Args:
        windows: the layers from the input on, (kernel, stride, dilation, padding).

    Raises:
        ValueError: "SAME", which depends on the size of the input: give the pair, `padded`.

    Example:
        >>> receptive_field([Window(3)] * 3)
        ReceptiveField(size=7, jump=1, start=0)
        >>> receptive_field([Window(3), Window(2, stride=2), Window(3)]).size
        8
    """
    size, jump, start = 1, 1, 0
    for kernel, stride, dilation, padding in (Window(*window) for window in windows):
        if isinstance(padding, str):
            raise ValueError(f"padding is a number or a pair; got {padding!r}. Take padded(...)")
        low = padding if isinstance(padding, int) else padding[0]
        start -= low * jump
        size += dilation * (kernel - 1) * jump
        jump *= stride
    return ReceptiveField(size, jump, start)
