"""Blocks, threads of states and ratios against work whose duration is known: sleeping."""

import time

import jax
import jax.numpy as jnp
import pytest

from jdl.train.timing import calls_in, compare, threaded, time_block


def sleeping(seconds):
    def thunk():
        time.sleep(seconds)
        return ()

    return thunk


def test_a_block_gives_the_time_of_one_call():
    assert 0.01 <= time_block(sleeping(0.01), 5) < 0.1


def test_calls_fill_the_asked_time():
    assert 2 <= calls_in(sleeping(0.01), 0.1) <= 10
    assert calls_in(sleeping(0.02), 0.001) == 1


def test_a_threaded_step_takes_what_the_last_one_made():
    step = jax.jit(lambda state, by: (state + by, state * 10), donate_argnums=0)
    start = jnp.array([1.0])
    thunk = threaded(step, start, jnp.array([2.0]))
    found = [jax.tree.map(lambda x: x.item(), thunk()) for _ in range(3)]
    assert found == [(3.0, 10.0), (5.0, 30.0), (7.0, 50.0)]
    assert start.item() == 1.0  # a donated buffer could not be read


def test_a_threaded_state_may_hold_keys(key):
    step = jax.jit(lambda key, _: (jax.random.split(key)[0], None), donate_argnums=0)
    threaded(step, key, 0.0)()
    jax.random.key_data(key)  # would raise if it had been donated


@pytest.mark.parametrize(
    "step",
    [
        lambda state: state,
        lambda state: (state[:1], None),
        lambda state: (state.astype(jnp.int32), None),
        lambda state: ([state], None),
        lambda state: [state, None],
    ],
    ids=["no tuple", "shape", "dtype", "structure", "list"],
)
def test_a_step_that_changes_its_state_is_refused(step):
    with pytest.raises(ValueError, match=r"\(state, anything\).*float32\[2\]"):
        threaded(step, jnp.ones(2))


def test_ratios_are_those_of_the_durations():
    found = compare(
        {"short": sleeping(0.005), "long": sleeping(0.02)}, rounds=5, block_seconds=0.01
    )
    assert found.ratios["short"] == (1.0, 1.0, 1.0)
    low, ratio, high = found.ratios["long"]
    assert low <= ratio <= high
    assert 1.5 < ratio < 8
    assert found.seconds["short"] >= 0.005 and found.seconds["long"] >= 0.02
    assert 3 <= found.rounds <= 5
    assert str(found).splitlines()[1].startswith("long ")
    assert set(found.as_dict()) == {"seconds", "ratios", "rounds"}


def test_every_round_turns_the_order():
    order = []
    thunks = {name: lambda name=name: order.append(name) or () for name in "abc"}
    compare(thunks, rounds=3, block_seconds=0.0)
    assert order[-9:] == list("abcbcacab")


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="thunks and 2 rounds"):
        compare({}, rounds=5)
    with pytest.raises(ValueError, match="rounds=1"):
        compare({"a": sleeping(0.001)}, rounds=1)
