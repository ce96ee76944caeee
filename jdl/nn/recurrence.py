"""A recurrent cell over a sequence: the one loop of the library.

    carry_t, y_t = cell(carry_{t-1}, x_t)     t = 1..T, or T..1
    where mask_t is false                     carry_t = carry_{t-1},  y_t = 0

A sequence that is shorter than the batch's longest is padded, in front or behind, and masked: its
carry is that of its last true step, forward, or of its first, reversed, and what stands in the
padding has no say, not even a nan. An all-padded sequence keeps the carry it came with.

A cell of `jdl.nn.affine_cells` is differentiated with its products held constant in the loop, and
the derivative of what they are made of is taken outside of it, for all steps at once:

    z_t = v_t W + b,      dz_t = (v_t dW + db) + dv_t W,      transposed, dW = sum_t v_t' dz_t

so dW is one product of [F, B T] and [B T, G], where a loop would add up a matrix a step. Of the
step, the sums z_t alone are kept for the backward pass. It is a rule for tangents, so that forward
and reverse mode go through, of any order. On one CPU core (B 32, T 64, D 64, F 256) value and
gradient take 0.82 of the time of the plain loop for an LSTM, 0.88 and 0.94 for a GRU of reset
"before" and "after"; the LSTM takes 0.55 of what it does with x_t W taken before the loop.

Axes: B sequences, T steps, D input features, F output features.
"""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.custom_derivatives import SymbolicZero

from jdl.nn.affine_cells import AffineCell, Carry, Cell, affine_sum, weights_in

SAVED = jax.checkpoint_policies.save_only_these_names("sum")


def unrolled(
    cell: Cell,
    carry: Carry,
    xs: jax.Array,
    *,
    mask: jax.Array | None = None,
    reverse: bool = False,
    time_major: bool = False,
) -> tuple[Carry, jax.Array]:
    """Runs a cell over sequences.

    Args:
        cell: (carry, x [B, D]) -> (carry, y [B, F]).
        carry: before the first step, arrays [B, ...]; `cell.initial_carry(B)`.
        xs: [B, T, D].
        mask: [B, T] of booleans, true for a step that counts; None: all do.
        reverse: from the last step to the first; y_t stays at its t.
        time_major: xs, mask and ys have T before B.

    Returns:
        The carry after the last step, and ys [B, T, F].

    Raises:
        ValueError: xs of another rank or width, or a mask of another shape.

    Example:
        >>> from flax import nnx
        >>> from jdl.nn.elman import ElmanCell
        >>> cell = ElmanCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, ys = unrolled(cell, cell.initial_carry(2), jnp.ones([2, 5, 3]))
        >>> ys.shape, bool((ys[:, -1] == carry).all())
        ((2, 5, 4), True)
    """
    if xs.ndim != 3:
        wanted = "[T, B, D]" if time_major else "[B, T, D]"
        raise ValueError(f"sequences are {wanted}; got {list(xs.shape)}")
    if mask is not None and (mask.shape != xs.shape[:2] or mask.dtype != bool):
        raise ValueError(
            f"a mask is bool{list(xs.shape[:2])} for sequences {list(xs.shape)}; "
            f"got {mask.dtype}{list(mask.shape)}. `valid_steps(lengths, T)` makes one"
        )
    if not time_major:
        xs, mask = xs.swapaxes(0, 1), None if mask is None else mask.swapaxes(0, 1)
    if mask is not None:
        xs = jnp.where(mask[..., None], xs, 0)
    run = _deferred if hasattr(cell, "step") else _stepwise
    carry, ys = run(cell, carry, xs, mask, reverse)
    return carry, ys if time_major else ys.swapaxes(0, 1)


def valid_steps(lengths: jax.Array, num_steps: int) -> jax.Array:
    """The mask of sequences padded behind.

    Args:
        lengths: [B] of integers.
        num_steps: T, of the padded ones.

    Returns:
        [B, T] of booleans.

    Raises:
        ValueError: lengths of another rank or dtype; if they are known, any not in [0, T].

    Example:
        >>> valid_steps(jnp.array([1, 3]), 3).tolist()
        [[True, False, False], [True, True, True]]
    """
    lengths = jnp.asarray(lengths)
    if lengths.ndim != 1 or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"lengths are integers [B]; got {lengths.dtype}{list(lengths.shape)}")
    if not isinstance(lengths, jax.core.Tracer) and ((lengths < 0) | (lengths > num_steps)).any():
        raise ValueError(f"lengths lie in [0, {num_steps}]; got {lengths.tolist()}")
    return jnp.arange(num_steps)[None] < lengths[:, None]


