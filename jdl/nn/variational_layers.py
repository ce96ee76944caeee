"""Layers whose weights are normal distributions, and three ways to draw their outputs.

    kernel = mean + std * noise,   std = softplus(rho),   the bias too

    weight sampling   y_n = x_n W                                       one W for the batch
    local             y_n ~ N(x_n mean, x_n^2 std^2)                    noise of outputs
    flipout           y_n = x_n mean + ((x_n s_n) (std * noise)) r_n    s_n, r_n random signs

The layers are `WeightSamplingLinear`, `LocalReparameterizationLinear`, `FlipoutLinear`, and each as
a `...Conv`, for networks that take the class of a layer: `mlp(sizes, linear=FlipoutLinear)`.

All three have the same mean and variance of each output. With one W the examples of a batch move
together, so that the gradient is as noisy as that of one example; local noise and signs make them
uncorrelated. Training draws, evaluation takes the means. Both kernel and bias hold `mean` and
`rho`, at paths such as `layers.0.kernel.rho`, where `normal_leaves` finds them.

Source: Blundell et al. 2015 (weight sampling); Kingma, Salimans, Welling 2015, eq. 6 (local); Wen,
Vicol, Ba, Tran, Grosse 2018, eq. 4 (flipout). The local noise of a convolution is independent
between places too, which that of shared weights is not: the marginals alone are the same.
"""

import functools
import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Tree
from jdl.nn.divergences import gaussian_kl

LECUN, ZEROS = nnx.initializers.lecun_normal(), nnx.initializers.zeros_init()


def inverse_softplus(std: float | jax.Array) -> jax.Array:
    """The rho of a standard deviation, log(exp(std) - 1).

    Args:
        std: positive.

    Raises:
        ValueError: a number that is not positive.
    """
    if isinstance(std, int | float) and not std > 0:
        raise ValueError(f"a standard deviation is positive; got {std}")
    return std + jnp.log(-jnp.expm1(-jnp.asarray(std, jnp.float32)))


class NormalWeights(nnx.Module):
    """A mean and a rho for each weight, std = softplus(rho)."""

    def __init__(self, mean: jax.Array, initial_std: float):
        self.mean = nnx.Param(mean)
        self.rho = nnx.Param(jnp.full_like(mean, inverse_softplus(initial_std)))

    def __call__(self, dtype) -> tuple[jax.Array, jax.Array]:
        """The mean and the standard deviation, in a dtype."""
        return self.mean[...].astype(dtype), jax.nn.softplus(self.rho[...]).astype(dtype)


Draw = Callable[..., jax.Array]  # (layer, apply, x, shape of the examples, rngs) -> outputs


class VariationalLinear(nnx.Module):
    """An affine layer of normal weights; `draw` says how its outputs are drawn."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        draw: Draw,
        initial_std: float = 0.05,
        kernel_init: Callable = LECUN,
        bias_init: Callable = ZEROS,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.draw, self.dtype, self.deterministic = draw, dtype, False
        kernel = kernel_init(rngs.params(), (in_features, out_features), param_dtype)
        self.kernel = NormalWeights(kernel, initial_std)
        self.bias = NormalWeights(
            bias_init(rngs.params(), (out_features,), param_dtype), initial_std
        )

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs [..., in_features] -> [..., out_features]."""
        return self.draw(self, jnp.matmul, x, x.shape[:-1], rngs)


class VariationalConv(nnx.Module):
    """A convolution of normal weights; arguments of `nnx.Conv` and `VariationalLinear`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: int | Sequence[int] = 1,
        *,
        draw: Draw,
        padding: str = "SAME",
        initial_std: float = 0.05,
        kernel_init: Callable = LECUN,
        bias_init: Callable = ZEROS,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.draw, self.dtype, self.deterministic = draw, dtype, False
        shape = (*kernel_size, in_features, out_features)
        kernel = kernel_init(rngs.params(), shape, param_dtype)
        self.kernel = NormalWeights(kernel, initial_std)
        self.bias = NormalWeights(
            bias_init(rngs.params(), (out_features,), param_dtype), initial_std
        )
        self.convolve = _convolution(len(kernel_size), strides, padding)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs [B, places ..., in_features] -> [B, places ..., out_features]."""
        return self.draw(self, self.convolve, x, (len(x), *[1] * (x.ndim - 2)), rngs)


