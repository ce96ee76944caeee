"""A module of Flax NNX as a Model. Only this file and `jdl.stacks` split and merge modules.

Parameters and buffers are nested dicts of arrays with string keys, so that a path such as
`blocks.3.conv1.kernel` names one of them in checkpoints, priors, freezing and printing.
"""

import functools
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Model, Variables
from jdl.draws import drawn_at_once
from jdl.stacks import is_stacked, with_joined


def functional(build: Callable[[nnx.Rngs], nnx.Module], *, stacks: tuple[str, ...] = ()) -> Model:
    """Turns a module into two pure functions.

    Modules hold parameters (nnx.Param) and buffers (every other nnx.Variable), never a random
    stream: a method that needs noise takes `rngs` in its call and draws from streams named by
    meaning, `rngs.dropout()`, `rngs.latent()`.

    Args:
        build: makes the module from nnx.Rngs.
        stacks: paths of lists of like layers that the module runs by `jdl.stacks.run_stack`:
            `apply` takes their params stacked too. All of them, or none.

    Returns:
        A Model. `apply` hands `key` to the method as `rngs` if the method takes that, and has two
        more arguments: `method`, the name of the method to call, and the keyword arguments of
        that method. Its `train` may be a function of the path of a submodule, `blocks.3.norm`,
        that says which of them are in training; `jdl.train.finetune` makes such functions.

    Raises:
        ValueError: from `apply`, if the method draws noise and no key came; or if the variables
            have other names or shapes than the module's.

    Example:
        >>> model = functional(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
        >>> variables = model.init(jax.random.key(0))
        >>> jax.tree.map(jnp.shape, variables.params)
        {'bias': (2,), 'kernel': (3, 2)}
        >>> outputs, buffers = model.apply(variables, jnp.ones([5, 3]))
        >>> outputs.shape
        (5, 2)
    """

    def parts(key):
        return nnx.split(build(_rngs(key)), nnx.Param, ...)

    # JAX keeps this trace: `init` does not build the module again.
    plain = jax.eval_shape(parts, jax.eval_shape(lambda: jax.random.key(0)))
    draw = drawn_at_once(parts)

    @functools.cache
    def joined():
        definition, *states = plain
        module = nnx.eval_shape(lambda x: with_joined(nnx.merge(definition, *x), stacks), states)
        return nnx.split(module, nnx.Param, ...)

    def init(key):
        _, params, buffers = draw(key)
        return Variables(_named(nnx.to_pure_dict(params)), _named(nnx.to_pure_dict(buffers)))

    def apply(variables, *inputs, key=None, train=False, method="__call__", **options):
        joins = any(is_stacked(variables.params, path) for path in stacks)
        definition, params, buffers = joined() if joins else plain
        module = nnx.merge(
            definition,
            _filled(params, variables.params, "params"),
            _filled(buffers, variables.buffers, "buffers"),
            copy=True,
        )
        module.train() if train else module.eval()
        if callable(train):
            module.set_attributes(
                lambda path, part: not train(".".join(map(str, path))),
                deterministic=True,
                use_running_average=True,
                raise_if_not_found=False,
            )
        call = getattr(module, method)
        if "rngs" in inspect.signature(call).parameters:
            options["rngs"] = _NoKey() if key is None else nnx.Rngs(key)
        outputs = call(*inputs, **options)
        if not (train and jax.tree.leaves(variables.buffers)):
            return outputs, variables.buffers
        return outputs, _named(nnx.to_pure_dict(nnx.split(module, nnx.Param, ...)[2]))

    return Model(init, apply)


def _rngs(key):
    """For the building of a module; a pass may carry its count through a loop."""
    rngs = nnx.Rngs(key)
    rngs.default = _Stream(rngs.default.key[...], tag=rngs.default.tag)
    return rngs


class _Stream(nnx.RngStream):
    """Counts what it draws in Python, and draws the same keys.

    Flax counts in an array. Under a trace each count asks an array for its sharding, and JAX
    refuses with a message made of all that was traced before: of Inception-v3, half of the time
    that its module takes to build.
    """

    def __init__(self, key, *, tag):
        super().__init__(key, tag=tag)
        self.drawn = 0

    def __call__(self):
        key = jax.random.fold_in(self.key[...], self.drawn)
        self.drawn += 1
        return key


class _NoKey(nnx.Rngs):
    """Stands for the random streams of a call without a key: drawing from it is the mistake."""

    def __init__(self):
        super().__init__()

    def __getattr__(self, stream):
        if stream.startswith("_"):
            raise AttributeError(stream)
        raise ValueError(
            f"the model draws {stream!r} noise in this call and needs a key; got key=None. "
            "Call apply(variables, inputs, key=jax.random.key(0), ...)"
        )

    __getitem__ = __getattr__


def _named(tree):
    """The same nested dict with string keys: the entries of an nnx.List have integers."""
    return {str(k): _named(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def _numbered(like, named):
    return (
        {k: _numbered(v, named[str(k)]) for k, v in like.items()}
        if isinstance(like, dict)
        else named
    )


def _filled(abstract, values, role):
    """The abstract state with the values in it."""
    filled = jax.tree.map(lambda x: x, abstract)
    like = nnx.to_pure_dict(filled)
    _check(_named(like), values, role)
    if jax.tree.leaves(like):
        # A module would write its statistics into NumPy's arrays in place: the caller's.
        values = jax.tree.map(lambda x: jnp.array(x) if isinstance(x, np.ndarray) else x, values)
        nnx.replace_by_pure_dict(filled, _numbered(like, values))
    return filled


def _check(expected, values, role):
    shapes, came = (
        {
            jax.tree_util.keystr(path, simple=True, separator="."): jnp.shape(x)
            for path, x in jax.tree.leaves_with_path(tree)
        }
        for tree in (expected, values)
    )
    if shapes == came:
        return
    missing, surplus = sorted(shapes.keys() - came.keys()), sorted(came.keys() - shapes.keys())
    other = [
        f"{name} {came[name]} for {shapes[name]}"
        for name in sorted(shapes.keys() & came.keys())
        if came[name] != shapes[name]
    ]
    said = [
        f"{word}: {', '.join(names)}"
        for word, names in [("missing", missing), ("surplus", surplus), ("of another shape", other)]
        if names
    ]
    raise ValueError(
        f"these {role} are not the model's; {'; '.join(said)}. "
        "For a leading axis of members or draws, vmap over apply"
    )
