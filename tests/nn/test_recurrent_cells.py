"""Recurrent cells against their formulas in NumPy, the books' numbers and published counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.elman import DeepTransitionCell, ElmanCell, JordanCell
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import CarouselCell, LSTMCell, LSTMState
from tests.conformance.case import quick

D, F, K = 3, 4, 2
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=[2, D]).astype(np.float32)
H, C = RANDOM.normal(size=[2, 2, F]).astype(np.float32)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def shapes(cell, **options):
    module = nnx.eval_shape(lambda: cell(D, F, **options, rngs=nnx.Rngs(0)))
    return {name: x.shape for name, x in vars(module).items() if isinstance(x, nnx.Param)}


def count(cell, **options):
    return sum(int(np.prod(shape)) for shape in shapes(cell, **options).values())


def random_params(cell, **options):
    return {
        name: RANDOM.normal(size=shape).astype(np.float32)
        for name, shape in shapes(cell, **options).items()
    }


def stepped(cell, carry, params=None, x=X, **options):
    """The step of a cell with random params: params, carry after, output."""
    params = random_params(cell, **options) if params is None else params
    width = F if "recurrent_kernel" not in params else len(params["recurrent_kernel"])
    model = functional(lambda rngs: cell(x.shape[-1], width, **options, rngs=rngs))
    after, y = quick(lambda p: model.apply(Variables(p, {}), carry, x)[0])(params)
    return params, jax.tree.map(np.asarray, after), np.asarray(y)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_counts_are_the_published_ones():
    assert count(ElmanCell) == 32  # Keras; PyTorch has a second bias, 36
    assert count(ElmanCell, use_bias=False) == 28  # 001
    assert count(LSTMCell) == 128
    assert count(LSTMCell, peepholes="diagonal") == 140
    assert count(LSTMCell, peepholes="full") == 176
    assert count(CarouselCell) == 96
    assert count(GRUCell) == 96
    assert count(GRUCell, reset="after") == 100  # Flax's Linen
    assert count(JordanCell, out_features=K) == D * F + K * F + F + F * K + K
    assert count(DeepTransitionCell, depth=3) == 32 + 2 * 20


def test_elman_jordan_and_the_deep_transition_are_their_formulas():
    p, after, y = stepped(ElmanCell, H)
    h = np.tanh(X @ p["kernel"] + H @ p["recurrent_kernel"] + p["bias"])
    close(y, h)
    close(after, h)
    p, after, y = stepped(DeepTransitionCell, H, depth=2)
    h = np.tanh(X @ p["kernel"] + H @ p["recurrent_kernel"] + p["bias"])
    close(y, np.tanh(h @ p["transition_kernel_2"] + p["transition_bias_2"]))
    s = H[:, :K]
    jordan = {"out_features": K, "decay": 0.3, "feedback": jax.nn.sigmoid}
    p, after, y = stepped(JordanCell, s, **jordan)
    h = np.tanh(X @ p["kernel"] + s @ p["feedback_kernel"] + p["bias"])
    close(y, h @ p["output_kernel"] + p["output_bias"])
    close(after, 0.3 * s + sigmoid(y))


@pytest.mark.parametrize("peepholes", [None, "diagonal", "full"])
def test_an_lstm_is_its_formula_and_its_output_gate_sees_the_new_cell(peepholes):
    p, after, y = stepped(LSTMCell, LSTMState(H, C), peepholes=peepholes)
    i, f, g, o = np.split(X @ p["kernel"] + H @ p["recurrent_kernel"] + p["bias"], 4, 1)
    see = (lambda c, w: c @ w) if peepholes == "full" else (lambda c, w: c * w)
    if peepholes:
        to_i, to_f = np.split(p["input_forget_peephole"], 2, -1)
        i, f = i + see(C, to_i), f + see(C, to_f)
    c = sigmoid(f) * C + sigmoid(i) * np.tanh(g)
    o = o + see(c, p["output_peephole"]) if peepholes else o
    close(after.cell, c)
    close(after.hidden, sigmoid(o) * np.tanh(c))
    close(y, after.hidden)


def test_the_cell_of_1997_forgets_nothing():
    p, after, y = stepped(CarouselCell, LSTMState(H, C))
    i, g, o = np.split(X @ p["kernel"] + H @ p["recurrent_kernel"] + p["bias"], 3, 1)
    close(after.cell, C + sigmoid(i) * np.tanh(g))
    close(y, sigmoid(o) * np.tanh(after.cell))


@pytest.mark.parametrize("reset", ["before", "after"])
@pytest.mark.parametrize("update_weighs", ["old", "new"])
def test_a_gru_is_its_formula_in_all_four_forms(reset, update_weighs):
    p, after, y = stepped(GRUCell, H, reset=reset, update_weighs=update_weighs)
    gates = sigmoid(X @ p["kernel"] + H @ p["recurrent_kernel"] + p["bias"])
    r, z = np.split(gates, 2, 1)
    n, recurrent = X @ p["candidate_kernel"] + p["candidate_bias"], p["candidate_recurrent_kernel"]
    if reset == "before":
        n = np.tanh(n + (r * H) @ recurrent)
    else:
        n = np.tanh(n + r * (H @ recurrent + p["candidate_recurrent_bias"]))
    close(y, z * H + (1 - z) * n if update_weighs == "old" else (1 - z) * H + z * n)
    close(after, y)


@pytest.mark.parametrize(("update_weighs", "h"), [("new", 0.26048551), ("old", 0.22129234)])
def test_the_gru_of_000_in_its_own_convention_and_in_the_other(update_weighs, h):
    params = {
        "kernel": np.array([[0.6, 0.5]], np.float32),
        "recurrent_kernel": np.array([[0.2, 0.3]], np.float32),
        "candidate_kernel": np.array([[0.7]], np.float32),
        "candidate_recurrent_kernel": np.array([[0.9]], np.float32),
    }
    x, before = np.full([1, 1], 0.5, np.float32), np.full([1, 1], 0.1, np.float32)
    _, _, y = stepped(GRUCell, before, params, x, update_weighs=update_weighs, use_bias=False)
    np.testing.assert_allclose(y, [[h]], rtol=1e-6)


def test_a_new_cell_remembers_by_its_forget_bias_and_starts_orthogonal():
    cell = functional(lambda rngs: LSTMCell(D, F, rngs=rngs)).init(jax.random.key(0)).params
    np.testing.assert_array_equal(cell["bias"], [0] * F + [1] * F + [0] * 2 * F)
    for block in np.split(np.asarray(cell["recurrent_kernel"]), 4, 1):
        np.testing.assert_allclose(block.T @ block, np.eye(F), atol=1e-5)
    limit = np.sqrt(6 / (D + F))
    assert np.abs(cell["kernel"]).max() <= limit < 1.3 * np.abs(cell["kernel"]).max()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (functools.partial(GRUCell, reset="later"), "'later'"),
        (functools.partial(GRUCell, update_weighs="z"), "'z'"),
        (functools.partial(LSTMCell, peepholes="some"), "'some'"),
        (functools.partial(JordanCell, out_features=2, decay=1.0), "1.0"),
        (functools.partial(DeepTransitionCell, depth=0), "0"),
    ],
)
def test_forms_that_are_none_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        nnx.eval_shape(lambda: make(D, F, rngs=nnx.Rngs(0)))


def test_inputs_of_another_width_are_refused():
    model = functional(lambda rngs: ElmanCell(D, F, rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    with pytest.raises(ValueError, match="3"):
        jax.eval_shape(model.apply, variables, jnp.zeros([2, F]), jnp.zeros([2, D + 1]))
