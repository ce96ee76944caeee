"""What a function costs, beside what the device can do: compilation, time, arithmetic, memory."""

import contextlib
import functools
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from jdl.core import Tree
from jdl.train.timing import calls_in, threaded, time_block


class Benchmark(NamedTuple):
    """What `benchmark` measured. `str` is a line, `to_json` a record.

    Attributes:
        name: of the function.
        device: kind of the device it ran on.
        lower_seconds: tracing and lowering to StableHLO.
        compile_seconds: compilation by XLA, without the persistent cache.
        seconds: median time of a call.
        quartiles: lower and upper, of the time of a call.
        blocks: number of blocks the statistics are over.
        calls: calls in a block.
        flops: operations of a call as written, by XLA's count. The body of a loop counts once,
            however often it runs: with `loops` it is a lower bound.
        bytes: moved in a call after fusion, by XLA's count, which knows no caches; with `loops` a
            lower bound.
        loops: whether the program has loops. Random bits on a CPU are one.
        dtype: of the matrix product that gave `matmul_peak`.
        matmul_peak: flop/s that `matmul_peak` reached on the device.
        memory_bandwidth: bytes/s that `memory_bandwidth` reached on the device.
        program_bytes: arguments, outputs and temporaries of the program.
        device_peak_bytes: the most that the process has held on the device so far; None where the
            device does not tell.
        versions: of jax and jaxlib.
    """

    name: str
    device: str
    lower_seconds: float
    compile_seconds: float
    seconds: float
    quartiles: tuple[float, float]
    blocks: int
    calls: int
    flops: float
    bytes: float
    loops: bool
    dtype: str
    matmul_peak: float
    memory_bandwidth: float
    program_bytes: int
    device_peak_bytes: int | None
    versions: dict[str, str]

    def __str__(self):
        low, high = (_readable(x) for x in self.quartiles)
        least = ">= " if self.loops else ""
        rate, flow = self.flops / self.seconds, self.bytes / self.seconds
        return (
            f"{self.name}: {_readable(self.seconds)} ({low} to {high}; {self.blocks} blocks of "
            f"{self.calls}), compiled in {_readable(self.lower_seconds + self.compile_seconds)}, "
            f"{least}{rate / 1e9:.3g} GFLOP/s "
            f"({rate / self.matmul_peak:.0%} of {self.dtype} matmul), "
            f"{least}{flow / 1e9:.3g} GB/s ({flow / self.memory_bandwidth:.0%} of memory), "
            f"{self.program_bytes / 1e6:.3g} MB, {self.device}"
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields, and the rates reached, as what JSON holds."""
        rates = {
            "flops_per_second": self.flops / self.seconds,
            "bytes_per_second": self.bytes / self.seconds,
        }
        return {**self._asdict(), "quartiles": list(self.quartiles), **rates}

    def to_json(self) -> str:
        """`as_dict` on one line."""
        return json.dumps(self.as_dict())


def benchmark(
    fn: Callable,
    *args: Tree,
    carry: bool = False,
    name: str | None = None,
    blocks: int = 12,
    block_seconds: float = 0.1,
    dtype=jnp.float32,
) -> Benchmark:
    """Measures a function under `jax.jit`, with its arguments on the device.

    Args:
        fn: a pure function of arrays; with `carry` a step, (state, ...) -> (state, anything).
        *args: its arguments.
        carry: whether the first argument is a state to donate, each call taking what the last one
            made, as in training. A copy is used up, not the caller's.
        name: to print; None takes the function's own.
        blocks: how many blocks of calls to time.
        block_seconds: how long a block lasts, unless a single call is longer.
        dtype: of the matrix product whose rate the achieved one is compared with.

    Returns:
        A Benchmark.

    Raises:
        ValueError: `carry` and a function that is no such step, or fewer than one block.

    Example:
        >>> record = benchmark(jnp.dot, jnp.ones([64, 32]), jnp.ones([32, 16]), blocks=3)
        >>> record.name, record.flops == 2 * 64 * 32 * 16
        ('dot', True)
    """
    if blocks < 1:
        raise ValueError(f"a benchmark times at least one block; got blocks={blocks}")
    args = jax.device_put(args)
    # A function made here: jit would find the programs that `fn` itself has compiled before.
    jitted = jax.jit(lambda *args: fn(*args), donate_argnums=(0,) if carry else ())
    thunk = threaded(jitted, *args) if carry else lambda: jitted(*args)
    with _no_persistent_cache():
        start = time.perf_counter()
        lowered = jitted.lower(*args)
        middle = time.perf_counter()
        compiled = lowered.compile()
        end = time.perf_counter()
        calls = calls_in(thunk, block_seconds)
    low, median, high = np.quantile(
        [time_block(thunk, calls) for _ in range(blocks)], [0.25, 0.5, 0.75]
    ).tolist()
    device = min(jax.tree.leaves(thunk())[0].devices(), key=lambda device: device.id)
    memory = compiled.memory_analysis()
    return Benchmark(
        name=name or getattr(fn, "__name__", type(fn).__name__),
        device=device.device_kind,
        lower_seconds=middle - start,
        compile_seconds=end - middle,
        seconds=median,
        quartiles=(low, high),
        blocks=blocks,
        calls=calls,
        # Counted before compilation, which may turn products into calls that XLA cannot count.
        flops=lowered.cost_analysis().get("flops", 0.0),
        bytes=compiled.cost_analysis().get("bytes accessed", 0.0),
        loops="stablehlo.while" in lowered.as_text(),
        dtype=jnp.dtype(dtype).name,
        matmul_peak=matmul_peak(dtype, device),
        memory_bandwidth=memory_bandwidth(device),
        program_bytes=memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes,
        device_peak_bytes=(device.memory_stats() or {}).get("peak_bytes_in_use"),
        versions={"jax": jax.__version__, "jaxlib": jaxlib.__version__},
    )


def matmul_peak(dtype=jnp.float32, device: jax.Device | None = None) -> float:
    """Operations a second of a large square matrix product, 2 n^3 of them.

    Measured once a process; the best of several blocks. The sum is kept in float32 at least.

    Args:
        dtype: of the factors.
        device: None takes the default one.
    """
    return _matmul_peak(jnp.dtype(dtype), device or _default_device())


@functools.cache
def _matmul_peak(dtype, device):
    n = 1024 if device.platform == "cpu" else 8192
    a = jax.device_put(jnp.ones([n, n], dtype), device)
    sums = jnp.promote_types(dtype, jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, preferred_element_type=sums))
    return 2 * n**3 / _best(lambda: product(a))


def memory_bandwidth(device: jax.Device | None = None) -> float:
    """Bytes a second, read and written, of adding one to a large array in place.

    Measured once a process; the best of several blocks.

    Args:
        device: None takes the default one.
    """
    return _memory_bandwidth(device or _default_device())


@functools.cache
def _memory_bandwidth(device):
    elements = 2**26 if device.platform == "cpu" else 2**28  # 4 bytes each: no cache holds them
    x = jax.device_put(jnp.zeros(elements), device)
    add = jax.jit(lambda x: (x + 1, None), donate_argnums=0)
    return 2 * x.nbytes / _best(threaded(add, x))


def _best(thunk):
    calls = calls_in(thunk, 0.02)
    return min(time_block(thunk, calls) for _ in range(20))


def _default_device():
    return next(iter(jnp.zeros([]).devices()))


@contextlib.contextmanager
def _no_persistent_cache():
    """Compiles in earnest; the in-memory cache stays."""
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # jax decides once a process whether it uses the cache
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


def _readable(seconds):
    unit, scale = next((u for u in [("s", 1), ("ms", 1e3)] if seconds * u[1] >= 1), ("us", 1e6))
    return f"{seconds * scale:.3g} {unit}"
