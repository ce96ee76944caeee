"""Activations that jax.nn lacks: a choice at ties, random slopes and gates, temperatures.

The others are used as they are:

    jax.nn.identity, jnp.tanh
    jax.nn.sigmoid(z)                     1 / (1 + e^-z);  (1 + tanh z) / 2 = sigmoid(2 z)
    jax.nn.relu(z)                        max(0, z), derivative 0 at 0; jnp.maximum(z, 0) has 1/2
    jax.nn.leaky_relu(z, slope)           derivative 1 at 0; `leaky_relu` here lets one choose
    nnx.PReLU(0.25)                       the slope is learned; Flax starts it at 0.01
    jax.nn.elu(z), jax.nn.silu(z)         z > 0: z, else e^z - 1;   z sigmoid(z)
    jax.nn.softplus(z)                    log(1 + e^z)
    jax.nn.gelu(z, approximate=False)     z Phi(z); approximate=True, JAX's default: the tanh form

Sources: 000 ch. 3, 001 and 003 (activations), 004 eqs. 1.15-1.19, 1.52, 1.53. The slope of PReLU
starts at 0.25 in He, Zhang, Ren, Sun 2015, section 2.1. 003 calls ELU smooth everywhere and
self-normalizing: it has a continuous derivative for alpha = 1 only, and the latter is SELU's.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Key


def leaky_relu(x: jax.Array, negative_slope: float = 0.01, *, slope_at_zero: float) -> jax.Array:
    """The rectifier with a chosen derivative where it has none.

        f(x) = x for x > 0, negative_slope * x for x < 0;   f(0) = 0,  f'(0) = slope_at_zero

    Args:
        x: of any shape.
        negative_slope: 0 makes it the plain rectifier.
        slope_at_zero: the derivative at 0. 000's listing, `x if x > 0 else alpha * x`, has
            `negative_slope`; 002's and 003's, `x if x >= 0`, has 1; 001's ReLU has 0 or 1.

    Example:
        >>> [jax.grad(leaky_relu)(0.0, slope_at_zero=slope).item() for slope in (0.0, 0.5, 1.0)]
        [0.0, 0.5, 1.0]
    """
    slopes = jnp.where(x > 0, 1.0, jnp.where(x < 0, negative_slope, slope_at_zero))
    return x * slopes.astype(jnp.result_type(x))


def rrelu(x: jax.Array, key: Key, lower: float = 1 / 8, upper: float = 1 / 3) -> jax.Array:
    """Randomized leaky ReLU of training: every entry has a slope of its own.

        f(x) = x for x >= 0, slope * x for x < 0,   slope ~ U(lower, upper)

    The mean of the slopes, 11/48, is what `RReLU` evaluates with. Source: 003, which names it; the
    range is PyTorch's. Xu and others 2015 draw the divisor instead: `rrelu_by_division`.

    Args:
        x: of any shape.
        key: of the slopes.
        lower: least slope.
        upper: greatest slope.
    """
    slopes = jax.random.uniform(key, x.shape, x.dtype, lower, upper)
    return jnp.where(x >= 0, x, slopes * x)


def rrelu_by_division(x: jax.Array, key: Key, lower: float = 3.0, upper: float = 8.0) -> jax.Array:
    """Randomized leaky ReLU of training, as published.

        f(x) = x for x >= 0, x / a for x < 0,   a ~ U(lower, upper)

    It is evaluated with a = (lower + upper) / 2: `jax.nn.leaky_relu(x, 1 / 5.5)`. Source: Xu, Wang,
    Chen, Li 2015, section 2.4.

    Args:
        x: of any shape.
        key: of the divisors.
        lower: least divisor.
        upper: greatest divisor.
    """
    divisors = jax.random.uniform(key, x.shape, x.dtype, lower, upper)
    return jnp.where(x >= 0, x, x / divisors)


class RReLU(nnx.Module):
    """The layer of `rrelu`: random slopes in training, their mean in evaluation.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: RReLU())
        >>> outputs, _ = model.apply(model.init(jax.random.key(0)), -48 * jnp.ones(1))
        >>> round(outputs.item(), 3)
        -11.0
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3):
        self.lower, self.upper, self.deterministic = lower, upper, False

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Of any shape; draws from `rngs.slope` in training."""
        if self.deterministic:
            return jax.nn.leaky_relu(x, (self.lower + self.upper) / 2)
        return rrelu(x, rngs.slope(), self.lower, self.upper)


def stochastic_gelu(x: jax.Array, key: Key) -> jax.Array:
    """Lets an entry pass with the probability Phi(x); its mean is GELU.

        f(x) = x m,   m ~ Bernoulli(Phi(x)),   E f(x) = x Phi(x) = jax.nn.gelu(x, approximate=False)

    The derivative is that of the path taken, m, whose mean is Phi(x), not GELU's derivative.
    Source: Hendrycks, Gimpel 2016, section 2. 003 says that GELU is stochastic in training: it is
    not, this is what motivates it.

    Args:
        x: of any shape.
        key: of the gates.
    """
    return jnp.where(jax.random.bernoulli(key, jax.scipy.stats.norm.cdf(x)), x, 0.0)


def softmax(
    logits: jax.Array, temperature: float | jax.Array = 1.0, *, axis: int | tuple[int, ...] | None
) -> jax.Array:
    """Probabilities proportional to e^(logits / temperature).

        p_k = e^(z_k / T) / sum_j e^(z_j / T);   T -> 0: the largest alone,  T -> infinity: uniform

    The largest logit is taken off first, so that no temperature overflows. Source: 000's and 003's
    listings, which take it off too; 004 eqs. 1.70-1.72, and 7.3 for the temperature.

    Args:
        logits: [...].
        temperature: above 0.
        axis: along which they sum to 1; None for the whole array, as 000's listing has it.

    Raises:
        ValueError: a temperature of 0 or less, if it is known when the function is traced.

    Example:
        >>> [round(p, 4) for p in softmax(jnp.array([2.0, 1.0, 0.1]), axis=-1).tolist()]
        [0.659, 0.2424, 0.0986]
    """
    return jax.nn.softmax(_tempered(logits, temperature, axis)[0], axis=axis)


def log_softmax(
    logits: jax.Array, temperature: float | jax.Array = 1.0, *, axis: int | tuple[int, ...] | None
) -> jax.Array:
    """The logarithm of `softmax`, z_k / T - log sum_j e^(z_j / T), with the same arguments.

    At T = 1 a second one changes nothing, so that a cross-entropy of logits may be fed with it, as
    004's example 3.11.1 does.
    """
    return jax.nn.log_softmax(_tempered(logits, temperature, axis)[0], axis=axis)


def logsumexp(
    logits: jax.Array, temperature: float | jax.Array = 1.0, *, axis: int | tuple[int, ...] | None
) -> jax.Array:
    """The soft maximum T log sum_j e^(z_j / T), with the arguments of `softmax`.

    Its gradient is `softmax`; T -> 0: the maximum. Source: 003 and 004 eq. 1.77, where T = 1.
    """
    shifted, largest = _tempered(logits, temperature, axis)
    total = temperature * jax.nn.logsumexp(shifted, axis=axis)
    return total + largest.reshape(total.shape)


def _tempered(logits, temperature, axis):
    """(logits - largest) / temperature, and the largest."""
    if isinstance(temperature, int | float) and temperature <= 0:
        raise ValueError(f"a temperature is above 0; got {temperature}. For 0 take the argmax")
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True))
    return (logits - largest) / temperature, largest
