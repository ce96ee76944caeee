"""Mini-batches of data that fit in memory."""

import jax

from jdl.core import Key, Tree


def size_of(data: Tree) -> int:
    """The number of examples: the length that the leading axes of all leaves share.

    Args:
        data: tree of arrays [N, ...].

    Raises:
        ValueError: no arrays, no examples, or leaves of different lengths.
    """
    lengths = {
        jax.tree_util.keystr(path, simple=True, separator=".") or "data": len(x)
        for path, x in jax.tree.leaves_with_path(data)
    }
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(
            "data is a tree of arrays [N, ...] with one N of at least 1; "
            f"got lengths {lengths or 'of an empty tree'}"
        )
    return next(iter(lengths.values()))


def minibatches(data: Tree, key: Key, size: int) -> Tree:
    """Shuffles on the device and cuts into equal batches; the remainder is left out.

    Args:
        data: tree of arrays [N, ...].
        key: of the permutation.
        size: examples in a batch, B.

    Returns:
        The tree with leaves [N // B, B, ...], for `run`.

    Raises:
        ValueError: no examples, leaves of different lengths, or a batch larger than the data.
    """
    examples = size_of(data)
    if not 1 <= size <= examples:
        raise ValueError(f"a batch holds 1 to {examples} examples, all there are; got size={size}")
    order = jax.random.permutation(key, examples)[: examples // size * size].reshape(-1, size)
    return jax.tree.map(lambda x: x[order], data)
