"""Layer-sequential unit-variance initialization (LSUV).

    1. every kernel W_l is drawn orthonormal
    2. for l = 1, ..., L, with the layers before it already scaled:
           W_l = W_l / sqrt(Var(W_l * h_{l-1}))        over a batch, positions and outputs

Source: Mishkin, Matas 2016, algorithm 1; 004 ch. 2 cites it. Departs from it: the paper
repeats the division until the variance is within 0.1 of 1; the product is linear in W_l, so that
once is exact. The bias, zero in the paper, is not part of the product.

What a layer is, is read from the traced program: a matrix product or a convolution one of whose
factors is an entry of the params. So any Model will do, and one pass through it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core as jex

from jdl.core import Key, Model, Variables

PRODUCTS = {"dot_general", "conv_general_dilated"}
SAME_ENTRIES = {"convert_element_type", "transpose", "reshape", "squeeze", "copy"}
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where primitives keep the program they call
LOOPS = {"scan", "while", "cond"}  # whose program runs not once


class UnitVariance(NamedTuple):
    """Variables whose layers have unit variance.

    Attributes:
        variables: with the kernels scaled.
        stds: by path, `layers.0.kernel`, the standard deviation that its product had, 1 if it had
            none.
    """

    variables: Variables
    stds: dict[str, jax.Array]


def lsuv(model: Model, variables: Variables, inputs: Any, key: Key) -> UnitVariance:
    """Draws orthonormal kernels and gives the output of every layer unit variance on a batch.

    Args:
        model: inputs -> outputs.
        variables: of the model. Biases, buffers and whatever is no factor of a product stay; zero
            biases are the paper's.
        inputs: a batch, [B, ...]; the paper takes a mini-batch of training.
        key: of the orthonormal kernels.

    Returns:
        The variables, and what the standard deviations were. Its names tell which kernels were
        scaled: all that are a factor of one product, outside of a loop; a kernel used twice, as a
        tied embedding, stays.

    Raises:
        ValueError: nothing to scale.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> model, images = mlp([4, 8, 2]), jnp.eye(4)
        >>> found = lsuv(model, model.init(jax.random.key(0)), images, jax.random.key(1))
        >>> sorted(found.stds)
        ['layers.0.kernel', 'layers.1.kernel']
        >>> logits, _ = model.apply(found.variables, images)
        >>> round(logits.std().item(), 4)
        1.0
    """
    layers = jax.eval_shape(lambda: unit_variance(model, variables, inputs).stds)
    keys = dict(zip(layers, jax.random.split(key, len(layers)), strict=True))
    draw = jax.nn.initializers.orthogonal()

    def drawn(path, leaf):
        name = _name(path)
        is_matrix = name in keys and leaf.ndim > 1
        return draw(keys[name], leaf.shape, leaf.dtype) if is_matrix else leaf

    params = jax.tree.map_with_path(drawn, variables.params)
    return unit_variance(model, Variables(params, variables.buffers), inputs)


def unit_variance(model: Model, variables: Variables, inputs: Any) -> UnitVariance:
    """Step 2 alone: scales the kernels that are there.

    Args:
        model: inputs -> outputs.
        variables: of the model.
        inputs: a batch, [B, ...].

    Returns:
        See `lsuv`.

    Raises:
        ValueError: nothing to scale.
    """
    leaves, structure = jax.tree.flatten(variables.params)
    names = [_name(path) for path, _ in jax.tree.leaves_with_path(variables.params)]

    def forward(*leaves):
        return model.apply(Variables(structure.unflatten(leaves), variables.buffers), inputs)[0]

    program = jax.make_jaxpr(forward)(*leaves)
    uses, stds = {}, {}

    def note(leaf, outputs, is_product):
        uses.setdefault(leaf, []).append(is_product)
        return outputs

    def scale(leaf, outputs, is_product):
        if uses[leaf] != [True]:
            return outputs
        std = jnp.std(outputs[0].astype(jnp.float32))
        stds[leaf] = jnp.where(std > 0, std, 1.0)
        return [(outputs[0] / stds[leaf]).astype(outputs[0].dtype)]

    jax.eval_shape(lambda *leaves: _walk(program, leaves, range(len(leaves)), note)[0], *leaves)
    if [True] not in uses.values():
        raise ValueError(f"none of {names} is a factor of one matrix product or convolution")
    _walk(program, leaves, range(len(leaves)), scale)
    new = [(x / stds.get(i, 1.0)).astype(x.dtype) for i, x in enumerate(leaves)]
    return UnitVariance(
        Variables(structure.unflatten(new), variables.buffers),
        {names[leaf]: std for leaf, std in stds.items()},
    )


def _walk(program, arguments, leaves, meet):
    """Evaluates a traced program, following the params through it.

    `leaves` tells of each argument which entry of the params it is, or None; `meet(leaf, outputs,
    is_product) -> outputs` sees what is made of one. Returns the outputs, and which leaf each is.
    """
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", [])
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))
    origins = dict(zip(jaxpr.invars, leaves, strict=True))
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inputs, found = _look_up(equation.invars, values, origins)
        used = [leaf for leaf in found if leaf is not None]
        inner = [equation.params[key] for key in INNER if key in equation.params]
        if equation.params.get("branches_platforms"):  # the last form is for every platform
            plain = equation.params["branches"][-1]
            outputs, of = _walk(plain, inputs[1:], found[1:], meet)
        elif inner and name not in LOOPS:
            outputs, of = _walk(inner[0], inputs, found, meet)
        else:
            outputs, of = _bind(equation, inputs), [None] * len(equation.outvars)
            if used and name in SAME_ENTRIES:
                of = used
            else:
                for leaf in used:
                    outputs = meet(leaf, outputs, name in PRODUCTS and len(used) == 1)
        values |= zip(equation.outvars, outputs, strict=True)
        origins |= zip(equation.outvars, of, strict=True)
    return _look_up(jaxpr.outvars, values, origins)


def _look_up(variables, values, origins):
    """The values of variables or literals, and the leaves they are."""
    literal = [isinstance(x, jex.Literal) for x in variables]
    pairs = list(zip(variables, literal, strict=True))
    return (
        [x.val if is_literal else values[x] for x, is_literal in pairs],
        [None if is_literal else origins.get(x) for x, is_literal in pairs],
    )


def _bind(equation, inputs):
    outputs = equation.primitive.bind(*inputs, **equation.params)
    return outputs if equation.primitive.multiple_results else [outputs]


def _name(path):
    return jax.tree_util.keystr(path, simple=True, separator=".")
