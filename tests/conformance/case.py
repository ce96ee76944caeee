"""What the catalogue says of a system, and the walk over the library's public factories."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from jdl.core import Algorithm, Estimator, Model, Variables

# For programs that run a few times: XLA compiles a training pass in half the time.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
ROOMS = ("jdl.models", "jdl.train", "jdl.bayes", "jdl.rl")


def quick(function: Callable) -> Callable:
    """The function under jit, for tests that call it once or twice: compiled fast, run slower."""
    return jax.jit(function, compiler_options=QUICK)


class ModelCase(NamedTuple):
    """A model, small enough to compile in a second.

    Attributes:
        make: a public factory, by functools.partial with small sizes.
        inputs: of `apply`; floats random, not zeros, and at least two examples.
        options: further arguments of `apply`, {"method": "decode"}.
        noisy: evaluation draws noise by definition, so it gets a key.
        unused: paths of params that a pass with these inputs cannot move; say why in a comment.
        half: whether `dtype=bfloat16` gives bfloat16 outputs, if the factory takes a dtype.
        tolerance: absolute, between a vmap over members and a loop.
        slow: its programs are large, and another case has its modules.
    """

    make: Callable[..., Model]
    inputs: tuple
    options: Mapping[str, Any] = {}
    noisy: bool = False
    unused: tuple[str, ...] = ()
    half: bool = True
    tolerance: float = 1e-5
    slow: bool = False


class AlgorithmCase(NamedTuple):
    """An algorithm, small enough to compile in a second.

    Attributes:
        make: () -> the algorithm, and the variables it starts from. An Estimator is one by
            `descent(estimator, optax.sgd(0.1))`.
        batch: of a step; None if it has none.
        rows: the axis of the batch that is divided over devices, of a multiple of four; None if
            the algorithm has no examples to divide.
        info_shape: of each entry of the info; () but for ensembles.
        vmaps: whether its step may be vmapped; say why not in a comment.
        traces: how often a step is traced; say why not once in a comment.
        keys_followed: whether JAX can see that each key is used once. It takes the parts of a key
            that was split under a vmap for one and the same.
    """

    make: Callable[[], tuple[Algorithm, Variables]]
    batch: Any
    rows: int | None = 0
    info_shape: tuple[int, ...] = ()
    vmaps: bool = True
    traces: int = 1
    keys_followed: bool = True


def public_factories() -> Iterator[str]:
    """Dotted paths of the public functions that say they return one of the core's shapes."""
    for room in map(importlib.import_module, ROOMS):
        for found in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
            if found.name.rpartition(".")[2].startswith("_"):
                continue
            module = importlib.import_module(found.name)
            for name, function in vars(module).items():
                defined = inspect.isfunction(function) and function.__module__ == found.name
                if defined and not name.startswith("_") and _shape(function):
                    yield f"{found.name}.{name}"


def _shape(function):
    shape = inspect.signature(function).return_annotation
    return shape in (Model, Algorithm, Estimator, "Model", "Algorithm", "Estimator")
