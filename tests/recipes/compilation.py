"""Recipes that compile fast and run slower, for short runs."""

import contextlib

import jax


@contextlib.contextmanager
def compiled_fast():
    """XLA leaves most optimisations out meanwhile, as `tests.conformance.case.quick` has it."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