def last_valid(ys: jax.Array, mask: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
    """The output at the last step that counts, and 0 where none does.

    Args:
        ys: [B, T, F].
        mask: [B, T] of booleans; None: all steps count.
        reverse: at the first instead, the last of a reversed pass.

    Returns:
        [B, F].

    Example:
        >>> ys = jnp.arange(6.0).reshape(2, 3, 1)
        >>> last_valid(ys, jnp.array([[True, True, False], [False, False, False]])).tolist()
        [[1.0], [0.0]]
    """
    if mask is None:
        return ys[:, 0 if reverse else -1]
    if reverse:
        index = jnp.argmax(mask, 1)
    else:
        index = mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1], 1)
    found = jnp.take_along_axis(ys, index[:, None, None], 1)[:, 0]
    return jnp.where(mask.any(1)[:, None], found, 0)


def _stepwise(cell, carry, xs, mask, reverse):
    """Any cell, as it is."""
    after = jax.eval_shape(cell, carry, xs[0])[0]
    carry = jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), carry, after)

    def body(carry, inputs):
        x, valid = inputs
        return _masked(valid, carry, *cell(carry, x))

    return jax.lax.scan(body, carry, (xs, mask), reverse=reverse)


def _deferred(cell: AffineCell, carry, xs, mask, reverse):
    """A cell whose products are known by name: see the head of the file."""
    weights, dtype = weights_in(cell, xs)
    carry, xs = jax.tree.map(lambda x: jnp.asarray(x, dtype), (carry, xs))

    read_by = set()  # the matrices that multiply x

    def loop(weights, carry, xs, mask, shifts):
        def body(carry, inputs):
            x, valid, shift = inputs
            operands = {}

            def affine(bias, **vectors):
                if shift is None:
                    return affine_sum(weights, bias, **vectors)
                read_by.update(name for name, v in vectors.items() if v is x)
                operands.update({name: v for name, v in vectors.items() if v is not x})
                still = jax.lax.stop_gradient(x)
                vectors = {name: still if v is x else v for name, v in vectors.items()}
                z = affine_sum(weights, bias, **vectors)
                return checkpoint_name(_shifted(z, shift[next(iter(vectors))]), "sum")

            carry, y = _masked(valid, carry, *cell.step(weights, affine, carry, x))
            return carry, (y, operands)

        body = jax.checkpoint(body, prevent_cse=False, policy=SAVED)

        carry, (ys, operands) = jax.lax.scan(body, carry, (xs, mask, shifts), reverse=reverse)
        return (carry, ys), operands

    @jax.custom_jvp
    def run(weights, carry, xs, mask):
        return loop(weights, carry, xs, mask, None)[0]

    def rule(primals, tangents):
        weights, carry, xs, mask = primals
        held = {n: weights[n] for names in cell.sums for n in names if n in weights}
        rest = {name: x for name, x in weights.items() if name not in held}
        widths = {first: weights[first].shape[-1] for _, first, *_ in cell.sums}
        shifts = {name: jnp.zeros([*xs.shape[:2], width], dtype) for name, width in widths.items()}

        def moved(shifts, rest, carry, xs):
            return loop(held | rest, carry, xs, mask, shifts)

        outputs, push, operands = jax.linearize(moved, shifts, rest, carry, xs, has_aux=True)
        operands |= dict.fromkeys(read_by, xs)
        for bias, *names in cell.sums:
            terms = _terms(bias, names, read_by, operands, weights, tangents)
            shifts[names[0]] = sum(terms, shifts[names[0]])
        by_weight, *others = jax.tree.map(_full, tangents[:3], is_leaf=_is_zero)
        return outputs, push(shifts, {name: by_weight[name] for name in rest}, *others)

    run.defjvp(rule, symbolic_zeros=True)
    return run(weights, carry, xs, mask)


@jax.custom_jvp
def _shifted(z, shift):
    """z + shift for a shift of 0, whose values no program has to hold."""
    return z


_shifted.defjvps(lambda dz, *_: dz, lambda dshift, *_: dshift)


def _terms(bias, names, read_by, operands, weights, tangents):
    """dW and db, and dx for the inputs, as they move a sum of products: of all steps, [T, B, G]."""
    by_weight, _, by_x, _ = tangents
    if bias in weights and not _is_zero(by_weight[bias]):
        yield by_weight[bias][None, None]
    for name in names:
        if not _is_zero(by_weight[name]):
            yield _rows(operands[name], by_weight[name])
        if name in read_by and not _is_zero(by_x):
            yield _rows(by_x, weights[name])


def _rows(vectors, kernel):
    """vectors W of all steps, as one matrix: XLA's product over two axes is slow on a CPU."""
    return (vectors.reshape(-1, kernel.shape[0]) @ kernel).reshape(*vectors.shape[:2], -1)


def _is_zero(tangent):
    return isinstance(tangent, SymbolicZero)


def _full(tangent):
    return jnp.zeros(tangent.shape, tangent.dtype) if _is_zero(tangent) else tangent


def _masked(valid, before, after, y):
    """The step's results where it counts, the carry before and 0 elsewhere."""
    if valid is None:
        return after, y

    def chosen(new, old):
        return jnp.where(valid.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(chosen, after, before), chosen(y, jnp.zeros_like(y))
