"""The loop over time: equal to its steps, blind to padding, its gradients those of a plain loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.affine_cells import one_step
from jdl.nn.elman import DeepTransitionCell, ElmanCell, JordanCell
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import CarouselCell, LSTMCell
from jdl.nn.recurrence import last_valid, unrolled, valid_steps
from jdl.nn.recurrent_layers import BidirectionalLayer, RecurrentStack
from tests.conformance.case import quick

RANDOM = np.random.default_rng(0)
XS = RANDOM.normal(size=[2, 5, 3]).astype(np.float32)
LENGTHS = np.array([3, 5])
MASK = np.arange(5)[None] < LENGTHS[:, None]


class Stepwise(nnx.Module):
    """A cell without names for its products: the loop takes it as it is."""

    def __init__(self, cell):
        self.cell = cell

    def __call__(self, carry, x):
        return self.cell(carry, x)

    def initial_carry(self, batch_size):
        return self.cell.initial_carry(batch_size)


class Loop(nnx.Module):
    """A cell and the loop."""

    def __init__(self, cell):
        self.cell = cell

    def __call__(self, xs, plain=False, **options):
        cell = Stepwise(self.cell) if plain else self.cell
        return unrolled(cell, cell.initial_carry(len(xs)), xs, **options)

    def time_major(self, xs):
        return unrolled(self.cell, self.cell.initial_carry(xs.shape[1]), xs, time_major=True)

    def steps(self, xs):
        carry, ys = self.cell.initial_carry(len(xs)), []
        for t in range(xs.shape[1]):
            carry, y = self.cell(carry, xs[:, t])
            ys.append(y)
        return carry, jnp.stack(ys, 1)


def looped(cell):
    model = functional(lambda rngs: Loop(cell(3, 4, rngs=rngs)))
    params = model.init(jax.random.key(0)).params
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + 0.3 * random.normal(size=x.shape).astype("f4"), params)

    def run(params, xs=XS, **options):
        return model.apply(Variables(params, {}), xs, **options)[0]

    return params, run


def close(found, expected, tolerance=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        found,
        expected,
    )


CELLS = [
    LSTMCell,
    ElmanCell,
    GRUCell,
    functools.partial(GRUCell, reset="after", update_weighs="new"),
    functools.partial(LSTMCell, peepholes="diagonal"),
    functools.partial(LSTMCell, peepholes="full"),
    CarouselCell,
    functools.partial(DeepTransitionCell, depth=3),
    functools.partial(JordanCell, out_features=2, decay=0.3),
]


@pytest.mark.parametrize(
    "cell", [CELLS[0], *(pytest.param(cell, marks=pytest.mark.slow) for cell in CELLS[1:])]
)
def test_gradients_are_those_of_the_plain_loop(cell):
    params, run = looped(cell)

    def loss(params, xs, plain):
        carry, ys = run(params, xs, mask=MASK, plain=plain)
        weights = jnp.arange(1.0, 6.0)[None, :, None]
        return jnp.sum(jnp.sin(ys * weights)) + sum(jnp.sum(x**2) for x in jax.tree.leaves(carry))

    @quick
    def both(params, xs):
        return [
            jax.value_and_grad(functools.partial(loss, plain=plain), (0, 1))(params, xs)
            for plain in (False, True)
        ]

    close(*both(params, XS), 1e-4)


class Skipping(nnx.Module):
    """A cell that reads x beside its product with it, too."""

    sums = (("bias", "kernel"),)
    dtype = None

    def __init__(self, inputs, features, rngs):
        self.kernel = nnx.Param(jnp.ones([inputs, inputs]))

    def __call__(self, carry, x):
        return one_step(self, carry, x)

    def initial_carry(self, batch_size):
        return jnp.zeros([batch_size, 3])

    def step(self, weights, affine, carry, x):
        h = jnp.tanh(carry + affine("bias", kernel=x)) + x**2
        return h, h


def test_a_cell_may_read_its_inputs_beside_a_product():
    params, run = looped(Skipping)

    def summed(xs, plain):
        return run(params, xs, plain=plain)[1].sum()

    @quick
    def both(xs):
        return [jax.grad(summed)(xs, plain) for plain in (False, True)]

    close(*both(XS))


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_plain_loop():
    params, run = looped(functools.partial(GRUCell, reset="after"))

    def curvature(plain):
        slope = jax.grad(lambda p: jnp.sum(run(p, mask=MASK, plain=plain)[1] ** 2))
        return lambda p: jax.jvp(slope, (p,), (p,))[1]

    found = quick(lambda p: [curvature(False)(p), curvature(True)(p)])(params)
    close(*found, 1e-4)


def test_step_by_step_is_the_whole_sequence():
    params, run = looped(LSTMCell)
    whole, steps = quick(lambda p: (run(p), run(p, method="steps")))(params)
    close(whole, steps)


def test_padding_has_no_say_in_either_direction_not_even_a_nan():
    params, run = looped(GRUCell)
    padded = np.where(MASK[..., None], XS, np.nan)

    @quick
    def found(p):
        there, back = run(p, padded, mask=MASK), run(p, padded, mask=MASK, reverse=True)
        short = run(p, XS[:, :3]), run(p, XS[:, :3][:, ::-1])
        slope = jax.grad(lambda p: jnp.sum(run(p, padded, mask=MASK)[1]))(p)
        return there, back, short, slope

    (carry, ys), (back, back_ys), (short, mirrored), slope = found(params)
    close(carry[0], short[0][0])
    close(ys[0, :3], short[1][0])
    close(back[0], mirrored[0][0])
    close(back_ys[0, :3], mirrored[1][0, ::-1])
    assert not np.any(ys[0, 3:])
    assert not np.any(back_ys[0, 3:])
    close(last_valid(ys, MASK), carry)
    close(last_valid(back_ys, MASK, reverse=True), back)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))


def test_time_may_come_first():
    params, run = looped(ElmanCell)
    major = XS.swapaxes(0, 1)
    first, second = quick(lambda p: (run(p), run(p, major, method="time_major")))(params)
    close(first[1], second[1].swapaxes(0, 1))


def test_a_bidirectional_layer_reversed_in_time_with_its_cells_swapped_is_mirrored():
    def build(rngs):
        return BidirectionalLayer(*(ElmanCell(3, 4, rngs=rngs) for _ in range(2)))

    model = functional(build)
    params = model.init(jax.random.key(0)).params
    swapped = {"forward": params["backward"], "backward": params["forward"]}

    @quick
    def both(params, swapped):
        return [
            model.apply(Variables(p, {}), x)[0] for p, x in [(params, XS), (swapped, XS[:, ::-1])]
        ]

    found, mirrored = both(params, swapped)
    close(found.outputs[..., :4], mirrored.outputs[:, ::-1, 4:])
    close(found.outputs[..., 4:], mirrored.outputs[:, ::-1, :4])
    close(found.last, np.concatenate([found.outputs[:, -1, :4], found.outputs[:, 0, 4:]], -1))


def test_stacks_go_through_in_half_precision():
    def build(rngs):
        options = {"cell": LSTMCell, "bidirectional": "sum", "dtype": jnp.bfloat16}
        return RecurrentStack(3, 4, 2, **options, learned_start=True, rngs=rngs)

    model = functional(build)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    found, _ = jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct([2, 5, 3], "float32"))
    assert {x.dtype for x in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_what_does_not_fit_is_refused():
    params, run = looped(ElmanCell)
    with pytest.raises(ValueError, match="sequences are"):
        run(params, XS[0])
    with pytest.raises(ValueError, match="a mask is bool"):
        run(params, mask=jnp.ones([2, 5]))
    with pytest.raises(ValueError, match="lie in"):
        valid_steps(np.array([6, 1]), 5)
    with pytest.raises(ValueError, match="integers"):
        valid_steps(np.array([1.0]), 5)
    with pytest.raises(ValueError, match="merge"):
        nnx.eval_shape(lambda: BidirectionalLayer(None, None, "mean"))
