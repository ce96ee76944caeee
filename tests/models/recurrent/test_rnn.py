"""Recurrent networks: counts, readouts, states carried over windows, outputs fed back."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.recurrent.rnn import jordan_network, one_to_many, recurrent_network, windows
from jdl.nn.elman import DeepTransitionCell, ElmanCell
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import LSTMCell
from jdl.train import regression
from tests.conformance.case import quick

RANDOM = np.random.default_rng(0)
XS = RANDOM.normal(size=[2, 6, 3]).astype(np.float32)


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


def close(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected
    )


def test_counts_are_the_published_ones():
    assert count(recurrent_network(1, 1, 50, cell=LSTMCell)) == 10_451  # 000, Keras
    assert count(recurrent_network(1, 1, 64, cell=LSTMCell)) == 16_961
    assert count(recurrent_network(3, 5, 4)) == 32 + 25  # 004: D H + H^2 + H K + H + K
    assert count(recurrent_network(3, 5, 4, bidirectional="concatenate")) == 2 * 32 + 2 * 20 + 5
    assert count(recurrent_network(3, 5, 4, bidirectional="sum")) == 2 * 32 + 25
    assert count(recurrent_network(3, 5, 4, learned_start=True)) == 4 + 32 + 25
    without = functools.partial(ElmanCell, use_bias=False)
    assert count(recurrent_network(3, 5, 4, cell=without, head_bias=False)) == 28 + 20  # 001
    gru = recurrent_network(400, 1, 256, 2, cell=GRUCell)  # 004 ex. 5.8.1
    assert count(gru) == 3 * (400 * 256 + 256**2 + 256) + 3 * (2 * 256**2 + 256) + 257


def test_the_net_of_000_puts_out_the_books_numbers():
    model = recurrent_network(1, 1, 1, readout="each")
    weights = {"kernel": [[0.5]], "recurrent_kernel": [[0.8]], "bias": [0.0]}
    params = {
        "stack": {"layers": {"0": {"cell": weights}}},
        "head": {"kernel": [[1.0]], "bias": [0.0]},
    }
    like = jax.eval_shape(model.init, jax.random.key(0)).params
    leaves = [np.asarray(x, np.float32) for x in jax.tree.leaves(params, is_leaf=_is_list)]
    params = jax.tree.unflatten(jax.tree.structure(like), leaves)
    x = np.array([0.1, 0.4, 0.6], np.float32)[None, :, None]
    ys = quick(lambda p: model.apply(Variables(p, {}), x)[0])(params)
    np.testing.assert_allclose(ys[0, :, 0], [0.0500, 0.2355, 0.4529], atol=5e-5)


def _is_list(x):
    return isinstance(x, list)


def test_steps_are_the_whole_and_the_last_readout_is_that_of_the_last_true_step():
    options = {"cell": ElmanCell, "num_layers": 2}
    each = recurrent_network(3, 2, 4, readout="each", **options)
    last = recurrent_network(3, 2, 4, **options)
    variables = each.init(jax.random.key(0))
    lengths, xs = np.array([2, 3]), XS[:, :3]

    @quick
    def found(variables):
        carry, _ = each.apply(variables, 2, method="initial_carry")
        ys = []
        for t in range(3):
            y, carry = each.apply(variables, carry, xs[:, t], method="step")[0]
            ys.append(y)
        whole = each.apply(variables, xs)[0]
        return whole, jnp.stack(ys, 1), last.apply(variables, xs, lengths=lengths)[0]

    whole, steps, read = found(variables)
    close(whole, steps)
    close(read, np.stack([whole[0, 1], whole[1, 2]]))


def test_windows_with_a_carried_state_are_the_whole_sequence_and_stop_its_gradient():
    model = recurrent_network(3, 2, 4, readout="each", carried_batch=2)
    variables = model.init(jax.random.key(0))

    @quick
    def found(variables):
        whole, _ = model.apply(variables, XS)
        parts, after = [], variables
        for window in windows(XS, 2):
            ys, buffers = model.apply(after, window, train=True)
            after = after._replace(buffers=buffers)
            parts.append(ys)
        resets = jnp.array([True, False])
        again = model.apply(after, XS[:, :2], train=True, resets=resets)[0]
        return whole, jnp.concatenate(parts, 1), again

    whole, parts, again = found(variables)
    close(whole, parts)
    close(again[0], whole[0, :2])
    assert np.abs(again[1] - whole[1, :2]).max() > 1e-3

    @quick
    def slopes(params, buffers):
        def second(params):
            first, between = model.apply(Variables(params, buffers), XS[:, :3], train=True)
            ys, _ = model.apply(Variables(params, between), XS[:, 3:], train=True)
            return jnp.sum(ys**2)

        _, between = model.apply(Variables(params, buffers), XS[:, :3], train=True)
        alone = jax.grad(
            lambda p: jnp.sum(model.apply(Variables(p, between), XS[:, 3:], train=True)[0] ** 2)
        )
        return jax.grad(second)(params), alone(params)

    close(*slopes(*variables))


def test_an_objective_of_windows_carries_the_state_in_the_buffers():
    model = recurrent_network(3, 2, 4, readout="each", carried_batch=2)
    objective, params = regression(model), jax.eval_shape(model.init, jax.random.key(0))
    batch = (jnp.zeros([2, 3, 3]), jnp.zeros([2, 3, 2]))
    loss, (buffers, _) = jax.eval_shape(objective, *params, batch, jax.random.key(0))
    assert loss.shape == ()
    assert jax.tree.map(jnp.shape, buffers) == jax.tree.map(jnp.shape, params.buffers)


def test_one_to_many_feeds_its_outputs_back_and_targets_in_their_place_give_the_same():
    model = one_to_many(3, 2, num_steps=4, hidden_dim=4, feedback=jnp.tanh)
    variables = model.init(jax.random.key(0))

    @quick
    def both(variables):
        ys, _ = model.apply(variables, XS[:, 0])
        return ys, model.apply(variables, XS[:, 0], targets=jnp.tanh(ys))[0]

    ys, forced = both(variables)
    assert ys.shape == (2, 4, 2)
    close(ys, forced)


def test_all_forms_have_their_shapes_in_half_precision_too():
    for options, shape in [
        ({"cell": functools.partial(DeepTransitionCell, depth=2), "readout": "each"}, (2, 6, 2)),
        ({"bidirectional": "concatenate", "num_layers": 2}, (2, 2)),
    ]:
        model = recurrent_network(3, 2, 4, dtype=jnp.bfloat16, **options)
        variables = jax.eval_shape(model.init, jax.random.key(0))
        ys, _ = jax.eval_shape(model.apply, variables, XS)
        assert (ys.shape, ys.dtype) == (shape, jnp.bfloat16)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="readout"):
        recurrent_network(3, 2, readout="mean")
    with pytest.raises(ValueError, match="readout"):
        jordan_network(3, 2, readout="mean")
    with pytest.raises(ValueError, match="no state to carry"):
        recurrent_network(3, 2, bidirectional="sum", carried_batch=2)
    with pytest.raises(ValueError, match="at least one layer"):
        recurrent_network(3, 2, num_layers=0)
    with pytest.raises(ValueError, match="1 to 6 steps"):
        windows(XS, 7)
    model = recurrent_network(3, 2, 4, num_layers=2, dropout_rate=0.5, carried_batch=2)
    variables = jax.eval_shape(model.init, jax.random.key(0))

    def apply(x, **options):
        return jax.eval_shape(lambda v: model.apply(v, x, **options), variables)

    with pytest.raises(ValueError, match="got both"):
        apply(XS, mask=jnp.ones([2, 6], bool), lengths=jnp.array([1, 2]))
    with pytest.raises(ValueError, match="state of 2 sequences"):
        apply(XS[:1], train=True, key=jax.random.key(0))
    with pytest.raises(ValueError, match="needs a key"):
        apply(XS, train=True)
