"""Backpropagation through time written out, for Elman's network in one direction and in both.

    z_t = x_t W + h_{t-1} R + b,   h_t = phi(z_t),   o_t = h_t V + c,   loss = sum_t l(o_t, y_t)

    delta_t = d l / d o_t                                   softmax(o_t) - y_t, or o_t - y_t
    g_t = delta_t V' + e_{t+1} R',   e_t = phi'(z_t) g_t    t = T..1, e_{T+1} = 0
    dW = sum_t x_t' e_t,   dR = sum_t h_{t-1}' e_t,   db = sum_t e_t
    dV = sum_t h_t' delta_t,   dc = sum_t delta_t

A weight is shared by all steps, so its gradient is the sum of what each step alone would give. The
backward layer of a bidirectional network has the same equations with time reversed, its own rows of
V, and h'_{T+1} = 0: 004's exercise. One step of an LSTM and of a GRU are below.

Source: Werbos 1990; 001; 004 eqs. 5.2-5.23 and 5.36-5.46. Departs from 004 eq. 5.5, which sends the
output's error back through W_hh, not W_ho; from its text after 5.9, which multiplies by tanh for
tanh'; from eq. 5.42, whose forget gate's gradient lacks c_{t-1} and has tanh' of the old cell; from
5.44 and 5.46, the input gate's written for the candidate's; from 5.43-5.46, whose products with x_t
are outer ones; and from 000's listing, which multiplies by the weight where the input belongs.

Axes: B sequences, T steps, D input features, F features of the state, K outputs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Estimator, Tree
from jdl.nn.lstm_cells import LSTMState
from jdl.train.backpropagation import TANH, Activation, Output


def backpropagation_through_time(
    output: Output, activation: Activation = TANH, *, reduction: str = "mean"
) -> Estimator:
    """The gradient of an Elman network by hand, as an Estimator.

    Args:
        output: what the outputs and the loss are: `jdl.train.backpropagation.MULTINOULLI` for a
            softmax with one-hot targets, `HALF_SQUARED_ERROR` for linear ones.
        activation: of the cells, the one that the model has.
        reduction: "mean" or "sum" over the sequences; over steps it is a sum (004 eq. 5.2).

    Returns:
        An Estimator of batches (x [B, T, D], targets [B, T, K]) for the params of
        `recurrent_network(readout="each")` of one layer of ElmanCell, with biases, in one direction
        or in both, concatenated. Info: `loss`.

    Raises:
        ValueError: a reduction of another name; from a call, params of another network.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is 'mean' or 'sum'; got {reduction!r}")

    def estimate(params, buffers, batch, key):
        x, targets = batch
        layers, head = params["stack"]["layers"], params["head"]
        if len(layers) > 1:
            raise ValueError(f"one layer is written out here; got {len(layers)}")
        layer = layers["0"]
        parts = [layer] if "cell" in layer else [layer["forward"], layer["backward"]]
        if "start" in parts[0]:
            raise ValueError("h_0 = 0 is written out here; these params have a learned start")
        passes = [
            _forward(part["cell"], x, activation, reverse=number == 1)
            for number, part in enumerate(parts)
        ]
        states = jnp.concatenate([passed.states for passed in passes], -1)
        if states.shape[-1] != head["kernel"].shape[0]:
            raise ValueError("two directions are written out concatenated; these params sum them")
        z = states @ head["kernel"] + head["bias"][None, None]
        share = 1 / len(x) if reduction == "mean" else 1.0
        delta = share * output.delta(z, targets)
        errors = jnp.split(delta @ head["kernel"].T, len(parts), -1)
        found = [
            {"cell": _cell_gradients(part["cell"], x, passed, error)}
            for part, passed, error in zip(parts, passes, errors, strict=True)
        ]
        both = dict(zip(["forward", "backward"], found, strict=False))
        direction = {
            "stack": {"layers": {"0": found[0] if "cell" in layer else both}},
            "head": {"kernel": _summed(states, delta), "bias": delta.sum((0, 1))},
        }
        return direction, buffers, {"loss": share * output.loss(z, targets).sum()}

    return estimate


class LSTMErrors(NamedTuple):
    """Gradients of a loss by what an LSTM step read.

    Attributes:
        weights: by the kernel, the recurrent kernel and the bias.
        carry: by the state before, (h, c).
        x: by the inputs.
    """

    weights: Tree
    carry: LSTMState
    x: jax.Array


