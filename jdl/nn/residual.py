"""Residual blocks: a branch of convolutions is added to its input.

    after    y = activation(F(x) + shortcut(x)),   F = norm conv activation norm conv   (2015)
    before   y = F(x) + shortcut(x),               F = conv activation norm twice       (2016)

    basic        3 x 3, D maps;  3 x 3, D maps                                          -> D maps
    bottleneck   1 x 1, D;  3 x 3, D;  1 x 1, 4 D                                       -> 4 D maps

A branch of zeros leaves the block before (2016) the identity, and dL/dx = dL/dy (1 + dF/dx): the
gradient has a way past every layer. `zero_init=True` starts there. 004's text subtracts the wrong
things: the layers fit F(x) = H(x) - x, so that F(x) + x is the H wanted.

Source: He, Zhang, Ren, Sun 2015, sections 3.2 and 4.1, 2016, figure 4e; Goyal et al. 2017, section
5.1 (zero_init); Zagoruyko, Komodakis 2016 (wide, dropout). Running averages of PyTorch's momentum
0.1 are those of 0.9 here; its running variance is that of 1 / (N - 1). eps is 1e-5.

Axes: B images, H rows, W columns, C channels in, D maps.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.convolution_forms import Conv

BATCH_NORM = functools.partial(nnx.BatchNorm, momentum=0.9, epsilon=1e-5)
HE_CONV = functools.partial(
    Conv,
    use_bias=False,
    kernel_init=nnx.initializers.variance_scaling(2.0, "fan_out", "normal"),
)
EXPANSION = 4  # of a bottleneck


class ResidualBlock(nnx.Module):
    """The block of 2015: the sum is normalised maps and shortcut, and then activated.

    Args:
        in_features: C.
        features: D; a bottleneck has 4 D outputs.
        strides: of the block.
        bottleneck: three layers, 1 x 1, 3 x 3, 1 x 1, in place of two of 3 x 3.
        stride_first: a bottleneck strides in its first layer, as published; False strides in the
            3 x 3, torchvision's form.
        inner_features: of the layers before the last, D unless given; 2 D is a wide bottleneck.
        dilations: steps between the taps of the first 3 x 3 and of the second, if there is one.
        shortcut: "projection", a 1 x 1 convolution where the shape changes (option B), "zeros",
            strided and filled with zero maps (A, no parameters), "projections", always (C).
        zero_init: the last normalisation scales by 0 at first.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...), such as nnx.GroupNorm too.
        conv: as nnx.Conv; without biases, since a normalisation follows.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: ResidualBlock(8, 16, strides=2, rngs=rngs))
        >>> variables = model.init(jax.random.key(0))
        >>> model.apply(variables, jnp.zeros([1, 6, 6, 8]))[0].shape
        (1, 3, 3, 16)
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        strides: int = 1,
        *,
        bottleneck: bool = False,
        stride_first: bool = True,
        inner_features: int | None = None,
        dilations: tuple[int, int] = (1, 1),
        shortcut: str = "projection",
        zero_init: bool = False,
        activation: Callable = jax.nn.relu,
        norm: Callable = BATCH_NORM,
        conv: Callable = HE_CONV,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        layers = _layers(
            in_features, features, strides, bottleneck, stride_first, inner_features or features
        )
        self.activation, self.out_features = activation, layers[-1][1]
        steps = (1, dilations[0], 1) if bottleneck else dilations
        pairs = zip(layers, steps, strict=True)
        self.convs = nnx.List([_conv(conv, *layer, step, **made) for layer, step in pairs])
        self.norms = nnx.List([norm(maps, **made) for _, maps, _, _ in layers[:-1]])
        self.norms.append(norm(self.out_features, **_zeros("scale_init", zero_init), **made))
        self.shortcut = Shortcut(
            in_features, self.out_features, strides, shortcut, norm=norm, conv=conv, **made
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', out_features]."""
        y = self.norms[0](self.convs[0](x))
        for conv, norm in zip(self.convs[1:], self.norms[1:], strict=True):
            y = norm(conv(self.activation(y)))
        return self.activation(y + self.shortcut(x).astype(y.dtype))


class PreActivationBlock(nnx.Module):
    """The block of 2016: normalisation and activation come before each convolution.

    Nothing follows the sum, so that a stack ends in a normalisation and an activation of its own.
    Where the shape changes, the projection sees the activated maps, as published, and has no norm.

    Args:
        in_features: C.
        features: D; a bottleneck has 4 D outputs.
        strides: of the block.
        bottleneck: three layers in place of two.
        stride_first: a bottleneck strides in its first layer; False: in the 3 x 3.
        inner_features: as `ResidualBlock` has it.
        use_bias: the last layer and the projection, which no norm follows at once, have biases
            (Keras's form).
        shortcut: as `ResidualBlock` has it.
        zero_init: the last kernel is 0 at first: the block is the identity.
        dropout_rate: between the convolutions, of wide networks; its passes take `rngs`.
        activation: elementwise function.
        norm: as `ResidualBlock` has it.
        conv: as nnx.Conv.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        strides: int = 1,
        *,
        bottleneck: bool = False,
        stride_first: bool = True,
        inner_features: int | None = None,
        use_bias: bool = False,
        shortcut: str = "projection",
        zero_init: bool = False,
        dropout_rate: float = 0.0,
        activation: Callable = jax.nn.relu,
        norm: Callable = BATCH_NORM,
        conv: Callable = HE_CONV,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        layers = _layers(
            in_features, features, strides, bottleneck, stride_first, inner_features or features
        )
        self.activation, self.out_features = activation, layers[-1][1]
        self.norms = nnx.List([norm(channels, **made) for channels, _, _, _ in layers])
        self.convs = nnx.List([_conv(conv, *layer, **made) for layer in layers[:-1]])
        bias = {"use_bias": True} if use_bias else {}
        last = _zeros("kernel_init", zero_init) | bias
        self.convs.append(_conv(conv, *layers[-1], **last, **made))
        self.dropout = nnx.Dropout(dropout_rate)
        conv = functools.partial(conv, **bias)
        self.shortcut = Shortcut(
            in_features, self.out_features, strides, shortcut, norm=None, conv=conv, **made
        )

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', out_features]."""
        active = self.activation(self.norms[0](x))
        y = self.convs[0](active)
        for conv, norm in zip(self.convs[1:], self.norms[1:], strict=True):
            y = conv(self.dropout(self.activation(norm(y)), rngs=rngs))
        return y + self.shortcut(active if self.shortcut.projects else x).astype(y.dtype)


def stacked(
    block: Callable,
    in_features: int,
    widths: Sequence[int],
    depths: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[tuple[int, int]] | None = None,
) -> nnx.List:
    """The stages of a network: lists of blocks, of which the first of each strides.

    Args:
        block: block(in_features, features, strides) -> a module that knows its `out_features`.
        in_features: of the maps that the first sees.
        widths: D of each stage.
        depths: blocks of each.
        strides: of the first block of each.
        dilations: of each, before and after its first stride; None dilates none, and then blocks
            need not know of it.
    """
    stages = nnx.List()
    dilations = [None] * len(strides) if dilations is None else dilations
    for features, depth, stride, pair in zip(widths, depths, strides, dilations, strict=True):
        blocks = nnx.List()
        for index in range(depth):
            spread = {} if pair is None else {"dilations": pair if index == 0 else pair[1:] * 2}
            blocks.append(block(in_features, features, stride if index == 0 else 1, **spread))
            in_features = blocks[-1].out_features
        stages.append(blocks)
    return stages


def dilated_in_place_of_strides(
    strides: Sequence[int], most: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Strides and dilations of stages whose strides multiply to no more than `most`.

    A stride beyond that becomes 1, and what follows it is dilated by as much instead, so that every
    layer sees of the image what it saw. The 3 x 3 that strode still has the dilation from before
    (Yu, Koltun, Funkhouser 2017; torchvision).

    Args:
        strides: of the first block of each stage.
        most: the largest product.

    Returns:
        Strides and dilations, as `stacked` takes them.

    Example:
        >>> dilated_in_place_of_strides([1, 2, 2, 2], 2)
        ([1, 2, 1, 1], [(1, 1), (1, 1), (1, 2), (2, 4)])
    """
    found, dilations, product, dilation = [], [], 1, 1
    for stride in strides:
        before = dilation
        if product * stride > most:
            stride, dilation = 1, dilation * stride
        product *= stride
        found.append(stride)
        dilations.append((before, dilation))
    return found, dilations


class Shortcut(nnx.Module):
    """The way past a branch: the identity, zero maps added, or a 1 x 1 convolution and a norm."""

    def __init__(
        self, in_features, out_features, strides, kind, *, norm, conv, dtype, param_dtype, rngs
    ):
        if kind not in ("projection", "zeros", "projections"):
            raise ValueError(f"shortcut is projection, zeros or projections; got {kind!r}")
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.strides, self.more = strides, out_features - in_features
        changes = strides > 1 or self.more != 0
        self.projects = kind == "projections" or (kind == "projection" and changes)
        if kind == "zeros" and self.more < 0:
            raise ValueError(f"zeros are added; {in_features} -> {out_features} wants projection")
        self.layers = nnx.List()
        if self.projects:
            self.layers.append(conv(in_features, out_features, (1, 1), strides, **made))
            if norm is not None:
                self.layers.append(norm(out_features, **made))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', D]."""
        for layer in self.layers:
            x = layer(x)
        if self.projects:
            return x
        x = x[:, :: self.strides, :: self.strides]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.more)))


def _layers(in_features, features, strides, bottleneck, stride_first, inner):
    """(channels in, maps out, kernel size, stride) of each layer of a branch."""
    if not bottleneck:
        return [(in_features, inner, 3, strides), (inner, features, 3, 1)]
    first, second = (strides, 1) if stride_first else (1, strides)
    return [
        (in_features, inner, 1, first),
        (inner, inner, 3, second),
        (inner, EXPANSION * features, 1, 1),
    ]


def _conv(conv, inputs, outputs, size, strides, dilation=1, **made):
    """Padded by the same number on each side, which "SAME" does not when it strides."""
    spread = {"kernel_dilation": dilation} if dilation > 1 else {}
    padding = dilation * (size // 2)
    return conv(inputs, outputs, (size, size), strides, padding=padding, **spread, **made)


def _zeros(name, wanted):
    return {name: nnx.initializers.zeros_init()} if wanted else {}
