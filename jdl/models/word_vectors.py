"""Word2vec: vectors of words that predict their neighbours, skip-gram and CBOW.

    h     = v[word], or the mean of v over the words of a bag       [B, D]
    score = h . u[target]                                           [B, V], or [B, K] of K targets

    full softmax            loss = - log softmax(score)[target]
    negative sampling       loss = - log sigmoid(score[target]) - sum_k log sigmoid(-score[noise_k])
    hierarchical softmax    loss = - sum_j log sigmoid(sign_j * score[node_j]),  j on target's path

Data are the `Contexts` of `jdl.text.contexts`: `window_pairs` for skip-gram, `window_bags` for
CBOW. The vectors to keep are v: `params["words"]["embedding"]`. With negative sampling from P_n the
best score is log P(w, c) / (P(w) P_n(c)) - log K, a shifted mutual information (Levy and Goldberg
2014).

Source: Mikolov, Chen, Corrado, Dean 2013, sections 3.1 and 3.2; Mikolov, Sutskever, Chen, Corrado,
Dean 2013, eqs. 2 to 4, and the released code: v uniform in +-1 / (2 D), u zero, the mean (not the
sum) of a bag, and noise that hits the target left out. 2 V D parameters.

Axes: B examples, C words of a bag, K targets, D features, V words.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.functional import functional
from jdl.text.contexts import HuffmanTree


def word_vectors(
    vocab_size: int,
    features: int = 300,
    *,
    num_targets: int | None = None,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """Two vectors for each word: one to predict with, one to be predicted.

    Args:
        vocab_size: V.
        features: D.
        num_targets: rows of u; None takes V. The inner nodes of a tree are V - 1.
        dtype: of the computation; None takes `param_dtype`.
        param_dtype: of the params.

    Returns:
        A Model: words [B] or bags [B, C] -> scores [B, V] of all targets; with further inputs
        `targets` [B, K] the scores [B, K] of those, and `mask` [B, C] of the words in a bag.

    Raises:
        ValueError: from `apply`, words of another rank, or a mask without a bag.

    Example:
        >>> model = word_vectors(vocab_size=7, features=4)
        >>> scores, _ = model.apply(model.init(jax.random.key(0)), jnp.array([1, 2]))
        >>> scores.shape
        (2, 7)
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}
    targets = vocab_size if num_targets is None else num_targets
    return functional(lambda rngs: TwoTables(vocab_size, targets, features, dtypes, rngs=rngs))


class TwoTables(nnx.Module):
    """The network of `word_vectors`."""

    def __init__(self, vocab_size, num_targets, features, dtypes, *, rngs):
        half = 0.5 / features

        def uniform(key, shape, dtype):
            return jax.random.uniform(key, shape, dtype, -half, half)

        zeros = nnx.initializers.zeros
        self.words = nnx.Embed(vocab_size, features, embedding_init=uniform, **dtypes, rngs=rngs)
        self.targets = nnx.Embed(num_targets, features, embedding_init=zeros, **dtypes, rngs=rngs)

    def __call__(
        self,
        words: jax.Array,
        targets: jax.Array | None = None,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Words [B] or [B, C] -> scores [B, V] or [B, K]."""
        if words.ndim not in (1, 2) or (mask is not None and mask.shape != words.shape):
            raise ValueError(
                "words are [B], or bags [B, C] with a mask of the same shape or none; "
                f"got {list(words.shape)} and {None if mask is None else list(mask.shape)}"
            )
        hidden = self.words(words)
        if words.ndim == 2:
            present = jnp.ones(words.shape, bool) if mask is None else mask
            present = present[..., None].astype(hidden.dtype)
            # An empty bag is 0, not 0 / 0.
            hidden = (hidden * present).sum(1) / jnp.maximum(present.sum(1), 1)
        if targets is None:
            return self.targets.attend(hidden)
        return jnp.einsum("bd,bkd->bk", hidden, self.targets(targets))


def full_softmax(model: Model) -> Objective:
    """The cross-entropy of the target among all words.

    Args:
        model: of `word_vectors`.

    Returns:
        An Objective of Contexts.
    """

    def objective(params, buffers, batch, key):
        variables = Variables(params, buffers)
        scores, buffers = model.apply(variables, batch.words, None, batch.mask)
        losses = optax.softmax_cross_entropy_with_integer_labels(
            scores.astype(jnp.float32), batch.targets
        )
        return losses.mean(), (buffers, {})

    return objective


def negative_sampling(
    model: Model, noise: jax.Array, negatives: int = 5, *, keep_hits: bool = False
) -> Objective:
    """The target told from words drawn at random.

    Args:
        model: of `word_vectors`.
        noise: [V], probabilities: `noise_probabilities` of `jdl.text.contexts`.
        negatives: K, 5 to 20 for small corpora and 2 to 5 for large ones (section 2.2).
        keep_hits: whether noise that is the target counts, as in the paper's formula; the released
            code leaves it out.

    Returns:
        An Objective of Contexts.

    Raises:
        ValueError: noise of another rank, or no negatives.
    """
    noise = jnp.asarray(noise)
    if noise.ndim != 1 or negatives < 1:
        raise ValueError(
            f"noise is [V] and negatives are 1 or more; got {list(noise.shape)} and {negatives}"
        )

    def objective(params, buffers, batch, key):
        truth = jnp.asarray(batch.targets)[:, None]
        drawn = jax.random.choice(key, len(noise), [len(truth), negatives], p=noise)
        targets = jnp.concatenate([truth, drawn.astype(truth.dtype)], 1)
        variables = Variables(params, buffers)
        scores, buffers = model.apply(variables, batch.words, targets, batch.mask)
        right, wrong = scores[:, :1].astype(jnp.float32), scores[:, 1:].astype(jnp.float32)
        counts = jnp.ones(drawn.shape) if keep_hits else (drawn != truth)
        losses = jax.nn.softplus(-right).sum(1) + (counts * jax.nn.softplus(wrong)).sum(1)
        return losses.mean(), (buffers, {})

    return objective


def hierarchical_softmax(model: Model, tree: HuffmanTree) -> Objective:
    """The decisions on the way from the root to the target.

    Args:
        model: of `word_vectors` with `num_targets` the V - 1 inner nodes.
        tree: `huffman` of `jdl.text.contexts`.

    Returns:
        An Objective of Contexts.
    """
    nodes, signs = jnp.asarray(tree.nodes), jnp.asarray(tree.signs)

    def objective(params, buffers, batch, key):
        variables = Variables(params, buffers)
        path, sign = nodes[batch.targets], signs[batch.targets]
        scores, buffers = model.apply(variables, batch.words, path, batch.mask)
        losses = jnp.abs(sign) * jax.nn.softplus(-sign * scores.astype(jnp.float32))
        return losses.sum(1).mean(), (buffers, {})

    return objective
