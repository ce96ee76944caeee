"""Stacks of like layers: run one after the other, or as one program that serves all of them.

    for l < L:  x = call(block_l, x)         the loop: a program of L bodies
    x = scan(call, x, params [L, ...])       the scan: a program of one body

The same numbers either way, noise included. XLA's time for a loop grows with L, and a scan's does
not, if the params are kept in one piece for all layers, as `stacked` makes them:

    per layer   blocks.3.expand.kernel    [D, N]       what `init` draws; checkpoints, patterns
    stacked     blocks.expand.kernel      [L, D, N]    what a deep network is trained with

`apply` takes either form. A scan over the per-layer form joins the params in each call and parts
their gradients, which XLA does not leave out: a second copy of them (6.2 GB for the largest GPT-2
in float32), and L small programs for each array, as many as the optimizer's. A step of GPT-2 with
AdamW, 64 features, on a CPU (`benchmarks/stacks.py`, processor seconds until it is compiled):

    layers                  12      48     ratio
    loop                   8.5    36.0       4.3
    scan, per layer       11.6    24.7       2.1
    scan, stacked          7.1     7.4      1.04

Rematerialization keeps the stream between the layers alone, L [B, T, D], and computes a layer's
inner values again in the backward pass. Source: Chen, Xu, Zhang, Guestrin 2016, section 4. With 12
layers of that step, the temporary memory of the scan is 4.4 MB, and 18.1 without; that of the loop
is 13.9 either way, since XLA merges the second computation with the first on a CPU.

Beside `jdl.functional`, the only file that splits and merges modules.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Tree


def run_stack(
    blocks: nnx.List | nnx.Module,
    x: Any,
    call: Callable[..., Any],
    *,
    per_layer: Tree = None,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    rngs: nnx.Rngs | None = None,
) -> Any:
    """x through all layers.

    Args:
        blocks: of a module: the list of them, or, if its params came stacked, the one module with
            leaves [L, ...] that `jdl.functional.functional` puts in its place.
        x: a tree of arrays, the stream.
        call: (block, x, rngs) -> x of the same shapes and dtypes; with `per_layer`, a fourth
            argument is what the layer has of it.
        per_layer: what layers differ in, a tree of arrays [L, ...]; None is nothing.
        scan_layers: whether by a scan.
        remat: whether the backward pass computes inner values again; a policy of jax.checkpoint,
            `jax.checkpoint_policies.dots_saveable` for one, says which are kept all the same.
        rngs: of the noise, handed from layer to layer.

    Returns:
        x behind the last one.

    Raises:
        ValueError: blocks that differ in more than their numbers, for a scan; a block that writes
            a buffer, in a scan or rematerialized: statistics of a batch norm that trains.
    """
    given = () if per_layer is None else (per_layer,)
    if isinstance(blocks, nnx.List) and not (scan_layers or remat):
        for number, block in enumerate(blocks):
            x = call(block, x, rngs, *_of_layer(given, number))
        return x
    noise, streams = (None, ()) if rngs is None else nnx.split(rngs)

    def body(definition, carry, layer):
        (x, streams), (state, given) = carry, layer
        block, before = nnx.merge(definition, state), jax.tree.leaves(state)
        own = None if rngs is None else nnx.merge(noise, streams)
        x = call(block, x, own, *given)
        _check_unwritten(block, before)
        return (x, streams if rngs is None else nnx.state(own)), None

    if remat:
        # Without a scan, XLA would merge the second computation with the first.
        options = {"policy": remat if callable(remat) else None, "prevent_cse": not scan_layers}
        body = jax.checkpoint(body, static_argnums=0, **options)
    carry = x, streams
    if scan_layers:
        definition, state = nnx.split(joined(blocks))
        carry, _ = jax.lax.scan(functools.partial(body, definition), carry, (state, given))
    else:
        for number, (definition, state) in enumerate(map(nnx.split, layers(blocks))):
            carry, _ = body(definition, carry, (state, _of_layer(given, number)))
    x, streams = carry
    if rngs is not None:
        nnx.update(rngs, streams)
    return x


def layers(blocks: nnx.List | nnx.Module) -> list[nnx.Module]:
    """The blocks one by one, for what runs them in a loop: a step of decoding, maps to be drawn.

    Args:
        blocks: as `run_stack` has them.

    Returns:
        L modules, parts of one if it is one.
    """
    if isinstance(blocks, nnx.List):
        return list(blocks)
    definition, state = nnx.split(blocks)
    depth = len(jax.tree.leaves(state)[0])
    return [nnx.merge(definition, _of_layer(state, number)) for number in range(depth)]


def joined(blocks: nnx.List | nnx.Module) -> nnx.Module:
    """The one module with leaves [L, ...] that stands for like blocks.

    Args:
        blocks: as `run_stack` has them; one module is that already.

    Raises:
        ValueError: none, or one that differs from the first in more than its numbers.
    """
    if not isinstance(blocks, nnx.List):
        return blocks
    parts = [nnx.split(block) for block in blocks]
    if not parts:
        raise ValueError("a stack has at least one layer; got none. Leave scan_layers out")
    kinds = [(definition, jax.tree.map(_kind, state)) for definition, state in parts]
    for number, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                f"layers that are scanned differ in their numbers alone, and layer {number} is "
                "another than layer 0: in its form, its shapes and dtypes, or in being in training "
                "where the other is frozen. Set scan_layers=False"
            )
    states = [state for _, state in parts]
    return nnx.merge(parts[0][0], jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))


def with_joined(module: nnx.Module, paths: tuple[str, ...]) -> nnx.Module:
    """The module, whose lists at these paths are joined."""
    for path in paths:
        *parents, name = path.split(".")
        parent = functools.reduce(getattr, parents, module)
        setattr(parent, name, joined(getattr(parent, name)))
    return module


def stacked(tree: Tree, *paths: str) -> Tree:
    """The params, or the buffers, whose layers at these paths are one tree of leaves [L, ...].

    Args:
        tree: nested dicts.
        paths: of dicts with the entries "0" to str(L - 1), "blocks"; "decoder.blocks".

    Raises:
        ValueError: a path that leads to no layers, or to layers of other shapes.

    Example:
        >>> params = {"blocks": {"0": {"bias": jnp.zeros(3)}, "1": {"bias": jnp.ones(3)}}}
        >>> deep = stacked(params, "blocks")
        >>> jax.tree.map(jnp.shape, deep)
        {'blocks': {'bias': (2, 3)}}
        >>> jax.tree.map(jnp.sum, unstacked(deep, "blocks"))["blocks"]["1"]["bias"].item()
        3.0
    """

    def join(found, path):
        numbers = [str(number) for number in range(len(found))]
        if not numbers or sorted(numbers) != sorted(found):
            raise ValueError(f"{path!r} has no layers 0, 1, ...; got the entries {list(found)}")
        parts = [found[number] for number in numbers]
        kinds = [jax.tree.map(_kind, part) for part in parts]
        if any(kind != kinds[0] for kind in kinds):
            raise ValueError(f"the layers of {path!r} have other shapes; they cannot be stacked")
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)

    return _changed(tree, paths, join)


def unstacked(tree: Tree, *paths: str) -> Tree:
    """The inverse of `stacked`: entries "0" to str(L - 1) again.

    Args:
        tree: nested dicts.
        paths: of trees of leaves [L, ...].

    Raises:
        ValueError: a path that leads to nothing, or to leaves without a common leading axis.
    """

    def part(found, path):
        depths = {jnp.shape(x)[:1] for x in jax.tree.leaves(found)}
        if len(depths) != 1 or depths == {()}:
            raise ValueError(f"{path!r} has no leaves with a common axis of layers")
        ((depth,),) = depths
        return {str(number): _of_layer(found, number) for number in range(depth)}

    return _changed(tree, paths, part)


def is_stacked(tree: Tree, path: str) -> bool:
    """Whether there are leaves [L, ...] at this path of the params, and not the layers 0, 1, ..."""
    for name in path.split("."):
        tree = tree.get(name, {}) if isinstance(tree, dict) else {}
    return bool(tree) and "0" not in tree


def _changed(tree, paths, change):
    for path in paths:
        tree = _replaced(tree, path.split("."), path, change)
    return tree


def _replaced(tree, names, path, change):
    if not names:
        return change(tree, path)
    name, *rest = names
    if name not in tree:
        raise ValueError(f"there is no {path!r} in this tree; got the entries {list(tree)}")
    return {**tree, name: _replaced(tree[name], rest, path, change)}


def _of_layer(tree, number):
    return jax.tree.map(lambda x: x[number], tree)


def _kind(x):
    return jnp.shape(x), jnp.result_type(x)


def _check_unwritten(block, before):
    """No layer's buffer may be written: what a scan reads is not what the module holds."""
    after = jax.tree.leaves(nnx.state(block))
    if any(x is not y for x, y in zip(after, before, strict=True)):
        raise ValueError(
            "a layer writes a buffer, as a batch norm in training does; in a scan over layers, or "
            "rematerialized, that would be lost. Set scan_layers=False, remat=False"
        )
