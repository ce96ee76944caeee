"""The record of a benchmark against functions whose cost is known."""

import json
import time

import jax
import jax.numpy as jnp
import pytest

from jdl.train.benchmark import benchmark, matmul_peak, memory_bandwidth

QUICK = {"blocks": 3, "block_seconds": 0.002}


@pytest.fixture(scope="module")
def product():
    return benchmark(jnp.dot, jnp.ones([96, 64]), jnp.ones([64, 32]), **QUICK)


def test_a_matrix_product_has_2mnk_operations(product):
    assert product.flops == 2 * 96 * 64 * 32
    assert not product.loops


def test_a_matrix_product_moves_its_factors_and_its_result(product):
    assert product.bytes == product.program_bytes == 4 * (96 * 64 + 64 * 32 + 96 * 32)


def test_rates_are_counts_over_the_median(product):
    rates = product.as_dict()
    assert rates["flops_per_second"] == product.flops / product.seconds
    assert rates["bytes_per_second"] == product.bytes / product.seconds
    assert product.quartiles[0] <= product.seconds <= product.quartiles[1]


def test_the_record_is_a_line_and_json(product):
    assert json.loads(product.to_json()) == product.as_dict()
    assert str(product).startswith("dot: ")
    assert "\n" not in str(product)
    line = str(product._replace(seconds=2e-3, quartiles=(1e-6, 3.0), matmul_peak=2 * product.flops))
    assert "dot: 2 ms (1 us to 3 s; 3 blocks of" in line
    assert f"{product.flops / 2e-3 / 1e9:.3g} GFLOP/s (25000% of float32 matmul)" in line


def test_the_body_of_a_loop_counts_once_and_is_marked_so():
    x = jnp.ones([32, 32])
    record = benchmark(lambda x: jax.lax.fori_loop(0, 7, lambda i, y: y @ x, x), x, **QUICK)
    assert record.loops
    assert 2 * 32**3 <= record.flops < 2 * 2 * 32**3
    assert ">= " in str(record)


def test_a_call_takes_as_long_as_it_sleeps_and_compilation_is_apart():
    def tired(x):
        return jax.pure_callback(lambda x: (time.sleep(0.02), x)[1], x, x)

    record = benchmark(tired, jnp.ones(3), blocks=3, block_seconds=0.05)
    assert 0.02 <= record.seconds < 0.2
    assert record.name == "tired"


def test_compilation_is_timed_apart_from_calls_and_lowering():
    def slow_to_trace(x):
        time.sleep(0.1)
        return x + 1

    record = benchmark(slow_to_trace, jnp.ones(3), **QUICK)
    assert record.lower_seconds >= 0.1
    assert record.seconds < 0.1
    assert 0 < record.compile_seconds


def test_a_second_benchmark_compiles_again_and_puts_the_cache_back():
    events, x = [], jnp.ones([5, 5])
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: events.append(event)
    )
    try:
        for _ in range(2):
            benchmark(_cubed, x, **QUICK)
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [event for event in events if "cache_retrieval" in event]
    assert len([event for event in events if "backend_compile" in event]) >= 2
    assert jax.config.jax_enable_compilation_cache


def _cubed(x):
    return x @ x @ x


def test_carry_threads_a_donated_state_and_leaves_the_callers_alone():
    def step(state, by):
        return {"sum": state["sum"] + by, "n": state["n"] + 1}, None

    state = {"sum": jnp.zeros(1000), "n": jnp.zeros((), jnp.int32)}
    record = benchmark(step, state, jnp.ones(1000), carry=True, **QUICK)
    assert state["sum"].sum() == 0  # a donated buffer could not be read
    # In place: the state's 4,004 bytes are there once, the constant batch beside it.
    assert 8004 <= record.program_bytes < 12000


def test_without_carry_nothing_is_donated():
    record = benchmark(lambda x: x + 1, jnp.ones(1000), **QUICK)
    assert record.program_bytes == 8000


def test_a_function_that_is_no_step_cannot_carry():
    with pytest.raises(ValueError, match=r"a step returns \(state, anything\)"):
        benchmark(lambda x: x + 1, jnp.ones(3), carry=True)


def test_no_blocks_are_refused():
    with pytest.raises(ValueError, match="blocks=0"):
        benchmark(jnp.sin, jnp.ones(3), blocks=0)


def test_what_the_device_can_do_is_measured_once():
    assert matmul_peak() == matmul_peak(jnp.float32, jax.devices()[0]) > 1e8
    assert memory_bandwidth() == memory_bandwidth(jax.devices()[0]) > 1e7
