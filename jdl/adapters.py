"""Modules of other libraries as Models: Flax Linen and Equinox."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Key, Model, Variables
from jdl.draws import drawn_at_once


def from_linen(module: Any, *example_inputs: Any, streams: Sequence[str] = ("dropout",)) -> Model:
    """A module of Flax Linen as a Model.

    Params are Linen's collection `params`; buffers are the other collections, `batch_stats`.
    The module is told of training by its argument `train`, `deterministic` or
    `use_running_average`, if it has one of them.

    Args:
        module: a flax.linen.Module.
        example_inputs: arrays or jax.ShapeDtypeStruct, from which it infers its sizes; nothing is
            computed with them.
        streams: names of the noises the module draws; each gets a key of its own.

    Returns:
        A Model. `apply` hands further keyword arguments to the module; `method` names another
        method than `__call__`.

    Raises:
        ValueError: from `apply`, if the module draws noise and no key came.

    Example:
        >>> import flax.linen as nn
        >>> model = from_linen(nn.Dense(2), jnp.zeros([1, 3]))
        >>> variables = model.init(jax.random.key(0))
        >>> jax.tree.map(jnp.shape, variables.params)
        {'bias': (2,), 'kernel': (3, 2)}
        >>> model.apply(variables, jnp.ones([5, 3]))[0].shape
        (5, 2)
    """
    from flax import errors
    from flax.core import meta

    def mode(method, train):
        accepted = inspect.signature(getattr(module, method)).parameters
        told = {"train": train, "deterministic": not train, "use_running_average": not train}
        return {name: value for name, value in told.items() if name in accepted}

    def noise(key):
        return dict(zip(streams, jax.random.split(key, len(streams)), strict=True))

    def init(key):
        key_params, key_noise = jax.random.split(key)
        rngs = {"params": key_params, **noise(key_noise)}
        drawn = module.lazy_init(rngs, *example_inputs, **mode("__call__", False))
        collections = dict(meta.unbox(drawn))
        return Variables(collections.pop("params", {}), collections)

    def apply(variables, *inputs, key=None, train=False, method="__call__", **options):
        collections = {"params": variables.params, **variables.buffers}
        try:
            outputs, buffers = module.apply(
                collections,
                *inputs,
                rngs={} if key is None else noise(key),
                mutable=list(variables.buffers) if train else [],
                method=method,
                **mode(method, train),
                **options,
            )
        except errors.InvalidRngError as error:
            raise ValueError(
                f"the module draws noise of streams {tuple(streams)} in this call: {error} "
                "Call apply(variables, inputs, key=jax.random.key(0), ...), and name all its "
                "streams in from_linen(..., streams=...)"
            ) from error
        return outputs, dict(buffers) if train else variables.buffers

    return Model(drawn_at_once(init), apply)


def from_equinox(build: Callable[[Key], Any], *, axis_name: str = "batch") -> Model:
    """A module of Equinox, which takes one example, as a Model, which takes a batch.

    Params are its floating-point arrays as nested dicts by path, `layers.0.weight`. Buffers are
    its other arrays, under `module`, and its state, under `state`.

    Args:
        build: key -> module; or, for a module with state, (module, state) as
            `eqx.nn.make_with_state` makes them.
        axis_name: of the vmap over examples, which `eqx.nn.BatchNorm` asks for.

    Returns:
        A Model: inputs [B, ...] -> outputs [B, ...]. `apply` splits `key` into one for each
        example, if the module takes one; `train=False` is Equinox's inference mode. The state
        after a pass has to be the same for all examples, as that of `eqx.nn.BatchNorm` is; a
        module with a state of each example is not supported, vmap says so.

    Raises:
        ImportError: Equinox is not installed.
        ValueError: from `apply`, if params or buffers have other names than the module's.

    Example:
        >>> import equinox as eqx
        >>> model = from_equinox(lambda key: eqx.nn.Linear(3, 2, key=key))
        >>> variables = model.init(jax.random.key(0))
        >>> jax.tree.map(jnp.shape, variables.params)
        {'bias': (2,), 'weight': (2, 3)}
        >>> model.apply(variables, jnp.ones([5, 3]))[0].shape
        (5, 2)
    """
    try:
        import equinox as eqx
    except ImportError as error:
        raise ImportError("from_equinox needs Equinox: pip install equinox") from error

    def build_both(key):
        built = build(key)
        return built if isinstance(built, tuple) else (built, None)

    module_like, state_like = eqx.filter_eval_shape(build_both, jax.random.key(0))
    params_like, rest = eqx.partition(module_like, _is_inexact)
    constants_like, static = eqx.partition(rest, _is_array)
    buffers_like = {"module": constants_like, "state": state_like}
    takes_key = "key" in inspect.signature(type(module_like).__call__).parameters

    def init(key):
        module, state = build_both(key)
        params, rest = eqx.partition(module, eqx.is_inexact_array)
        constants = eqx.filter(rest, eqx.is_array)
        return Variables(_named(params), _named({"module": constants, "state": state}))

    def apply(variables, *inputs, key=None, train=False):
        params = _filled(params_like, variables.params, "params")
        buffers = _filled(buffers_like, variables.buffers, "buffers")
        module = eqx.combine(params, buffers["module"], static)
        module = eqx.nn.inference_mode(module, value=not train)
        state = [] if state_like is None else [buffers["state"]]

        def one(key, *inputs):
            outputs = module(*inputs, *state, **({"key": key} if takes_key else {}))
            return outputs if state else (outputs, None)

        has_keys = takes_key and key is not None
        keys = jax.random.split(key, len(jax.tree.leaves(inputs)[0])) if has_keys else None
        axes = (0 if has_keys else None, *[0] * len(inputs))
        outputs, after = jax.vmap(one, axes, (0, None), axis_name=axis_name)(keys, *inputs)
        if not (train and state):
            return outputs, variables.buffers
        return outputs, _named(buffers | {"state": after})

    return Model(drawn_at_once(init), apply)


def _is_array(x):
    return hasattr(x, "dtype")


def _is_inexact(x):
    return _is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact)


def _names(tree):
    return [
        tuple(jax.tree_util.keystr([entry], simple=True) for entry in path)
        for path, _ in jax.tree.leaves_with_path(tree)
    ]


def _named(tree):
    """The leaves of any tree as nested dicts, by their paths; weak types made strong."""
    named = {}
    for name, leaf in zip(_names(tree), jax.tree.leaves(tree), strict=True):
        inner = named
        for part in name[:-1]:
            inner = inner.setdefault(part, {})
        inner[name[-1]] = jax.lax.convert_element_type(leaf, leaf.dtype)
    return named


def _filled(like, named, role):
    """The tree `like` with the leaves of nested dicts."""
    expected, came = _names(like), dict(zip(_names(named), jax.tree.leaves(named), strict=True))
    if came.keys() != set(expected):
        raise ValueError(
            f"these {role} are not the model's: expected {['.'.join(x) for x in expected]}; "
            f"got {['.'.join(x) for x in came]}. Take them from its init"
        )
    return jax.tree.unflatten(jax.tree.structure(like), [came[name] for name in expected])
