"""Weights of recurrent layers of PyTorch, Keras and Flax as those of our cells, and what differs.

    library   layout                    LSTM gates   GRU gates   biases            GRU
    here      x W [D, G F]              i f g o      r z n       one (and c of n)  all four forms
    PyTorch   W x [G F, D]              i f g o      r z n       two               after, old
    Keras     x W [D, G F]              i f g o      z r n       one; "after" two  either, old
    Flax nnx  x W, a layer a gate       i f g o      r z n       one, of h         after, old

Two biases of one sum add up. That of h in n of "after" stands within the reset's product, and is a
`candidate_recurrent_bias` here. Flax's nnx.GRUCell has none: zeros. Arrays in, arrays out: NumPy's
or JAX's.

Axes: D input features, F features of the state, G gates.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

Weights = dict[str, jax.Array]


def elman_from_torch(
    weight_ih: jax.Array, weight_hh: jax.Array, bias_ih: jax.Array, bias_hh: jax.Array
) -> Weights:
    """`torch.nn.RNN`'s arrays of a layer as params of an ElmanCell.

    Args:
        weight_ih: [F, D].
        weight_hh: [F, F].
        bias_ih: [F].
        bias_hh: [F].
    """
    return lstm_from_torch(weight_ih, weight_hh, bias_ih, bias_hh)


def lstm_from_torch(
    weight_ih: jax.Array, weight_hh: jax.Array, bias_ih: jax.Array, bias_hh: jax.Array
) -> Weights:
    """`torch.nn.LSTM`'s arrays of a layer as params of an LSTMCell.

    Args:
        weight_ih: [4 F, D].
        weight_hh: [4 F, F].
        bias_ih: [4 F].
        bias_hh: [4 F].
    """
    return {"kernel": weight_ih.T, "recurrent_kernel": weight_hh.T, "bias": bias_ih + bias_hh}


def gru_from_torch(
    weight_ih: jax.Array, weight_hh: jax.Array, bias_ih: jax.Array, bias_hh: jax.Array
) -> Weights:
    """`torch.nn.GRU`'s arrays of a layer as params of a GRUCell with reset="after".

    Args:
        weight_ih: [3 F, D].
        weight_hh: [3 F, F].
        bias_ih: [3 F].
        bias_hh: [3 F].
    """
    return _gru(weight_ih.T, weight_hh.T, bias_ih, bias_hh)


def lstm_from_keras(kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array) -> Weights:
    """`keras.layers.LSTM`'s arrays as params of an LSTMCell.

    They are the same, as those of `SimpleRNN` are an ElmanCell's.

    Args:
        kernel: [D, 4 F].
        recurrent_kernel: [F, 4 F].
        bias: [4 F].
    """
    return {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}


def gru_from_keras(kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array) -> Weights:
    """`keras.layers.GRU`'s arrays as params of a GRUCell.

    Args:
        kernel: [D, 3 F].
        recurrent_kernel: [F, 3 F].
        bias: [2, 3 F] of reset_after=True, the default, for a cell with reset="after"; [3 F] of
            reset_after=False, for one with reset="before".
    """
    kernel, recurrent_kernel, bias = (_reset_first(x) for x in (kernel, recurrent_kernel, bias))
    return _gru(kernel, recurrent_kernel, *(bias if bias.ndim == 2 else [bias]))


def lstm_from_flax(params: Mapping) -> Weights:
    """Params of `nnx.LSTMCell` as those of an LSTMCell.

    Args:
        params: a nested dict: ii, if_, ig, io with kernels, hi, hf, hg, ho with kernels and biases.
    """
    inputs, states = ("ii", "if_", "ig", "io"), ("hi", "hf", "hg", "ho")
    return {
        "kernel": jnp.concatenate([params[name]["kernel"] for name in inputs], -1),
        "recurrent_kernel": jnp.concatenate([params[name]["kernel"] for name in states], -1),
        "bias": jnp.concatenate([params[name]["bias"] for name in states]),
    }


def gru_from_flax(params: Mapping) -> Weights:
    """Params of `nnx.GRUCell` as those of a GRUCell with reset="after".

    Args:
        params: a nested dict: dense_i with a kernel and a bias, dense_h with a kernel.
    """
    of_x, kernel = params["dense_i"], params["dense_h"]["kernel"]
    return _gru(of_x["kernel"], kernel, of_x["bias"], jnp.zeros(kernel.shape[1], kernel.dtype))


def _gru(kernel, recurrent_kernel, bias, recurrent_bias=None):
    """Gates r, z, n side by side as params; a recurrent bias is that of "after"."""
    gates = 2 * recurrent_kernel.shape[0]
    added = bias if recurrent_bias is None else bias + recurrent_bias
    found = {
        "kernel": kernel[:, :gates],
        "recurrent_kernel": recurrent_kernel[:, :gates],
        "bias": added[:gates],
        "candidate_kernel": kernel[:, gates:],
        "candidate_recurrent_kernel": recurrent_kernel[:, gates:],
        "candidate_bias": bias[gates:],
    }
    if recurrent_bias is not None:
        found["candidate_recurrent_bias"] = recurrent_bias[gates:]
    return found


def _reset_first(x):
    """Gates z, r, n -> r, z, n."""
    z, r, n = jnp.split(x, 3, -1)
    return jnp.concatenate([r, z, n], -1)
