"""Initializers that jax.nn.initializers lacks, and what tells a bad start from a good one.

The others are used as they are; `fan_in` and `fan_out` are of the kernel.

    zeros, constant(c), normal(0.01)                 normal(0.02) of DCGAN and GPT-2: a std
    glorot_normal(), glorot_uniform()                variance 2 / (fan_in + fan_out)
    he_normal(), he_uniform()                        variance 2 / fan_in
    orthogonal()                                     recurrent kernels

JAX's normals are cut off at two standard deviations and rescaled to the variance named. Uncut, as
the books' listings draw them: `variance_scaling(1.0, "fan_avg", "normal")` for Glorot, and
`variance_scaling(2.0, "fan_in", "normal")` for He. `uniform(scale)` is of [0, scale).

Source: Glorot, Bengio 2010, eq. 12 and 16; He, Zhang, Ren, Sun 2015, eq. 10; 001 and 003; 004
ch. 2.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key, Tree


def fan_in_normal() -> jax.nn.initializers.Initializer:
    """N(0, 1 / fan_in), not cut off: what 004 calls Xavier.

    Xavier Glorot's own has 2 / (fan_in + fan_out); this is LeCun's (LeCun and others 1998, section
    4.6). 004 sets "the variance as the number of nodes of the previous layer": its reciprocal.
    """
    return jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def fan_in_biases(params: Tree, key: Key) -> Tree:
    """Draws the biases from N(0, 1 / fan_in) too, as 004's listing of a network does.

    Args:
        params: nested dicts; where one has a `kernel` [..., outputs] and a `bias`, the bias is
            redrawn, the fan-in being the number of entries of the kernel for an output.
        key: split among the biases.

    Returns:
        The params, with other biases.
    """
    paths = [path for path, _ in jax.tree.leaves_with_path(params)]
    keys = dict(zip(paths, jax.random.split(key, len(paths)), strict=True))
    kernels = {path[:-1]: x for path, x in jax.tree.leaves_with_path(params) if _is(path, "kernel")}

    def drawn(path, leaf):
        if not _is(path, "bias") or path[:-1] not in kernels:
            return leaf
        kernel = kernels[path[:-1]]
        fan_in = kernel.size // kernel.shape[-1]
        return jax.random.normal(keys[path], leaf.shape, leaf.dtype) * fan_in**-0.5

    return jax.tree.map_with_path(drawn, params)


def symmetric_uniform(limit: float) -> jax.nn.initializers.Initializer:
    """U(-limit, limit); 0.08 for all parameters of an LSTM in Sutskever, Vinyals, Le 2014.

    Args:
        limit: greatest absolute value.

    Example:
        >>> draws = symmetric_uniform(0.08)(jax.random.key(0), [1000])
        >>> draws.min().item() < -0.07, draws.max().item() < 0.08
        (True, True)
    """

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -limit, limit, out_sharding=out_sharding)

    return init


def residual_normal(num_parts: int, std: float = 0.02) -> jax.nn.initializers.Initializer:
    """N(0, std^2 / num_parts), of what is added to a residual stream.

    The variance of a sum of as many parts does not depend on their number. Source: Radford and
    others 2019, section 2.3; 004 sec. 6.5, which reads as if the layers were scaled in each pass:
    it is the weights, once.

    Args:
        num_parts: that add to the stream, two a Transformer block.
        std: of the other weights.
    """
    return jax.nn.initializers.normal(std * num_parts**-0.5)


def distinct_units(kernel: jax.Array, tolerance: float = 1e-5) -> jax.Array:
    """How many units of a layer differ in their weights.

    Units that start alike get the same gradient and stay alike (001; 004 ch. 2): a layer
    whose count is 1 is as wide as one unit, however long it is trained.

    Args:
        kernel: [..., units].
        tolerance: by how much weights of units that are alike may differ, which training adds by
            rounding the same sum in another order.

    Returns:
        [], an integer of 1 to units.

    Example:
        >>> distinct_units(jnp.zeros([3, 4])).item()
        1
    """
    weights = kernel.reshape(-1, kernel.shape[-1])
    alike = jnp.max(jnp.abs(weights[:, :, None] - weights[:, None, :]), axis=0) <= tolerance
    return jnp.sum(~jnp.any(jnp.tril(alike, -1), axis=1))


def entropy_gap(logits: jax.Array) -> jax.Array:
    """How far predictions are from the greatest entropy, log K - H(softmax(logits)).

    It is 0 for a network that starts with zeros, which knows nothing (004 ch. 2), and little
    for a good start; a large one is a network that is certain before it has seen anything.

    Args:
        logits: [..., K].

    Returns:
        [...], nats, in [0, log K].
    """
    log_probabilities = jax.nn.log_softmax(logits)
    expected = jnp.sum(jnp.exp(log_probabilities) * log_probabilities, axis=-1)
    return jnp.log(logits.shape[-1]) + expected


def _is(path, name):
    return jax.tree_util.keystr(path[-1:], simple=True) == name