def called(layer: nnx.Module, x: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
    """The outputs of a layer, which gets the random streams if it takes them.

    Args:
        layer: `nnx.Linear`, `nnx.Conv`, or one of those here.
        x: its inputs.
        rngs: streams of the call.
    """
    if "rngs" in inspect.signature(layer.__call__).parameters:
        return layer(x, rngs=rngs)
    return layer(x)


def normal_leaves(params: Tree) -> dict[str, tuple[jax.Array, jax.Array]]:
    """The weights that are normal distributions.

    Args:
        params: nested dicts; every {"mean": tree, "rho": tree} in them is such weights.

    Returns:
        From path to (mean, standard deviation), in which the path is that of the weights:
        `layers.0.kernel`.

    Example:
        >>> normal_leaves({"kernel": {"mean": jnp.zeros(2), "rho": jnp.zeros(2)}})["kernel"][1]
        Array([0.6931472, 0.6931472], dtype=float32)
    """
    found = {}

    def walk(tree, path):
        if not isinstance(tree, dict):
            return
        if tree.keys() == {"mean", "rho"}:
            rhos = jax.tree.leaves(tree["rho"])
            for (own, mean), rho in zip(jax.tree.leaves_with_path(tree["mean"]), rhos, strict=True):
                name = jax.tree_util.keystr(own, simple=True, separator=".")
                found[".".join([*path, *filter(None, [name])])] = mean, jax.nn.softplus(rho)
            return
        for name, branch in tree.items():
            walk(branch, [*path, name])

    walk(params, [])
    return found


def normal_kl(params: Tree, prior_std: float | jax.Array) -> jax.Array:
    """KL of all normal weights to the prior N(0, prior_std^2), the penalty of their ELBO.

    Args:
        params: with weights that `normal_leaves` finds.
        prior_std: of each weight.

    Returns:
        [], nats.

    Raises:
        ValueError: no such weights.
    """
    leaves = normal_leaves(params)
    if not leaves:
        raise ValueError("none of the params is a {'mean': ..., 'rho': ...}; see normal_leaves")
    log_variance = 2 * jnp.log(jnp.asarray(prior_std, jnp.float32))
    return sum(
        jnp.sum(gaussian_kl(mean, 2 * jnp.log(std), 0.0, log_variance))
        for mean, std in leaves.values()
    )


def weight_sampling(layer, apply, x, examples, rngs) -> jax.Array:
    """Outputs of one drawn kernel for the whole batch."""
    x, kernel, bias = _computed(layer, x)
    if layer.deterministic:
        return _affine(apply, x, kernel[0], bias[0])
    noise = [jax.random.normal(rngs.weights(), w.shape, w.dtype) for w, _ in (kernel, bias)]
    drawn = [mean + std * e for (mean, std), e in zip((kernel, bias), noise, strict=True)]
    return _affine(apply, x, *drawn)


def local_reparameterization(layer, apply, x, examples, rngs) -> jax.Array:
    """Outputs with noise of their own, independent for each example and at each place."""
    x, kernel, bias = _computed(layer, x)
    mean = _affine(apply, x, kernel[0], bias[0])
    if layer.deterministic:
        return mean
    variance = _affine(apply, x**2, kernel[1] ** 2, bias[1] ** 2)
    return mean + jnp.sqrt(variance) * jax.random.normal(rngs.weights(), mean.shape, mean.dtype)


def flipout(layer, apply, x, examples, rngs) -> jax.Array:
    """Outputs of one drawn kernel, whose signs each example turns by channel."""
    x, kernel, bias = _computed(layer, x)
    mean = _affine(apply, x, kernel[0], bias[0])
    if layer.deterministic:
        return mean
    noise = [jax.random.normal(rngs.weights(), w.shape, w.dtype) for w, _ in (kernel, bias)]
    signs_in = jax.random.rademacher(rngs.weights(), (*examples, x.shape[-1]), x.dtype)
    signs_out = jax.random.rademacher(rngs.weights(), (*examples, mean.shape[-1]), x.dtype)
    deviation = _affine(apply, x * signs_in, kernel[1] * noise[0], bias[1] * noise[1])
    return mean + deviation * signs_out


WeightSamplingLinear = functools.partial(VariationalLinear, draw=weight_sampling)
LocalReparameterizationLinear = functools.partial(VariationalLinear, draw=local_reparameterization)
FlipoutLinear = functools.partial(VariationalLinear, draw=flipout)
WeightSamplingConv = functools.partial(VariationalConv, draw=weight_sampling)
LocalReparameterizationConv = functools.partial(VariationalConv, draw=local_reparameterization)
FlipoutConv = functools.partial(VariationalConv, draw=flipout)


def _computed(layer, x):
    dtype = layer.dtype or jnp.result_type(x, layer.kernel.mean[...])
    return x.astype(dtype), layer.kernel(dtype), layer.bias(dtype)


def _affine(apply, x, kernel, bias):
    y = apply(x, kernel)
    return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def _convolution(places, strides, padding):
    strides = (strides,) * places if isinstance(strides, int) else tuple(strides)
    letters = "DHW"[3 - places :]
    dimensions = (f"N{letters}C", f"{letters}IO", f"N{letters}C")

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=dimensions
        )

    return convolve
