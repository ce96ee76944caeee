"""The restricted Boltzmann machine, with binary units.

    energy      E(v, h) = - b'v - c'h - v'W h
    p(v, h)     = exp(-E(v, h)) / Z
    p(h_j = 1 | v) = sigmoid(c_j + sum_i v_i W_ij)      given v, hidden units are independent,
    p(v_i = 1 | h) = sigmoid(b_i + sum_j W_ij h_j)      and visible ones given h
    free energy F(v) = - log sum_h exp(-E(v, h)) = - b'v - sum_j softplus(c_j + sum_i v_i W_ij)
    log p(v)    = - F(v) - log Z

Source: Smolensky 1986; Hinton 2002; 004 eq. 7.7 to 7.9, which prints the biases of 7.7 summed over
both indices and mixes the indices of 7.9: here each bias counts once. Weights begin at N(0, 0.01^2)
and biases at 0 (Hinton 2010, section 8). It learns by `jdl.train.contrastive_divergence`.
Parameters: V * H + V + H; 6,564 for 64 pixels and 100 hidden units.

Axes: B examples, V visible units, H hidden units.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model, Variables
from jdl.functional import functional

ENUMERABLE = 20  # units: a million configurations


def rbm(num_visible: int, num_hidden: int, *, dtype=None, param_dtype=jnp.float32) -> Model:
    """A Bernoulli restricted Boltzmann machine.

    Args:
        num_visible: V.
        num_hidden: H.
        dtype: of the computation; None takes that of the params and the units together.
        param_dtype: of the params.

    Returns:
        A Model: v [B, V] of 0 and 1, or of probabilities -> free energy [B], nats. Further
        methods of `apply`: `hidden_logits`, v [B, V] -> [B, H]; `visible_logits`, h [B, H] ->
        [B, V]; `gibbs`, v [B, V] and a key -> (v', h), one sweep of block Gibbs sampling.

    Raises:
        ValueError: fewer than one unit on a side; from `apply`, units of another number.

    Example:
        >>> model = rbm(6, 4)
        >>> variables = model.init(jax.random.key(0))
        >>> free_energy, _ = model.apply(variables, jnp.zeros([3, 6]))
        >>> free_energy.shape
        (3,)
    """
    if num_visible < 1 or num_hidden < 1:
        raise ValueError(f"each side has at least one unit; got {num_visible} and {num_hidden}")
    return functional(lambda rngs: RBM(num_visible, num_hidden, dtype, param_dtype, rngs=rngs))


class RBM(nnx.Module):
    """The machine of `rbm`."""

    def __init__(self, num_visible, num_hidden, dtype, param_dtype, *, rngs):
        self.dtype = dtype
        draw = nnx.initializers.normal(0.01)
        self.kernel = nnx.Param(draw(rngs.params(), (num_visible, num_hidden), param_dtype))
        self.visible_bias = nnx.Param(jnp.zeros(num_visible, param_dtype))
        self.hidden_bias = nnx.Param(jnp.zeros(num_hidden, param_dtype))

    def __call__(self, v: jax.Array) -> jax.Array:
        """V [B, V] -> free energy [B]."""
        logits = self.hidden_logits(v)
        v, bias = self._cast(v, self.visible_bias[...])
        return -v @ bias - jax.nn.softplus(logits).sum(-1)

    def hidden_logits(self, v: jax.Array) -> jax.Array:
        """V [B, V] -> log odds of the hidden units [B, H]."""
        _check(v, self.visible_bias, "visible")
        v, kernel, bias = self._cast(v, self.kernel[...], self.hidden_bias[...])
        return bias[None] + v @ kernel

    def visible_logits(self, h: jax.Array) -> jax.Array:
        """H [B, H] -> log odds of the visible units [B, V]."""
        _check(h, self.hidden_bias, "hidden")
        h, kernel, bias = self._cast(h, self.kernel[...], self.visible_bias[...])
        return bias[None] + h @ kernel.T

    def _cast(self, *arrays):
        return arrays if self.dtype is None else [x.astype(self.dtype) for x in arrays]

    def gibbs(self, v: jax.Array, *, rngs: nnx.Rngs) -> tuple[jax.Array, jax.Array]:
        """V [B, V] -> v' [B, V] drawn given h, and h [B, H] drawn given v."""
        h = _bernoulli(rngs.hidden(), self.hidden_logits(v))
        return _bernoulli(rngs.visible(), self.visible_logits(h)), h


def energy(variables: Variables, v: jax.Array, h: jax.Array) -> jax.Array:
    """The energy of configurations, 004 eq. 7.7.

    Args:
        variables: of an `rbm`.
        v: [..., V].
        h: [..., H].

    Returns:
        [...], nats.
    """
    params = variables.params
    coupling = jnp.einsum("...i,ij,...j->...", v, params["kernel"], h)
    return -v @ params["visible_bias"] - h @ params["hidden_bias"] - coupling


def log_partition(variables: Variables) -> jax.Array:
    """Log Z by enumeration of the smaller side.

    Args:
        variables: of an `rbm`.

    Returns:
        [], nats.

    Raises:
        ValueError: both sides have more than 20 units; estimate log Z then, by annealed importance
            sampling.
    """
    kernel, units = variables.params["kernel"], min(variables.params["kernel"].shape)
    if units > ENUMERABLE:
        raise ValueError(
            f"2^{units} configurations are too many to enumerate; one side has at most "
            f"{ENUMERABLE} units. Estimate log Z by sampling"
        )
    own, other = variables.params["visible_bias"], variables.params["hidden_bias"]
    if kernel.shape[1] < kernel.shape[0]:
        kernel, own, other = kernel.T, other, own
    states = configurations(units, kernel.dtype)
    return jax.nn.logsumexp(states @ own + jax.nn.softplus(other[None] + states @ kernel).sum(-1))


def log_likelihood(model: Model, variables: Variables, v: jax.Array) -> jax.Array:
    """Log p(v), exact, for machines with a side of at most 20 units.

    Args:
        model: an `rbm`.
        variables: of it.
        v: [B, V].

    Returns:
        [B], nats.
    """
    return -model.apply(variables, v)[0] - log_partition(variables)


def reconstruction(model: Model, variables: Variables, v: jax.Array) -> jax.Array:
    """The probabilities of the visible units given the probabilities of the hidden ones given v.

    Args:
        model: an `rbm`.
        variables: of it.
        v: [B, V].

    Returns:
        [B, V].
    """
    logits, _ = model.apply(variables, v, method="hidden_logits")
    return jax.nn.sigmoid(
        model.apply(variables, jax.nn.sigmoid(logits), method="visible_logits")[0]
    )


def configurations(units: int, dtype=jnp.float32) -> jax.Array:
    """All configurations of binary units [2^units, units]."""
    return (jnp.arange(2**units)[:, None] >> jnp.arange(units)[None] & 1).astype(dtype)


def _bernoulli(key, logits):
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(logits.dtype)


def _check(x, bias, side):
    if x.ndim != 2 or x.shape[1] != bias.shape[0]:
        raise ValueError(
            f"the machine has {bias.shape[0]} {side} units; got {list(x.shape)} for [B, "
            f"{bias.shape[0]}]. Flatten images"
        )
