"""Settings of every test: four virtual devices, strict ranks, programs that compile fast.

The programs of tests are small and run a few times, so that most of a test is XLA's compilation.
Without its optimisations, its emitters of fusions and its parallel code generation a gradient of
ResNet compiles in a fifth of the processor time (0.2 for 1.1 s; recurrent 0.5 for 1.6, GPT-2 0.35
for 0.9), and runs slower. The slow tests run long: they are compiled as a user's programs are.
"""

import gc
import importlib.metadata
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")
FLAGS = ["--xla_force_host_platform_device_count=4", "--xla_cpu_parallel_codegen_split_count=1"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")  # later versions have no other emitters
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "True")
# jax 0.10.2 deadlocks when virtual devices outnumber its pool of threads, which NPROC sets.
os.environ.setdefault("NPROC", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("MPLBACKEND", "agg")

import jax  # noqa: E402  (the environment above must come first)
import pytest  # noqa: E402

# A module collected for its doctests before its package is imported would hide the function of
# the same name: `jdl.train.fit`.
import jdl.bayes  # noqa: E402, F401
import jdl.data  # noqa: E402, F401
import jdl.decoding  # noqa: E402, F401
import jdl.explain  # noqa: E402, F401
import jdl.metrics  # noqa: E402, F401
import jdl.models.convnets  # noqa: E402, F401
import jdl.models.recurrent  # noqa: E402, F401
import jdl.models.transformers  # noqa: E402, F401
import jdl.nn  # noqa: E402, F401
import jdl.rl  # noqa: E402, F401
import jdl.text  # noqa: E402, F401
import jdl.train  # noqa: E402, F401

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_finish():
    """What is here stays: the collector need not walk through libraries and tests again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


FAST = jax.config.read("jax_disable_most_optimizations")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    _compile_fast(FAST and not item.get_closest_marker("slow"))
    try:
        return (yield)
    finally:
        _compile_fast(FAST)


def _compile_fast(fast):
    """Here, and in processes that a test starts."""
    if fast == jax.config.read("jax_disable_most_optimizations"):
        return
    jax.clear_caches()  # of what was compiled otherwise
    jax.config.update("jax_disable_most_optimizations", fast)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(fast)


@pytest.fixture
def key():
    return jax.random.key(0)
