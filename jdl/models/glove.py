"""GloVe: vectors of words whose products are the logarithms of co-occurrence counts.

    predicted = v[i] . u[j] + b[i] + c[j]
    loss      = mean over pairs of  f(X_ij) (predicted - log X_ij)^2
    f(x)      = min(1, (x / x_max)^alpha)

Data are the `Cooccurrences` of `jdl.text.contexts`. The vectors to keep are v + u (section 4.2).

Source: Pennington, Socher, Manning 2014, eqs. 8 and 9, and the released code for the start: all
parameters uniform in +-1 / (2 D). Departs from eq. 8 in the mean over a batch, not the sum over all
pairs. 2 V (D + 1) parameters.

Axes: B pairs, D features, V words.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model, Objective, Tree, Variables
from jdl.functional import functional


def glove(vocab_size: int, features: int = 300, *, dtype=None, param_dtype=jnp.float32) -> Model:
    """A vector and a bias for each word, and for each context.

    Args:
        vocab_size: V.
        features: D.
        dtype: of the computation; None takes `param_dtype`.
        param_dtype: of the params.

    Returns:
        A Model: words [B], contexts [B] -> predicted log counts [B].

    Raises:
        ValueError: from `apply`, words and contexts of other shapes.

    Example:
        >>> model = glove(vocab_size=7, features=4)
        >>> words = jnp.array([1, 2])
        >>> model.apply(model.init(jax.random.key(0)), words, words)[0].shape
        (2,)
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}
    return functional(lambda rngs: Glove(vocab_size, features, dtypes, rngs=rngs))


def weighted_log_counts(model: Model, *, x_max: float = 100.0, alpha: float = 0.75) -> Objective:
    """The weighted squares of eq. 8.

    Args:
        model: of `glove`.
        x_max: the count from which pairs weigh 1.
        alpha: of the weight of smaller counts.

    Returns:
        An Objective of Cooccurrences.
    """

    def objective(params, buffers, batch, key):
        variables = Variables(params, buffers)
        predicted, buffers = model.apply(variables, batch.words, batch.contexts)
        weights = jnp.minimum(1.0, (batch.counts / x_max) ** alpha)
        errors = predicted.astype(jnp.float32) - jnp.log(batch.counts)
        return jnp.mean(weights * errors**2), (buffers, {})

    return objective


def summed_vectors(params: Tree) -> jax.Array:
    """The vectors that are published: of the word and of the context, added.

    Args:
        params: of `glove`.

    Returns:
        [V, D].
    """
    return params["words"]["embedding"] + params["contexts"]["embedding"]


class Glove(nnx.Module):
    """The network of `glove`."""

    def __init__(self, vocab_size, features, dtypes, *, rngs):
        half = 0.5 / features

        def uniform(key, shape, dtype):
            return jax.random.uniform(key, shape, dtype, -half, half)

        def table(width):
            return nnx.Embed(vocab_size, width, embedding_init=uniform, **dtypes, rngs=rngs)

        self.words, self.contexts = table(features), table(features)
        self.word_biases, self.context_biases = table(1), table(1)

    def __call__(self, words: jax.Array, contexts: jax.Array) -> jax.Array:
        """[B], [B] -> [B]."""
        if words.ndim != 1 or words.shape != contexts.shape:
            raise ValueError(
                f"words and contexts are [B]; got {list(words.shape)} and {list(contexts.shape)}"
            )
        products = (self.words(words) * self.contexts(contexts)).sum(-1)
        return products + (self.word_biases(words) + self.context_biases(contexts))[:, 0]