def lstm_step_gradients(
    weights: Tree, carry: LSTMState, x: jax.Array, errors: LSTMState
) -> LSTMErrors:
    """One step of an LSTM backwards. Calls from T to 1 are backpropagation through time.

        do = dh tanh(c),   dc = dh o tanh'(c) + what comes from the next step
        di = dc g,   dg = dc i,   df = dc c_{t-1},   dc_{t-1} = dc f
        dz = (di sigma', df sigma', dg tanh', do sigma'),   dW = x' dz,   dR = h' dz,   db = sum dz

    Args:
        weights: params of an `LSTMCell` without peepholes.
        carry: (h, c) before the step, [B, F].
        x: [B, D].
        errors: gradients by (h, c) after the step; of c, zeros for a loss of this h alone.

    Returns:
        Gradients, summed over the batch.
    """
    z = x @ weights["kernel"] + carry.hidden @ weights["recurrent_kernel"] + weights["bias"][None]
    i, f, g, o = jnp.split(z, 4, -1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    squashed = jnp.tanh(f * carry.cell + i * g)
    by_cell = errors.hidden * o * (1 - squashed**2) + errors.cell
    parts = [
        by_cell * g * i * (1 - i),
        by_cell * carry.cell * f * (1 - f),
        by_cell * i * (1 - g**2),
        errors.hidden * squashed * o * (1 - o),
    ]
    dz = jnp.concatenate(parts, -1)
    found = {
        "kernel": x.T @ dz,
        "recurrent_kernel": carry.hidden.T @ dz,
        "bias": dz.sum(0),
    }
    before = LSTMState(dz @ weights["recurrent_kernel"].T, by_cell * f)
    return LSTMErrors(found, before, dz @ weights["kernel"].T)


def gru_step_gradients(
    weights: Tree, h: jax.Array, x: jax.Array, error: jax.Array
) -> tuple[Tree, jax.Array]:
    """One step of a GRU backwards, in the form of 004: reset before, update weighs the old state.

        dz = dh' (h - n),   dn = dh' (1 - z) tanh',   dr = (dn R_n') h
        dh = dh' z + (dn R_n') r + (dr sigma', dz sigma') R'

    Args:
        weights: params of a `GRUCell`.
        h: [B, F], before the step.
        x: [B, D].
        error: gradient by the state after, [B, F].

    Returns:
        Gradients by the weights, summed over the batch, and by h.
    """
    gates = x @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"][None]
    gates = jax.nn.sigmoid(gates)
    r, z = jnp.split(gates, 2, -1)
    recurrent = weights["candidate_recurrent_kernel"]
    n = x @ weights["candidate_kernel"] + (r * h) @ recurrent + weights["candidate_bias"][None]
    n = jnp.tanh(n)
    by_n = error * (1 - z) * (1 - n**2)
    recalled = by_n @ recurrent.T
    by_gates = jnp.concatenate([recalled * h, error * (h - n)], -1) * gates * (1 - gates)
    found = {
        "kernel": x.T @ by_gates,
        "recurrent_kernel": h.T @ by_gates,
        "bias": by_gates.sum(0),
        "candidate_kernel": x.T @ by_n,
        "candidate_recurrent_kernel": (r * h).T @ by_n,
        "candidate_bias": by_n.sum(0),
    }
    return found, error * z + recalled * r + by_gates @ weights["recurrent_kernel"].T


class _Pass(NamedTuple):
    """States h_t, those before them, and phi'(z_t), all [B, T, F]; and the direction."""

    states: jax.Array
    before: jax.Array
    slopes: jax.Array
    reverse: bool


def _forward(cell, x, activation, *, reverse):
    def body(h, x):
        z = x @ cell["kernel"] + h @ cell["recurrent_kernel"] + cell["bias"][None]
        after = activation.value(z)
        return after, (after, h, activation.slope(z))

    start = jnp.zeros([len(x), cell["bias"].shape[0]], x.dtype)
    found = jax.lax.scan(body, start, x.swapaxes(0, 1), reverse=reverse)[1]
    return _Pass(*(part.swapaxes(0, 1) for part in found), reverse)


def _cell_gradients(cell, x, passed, errors):
    """Of a cell, from the errors delta_t V' of its outputs."""

    def body(after, inputs):
        error, slope = inputs
        e = slope * (error + after @ cell["recurrent_kernel"].T)
        return e, e

    inputs = (errors.swapaxes(0, 1), passed.slopes.swapaxes(0, 1))
    start = jnp.zeros_like(errors[:, 0])
    e = jax.lax.scan(body, start, inputs, reverse=not passed.reverse)[1].swapaxes(0, 1)
    return {
        "kernel": _summed(x, e),
        "recurrent_kernel": _summed(passed.before, e),
        "bias": e.sum((0, 1)),
    }


def _summed(vectors, errors):
    return jnp.einsum("bti,btj->ij", vectors, errors)
