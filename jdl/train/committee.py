"""What several members say together, and the data that bagging gives each.

    average_probabilities   mean over members of softmax(logits_m)
    majority_vote           the class that most members find likeliest
    average_params          one model of the mean params
    bootstrap               N examples with replacement, for each member

`ensemble(algorithm, batch_axis=0)` trains members on their own batches, `members(model, size)`
computes their logits [M, B, K].

Source: Breiman 1996 (bagging, votes); Lakshminarayanan et al. 2017 (averages of probabilities);
Wortsman et al. 2022 (averages of weights); 001; 003.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key, Tree


def average_probabilities(logits: jax.Array) -> jax.Array:
    """The mean of the members' probabilities.

    Its cross-entropy is at most the mean of theirs, for the logarithm is concave.

    Args:
        logits: [M, ..., K].

    Returns:
        [..., K], summing to 1. Regression takes `predictions.mean(0)`.
    """
    return jax.nn.softmax(logits.astype(jnp.float32), axis=-1).mean(0)


def majority_vote(logits: jax.Array) -> jax.Array:
    """The class with most votes.

    Args:
        logits: [M, ..., K].

    Returns:
        Labels [...]; the lowest of those with equal votes.
    """
    votes = jax.nn.one_hot(logits.argmax(-1), logits.shape[-1], dtype=jnp.int32)
    return votes.sum(0).argmax(-1)


def average_params(variables: Tree) -> Tree:
    """The mean over the members, of params and buffers.

    It is a good model where the members lie in one basin: epochs of one run, or fine-tuned copies
    of one start. Of members trained from different draws it is not.

    Args:
        variables: leaves [M, ...].

    Returns:
        Leaves [...]. Batch statistics are better computed anew, by `reestimated`.
    """
    return jax.tree.map(lambda x: x.mean(0), variables)


def bootstrap(examples: int, members: int, key: Key) -> jax.Array:
    """Draws with replacement, independently for each member.

    Args:
        examples: N, in the data.
        members: M.
        key: of the draws.

    Returns:
        Indices [M, N]: `inputs[indices]` is [M, N, ...]. Each holds 63 % of the examples.

    Raises:
        ValueError: sizes below 1.
    """
    if examples < 1 or members < 1:
        raise ValueError(f"expected examples and members of at least 1; got {examples}, {members}")
    return jax.random.randint(key, (members, examples), 0, examples)
