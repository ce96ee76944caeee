"""LeNet-5 as published: maps that see a part of the maps before them, and penalties for outputs.

    image [B, 32, 32, 1]
      C1   convolution 5x5, 6 maps             [B, 28, 28, 6]         156 params
      S2   a (sum of 2x2) + b, 6 maps          [B, 14, 14, 6]          12
      C3   convolution 5x5, 16 maps, of table  [B, 10, 10, 16]      1,516
      S4   a (sum of 2x2) + b, 16 maps         [B, 5, 5, 16]           32
      C5   convolution 5x5, 120 maps           [B, 1, 1, 120]      48,120
      F6   dense, 84 units                     [B, 84]             10,164
      output   y_i = sum_j (x_j - code_ij)^2   [B, 10]                  0

    f(a) = 1.7159 tanh(2 a / 3)      after each layer up to F6; f(1) = 1, f(-1) = -1
    loss = mean of  y_D + log(exp(-j) + sum_i exp(-y_i)),       D the label           (eq. 9)

60,000 trainable parameters. A penalty y is a negative log likelihood but for a constant, that of a
Gaussian around the code; the logits returned are -y, so that the largest is the best, and softmax
has its usual meaning. The term j is a class of rubbish, whose penalty is j everywhere: it keeps the
penalties of wrong classes from being raised without end.

Source: LeCun, Bottou, Bengio, Haffner 1998, sections II.B and II.C, table I, eqs. 6 to 9, appendix
A (the sigmoid; weights start uniform within 2.4 / fan-in). Departs: the paper's codes are drawn
figures of 7 x 12 pixels, which an argument takes; the default are random signs, the choice that the
paper names as the other one. A coefficient a starts at 1/4, so that S2 and S4 are means.

Axes: B images, H rows, W columns, C channels.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Model, Objective
from jdl.functional import functional
from jdl.models.convnets.lenet import check_digits
from jdl.nn.convolution import correlate
from jdl.nn.pooling import avg_pool
from jdl.train.objectives import classification

# Table I: the maps of S2 that each map of C3 sees.
CONNECTIONS = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
CODE_LENGTH = 84  # 7 x 12


def random_codes(num_classes: int = 10, seed: int = 0) -> np.ndarray:
    """Codes of signs drawn with equal probabilities, the same for the same seed.

    Args:
        num_classes: K.
        seed: of NumPy's generator.

    Returns:
        [K, 84] of -1 and 1.
    """
    return np.random.default_rng(seed).choice([-1, 1], [num_classes, CODE_LENGTH])


def scaled_tanh(x: jax.Array) -> jax.Array:
    """1.7159 tanh(2 x / 3): of slope 1.14 at 0, and 1 at 1."""
    return 1.7159 * jnp.tanh(2 / 3 * x)


def lenet5_1998(
    codes: Sequence[Sequence[float]] | None = None,
    *,
    activation: Callable = scaled_tanh,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """LeNet-5 of 1998, with penalties.

    Args:
        codes: of each class the 84 values that F6 should have, [K, 84]; None takes
            `random_codes()`.
        activation: elementwise function after every layer up to F6.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, 32, 32, 1] -> minus the squared distances of F6 from the codes [B, K].
        Its method `features` gives the maps of S2, S4 and C5, and `classify` takes the last.

    Raises:
        ValueError: codes of another length; from `apply`, images of another shape.

    Example:
        >>> model = lenet5_1998()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> sum(x.size for x in jax.tree.leaves(variables.params))
        60000
    """
    codes = np.asarray(random_codes() if codes is None else codes)
    if codes.ndim != 2 or codes.shape[1] != CODE_LENGTH:
        raise ValueError(
            f"codes are [K, {CODE_LENGTH}], the rows of figures of 12 x 7; got {list(codes.shape)}"
        )
    made = {"dtype": dtype, "param_dtype": param_dtype}
    codes = tuple(map(tuple, codes.tolist()))
    return functional(lambda rngs: LeNet51998(codes, activation, **made, rngs=rngs))


class LeNet51998(nnx.Module):
    """The network of `lenet5_1998`."""

    def __init__(self, codes, activation, *, dtype, param_dtype, rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.codes, self.activation = codes, activation
        self.c1 = nnx.Conv(1, 6, (5, 5), padding="VALID", **_within(25), **made)
        self.s2 = Subsampling(6, **made)
        self.c3 = PartialConv(CONNECTIONS, **made)
        self.s4 = Subsampling(16, **made)
        self.c5 = nnx.Conv(16, 120, (5, 5), padding="VALID", **_within(400), **made)
        self.f6 = nnx.Linear(120, CODE_LENGTH, **_within(120), **made)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, 32, 32, 1] -> minus the penalties [B, K]."""
        return self.classify(self.features(images)[-1])

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, 32, 32, 1] -> the maps of S2, S4 and C5."""
        check_digits(images)
        s2 = self.activation(self.s2(self.activation(self.c1(images))))
        s4 = self.activation(self.s4(self.activation(self.c3(s2))))
        return s2, s4, self.activation(self.c5(s4))

    def classify(self, maps: jax.Array) -> jax.Array:
        """The maps of C5 [B, 1, 1, 120] -> minus the penalties [B, K]."""
        units = self.activation(self.f6(maps.reshape(maps.shape[0], -1)))
        distances = units[:, None] - jnp.asarray(self.codes, units.dtype)[None]
        return -jnp.sum(distances**2, -1)


class PartialConv(nnx.Module):
    """A convolution 5x5 each of whose maps sees the maps before it that a table names.

    It has one kernel for each pair in the table: the zeros of the other pairs are no parameters.

    Args:
        connections: of each map the maps that it sees.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        connections: Sequence[Sequence[int]],
        *,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.dtype, self.num_maps = dtype, len(connections)
        self.pairs = tuple((c, d) for d, inputs in enumerate(connections) for c in inputs)
        within = np.array([2.4 / (25 * len(inputs)) for inputs in connections])

        def uniform(bounds, *shape):
            shape = (*shape, len(bounds))
            draws = jax.random.uniform(
                rngs.params(), shape, param_dtype, minval=-bounds, maxval=bounds
            )
            return nnx.Param(draws)

        self.kernel = uniform(within[[d for _, d in self.pairs]], 5, 5)
        self.bias = uniform(within)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H - 4, W - 4, number of maps]."""
        x, kernel, bias = _in_dtype(self.dtype, x, self.kernel[...], self.bias[...])
        inputs, maps = np.transpose(self.pairs)
        whole = jnp.zeros((5, 5, x.shape[-1], self.num_maps), kernel.dtype)
        return correlate(x, whole.at[:, :, inputs, maps].set(kernel)) + bias[None, None, None]


class Subsampling(nnx.Module):
    """The sum of each 2x2 places, times a coefficient of the map, plus a bias of the map."""

    def __init__(
        self, features: int, *, dtype=None, param_dtype=jnp.float32, rngs: nnx.Rngs | None = None
    ):
        self.dtype = dtype
        self.coefficient = nnx.Param(jnp.full([features], 0.25, param_dtype))
        self.bias = nnx.Param(jnp.zeros([features], param_dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H / 2, W / 2, C]."""
        x, scale, bias = _in_dtype(self.dtype, x, self.coefficient[...], self.bias[...])
        return 4 * avg_pool(x, 2) * scale[None, None, None] + bias[None, None, None]


def map_criterion(model: Model, rubbish_penalty: float) -> Objective:
    """The discriminative criterion of eq. 9: a class of rubbish competes with the others.

    Args:
        model: images -> minus the penalties [B, K].
        rubbish_penalty: j, positive; the paper names no number.

    Returns:
        An Objective of batches (images [B, ...], labels [B] of integers in [0, K]); label K is that
        of rubbish. Info: `accuracy`, where what is nearer to rubbish than to its class is wrong.

    Raises:
        ValueError: from the objective, labels that are not integers [B].
    """

    def apply(variables, images, **options):
        logits, buffers = model.apply(variables, images, **options)
        rubbish = jnp.full_like(logits[:, :1], -rubbish_penalty)
        return jnp.concatenate([logits, rubbish], -1), buffers

    return classification(Model(model.init, apply))


def _within(fan_in):
    """Weights and biases uniform within 2.4 / fan-in."""
    bound = 2.4 / fan_in

    def uniform(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return {"kernel_init": uniform, "bias_init": uniform}


def _in_dtype(dtype, *arrays):
    """All in the dtype, or in that of all together."""
    dtype = jnp.result_type(*arrays) if dtype is None else dtype
    return [x.astype(dtype) for x in arrays]
