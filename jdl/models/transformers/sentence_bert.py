"""Sentence-BERT: texts as points, whose nearness says how alike their meanings are.

    tokens [B, T] -> BERT -> [B, T, D] -> the mean of the tokens, their maxima, or the first  [B, D]

    classification    softmax([u; v; |u - v|] W), W of 3 D x K; labels of pairs
    regression        (cos(u, v) - score)^2;                    scores of pairs, from -1 to 1
    triplet           max(0, |a - p| - |a - n| + 1);            a text, one like it, one unlike it

The encoder is one, with the same weights for all texts of a pair or a triplet. Its embeddings are
computed once and compared by products, where a BERT that reads pairs runs for each pair.

Source: Reimers and Gurevych 2019, section 3 and eq. of its three objectives; 003. The mean is their
default, and counts no padding. Checkpoints of the library sentence-transformers are read by
`jdl.models.pretrained.sentences`, as 000 and 003 use them.

Axes: B texts, T tokens, D features, K labels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Model, Objective, Variables
from jdl.nn.similarity import unit

POOLINGS = ("mean", "max", "first")


class Texts(NamedTuple):
    """A batch of tokens, as `jdl.models.transformers.bert` reads it.

    Attributes:
        tokens: [B, T].
        mask: [B, T], true for a token that is no padding; None where all are.
    """

    tokens: jax.Array
    mask: jax.Array | None = None


def sentence_encoder(encoder: Model, pooling: str = "mean", *, unit_length: bool = False) -> Model:
    """A text encoder with one embedding a text.

    Args:
        encoder: of `jdl.models.transformers.bert`, or with its inputs and its `sequence`.
        pooling: "mean", "max", over tokens that are no padding, or "first", the token [CLS].
        unit_length: whether embeddings have length 1.

    Returns:
        A Model: (tokens, segments, mask) as BERT's -> embeddings [B, D]. Its variables are the
        encoder's, so that those of a checkpoint are its own.

    Raises:
        ValueError: another pooling.

    Example:
        >>> from jdl.models.transformers.bert import bert
        >>> model = sentence_encoder(bert(11, 8, 16, num_layers=1, num_heads=2, pooler=False))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([3, 5], int))[0].shape
        (3, 16)
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling is one of {POOLINGS}; got {pooling!r}")

    def apply(variables, tokens, segments=None, mask=None, *, key=None, train=False):
        inputs = (tokens, segments, mask)
        output, buffers = encoder.apply(variables, *inputs, key=key, train=train)
        embeddings = pooled(output.sequence, mask, pooling)
        return (unit(embeddings) if unit_length else embeddings), buffers

    return Model(encoder.init, apply)


def pooled(features: jax.Array, mask: jax.Array | None, pooling: str) -> jax.Array:
    """Features of tokens [B, T, D] -> of texts [B, D]; zeros of a text that is all padding.

    Args:
        features: [B, T, D].
        mask: [B, T], true for what is no padding; None where all is.
        pooling: "mean", "max" or "first".

    Returns:
        [B, D].

    Example:
        >>> features = jnp.array([[[1.0], [3.0], [9.0]]])
        >>> pooled(features, jnp.array([[True, True, False]]), "mean").tolist()
        [[2.0]]
    """
    if pooling == "first":
        return features[:, 0]
    seen = jnp.ones(features.shape[:2], bool) if mask is None else mask
    if pooling == "max":
        most = jnp.max(features, axis=1, where=seen[..., None], initial=-jnp.inf)
        return jnp.where(seen.any(axis=1)[:, None], most, 0)
    total = jnp.sum(features, axis=1, where=seen[..., None])
    return total / jnp.maximum(seen.sum(axis=1), 1)[:, None].astype(total.dtype)


def pair_classifier(encoder: Model, features: int, num_classes: int = 3) -> Model:
    """A label for two texts, of their embeddings and their difference.

    Args:
        encoder: of `sentence_encoder`.
        features: D of it.
        num_classes: K; three are those of natural language inference.

    Returns:
        A Model: two Texts -> logits [B, K]. Params are {"encoder": ..., "head": W [3 D, K]}.

    Example:
        >>> from jdl.models.transformers.bert import bert
        >>> encoder = sentence_encoder(bert(11, 8, 16, num_layers=1, num_heads=2, pooler=False))
        >>> model, texts = pair_classifier(encoder, 16), Texts(jnp.ones([3, 5], int))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, texts, texts)[0].shape
        (3, 3)
    """

    def init(key):
        key, key_head = jax.random.split(key)
        params, buffers = encoder.init(key)
        head = jax.nn.initializers.lecun_normal()(key_head, (3 * features, num_classes))
        return Variables({"encoder": params, "head": head}, buffers)

    def apply(variables, first, second, *, key=None, train=False):
        own = Variables(variables.params["encoder"], variables.buffers)
        (u, v), buffers = _embedded(encoder, own, (first, second), key, train)
        joined = jnp.concatenate([u, v, jnp.abs(u - v)], axis=-1)
        return joined @ variables.params["head"].astype(joined.dtype), buffers

    return Model(init, apply)


def pair_classification(classifier: Model) -> Objective:
    """The cross-entropy of labels of pairs, in nats.

    Args:
        classifier: of `pair_classifier`.

    Returns:
        An Objective of (first Texts, second Texts, labels [B]); its info has "accuracy".
    """

    def objective(params, buffers, batch, key):
        first, second, labels = batch
        variables = Variables(params, buffers)
        logits, buffers = classifier.apply(variables, first, second, key=key, train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
        found = jnp.mean(logits.argmax(-1) == labels, dtype=jnp.float32)
        return losses.mean(), (buffers, {"accuracy": found})

    return objective


def pair_regression(encoder: Model) -> Objective:
    """The squared error of cosines.

    Args:
        encoder: of `sentence_encoder`.

    Returns:
        An Objective of (first Texts, second Texts, scores [B] from -1 to 1).
    """

    def objective(params, buffers, batch, key):
        *texts, scores = batch
        (u, v), buffers = _embedded(encoder, Variables(params, buffers), texts, key, True)
        cosines = jnp.sum(unit(u) * unit(v), axis=-1, dtype=jnp.float32)
        return jnp.mean((cosines - scores) ** 2), (buffers, {})

    return objective


def triplets(encoder: Model, margin: float = 1.0) -> Objective:
    """A text shall be nearer to one like it than to another, by a margin.

    Args:
        encoder: of `sentence_encoder`.
        margin: of the Euclidean distances.

    Returns:
        An Objective of (anchor, positive, negative), Texts each.
    """

    def objective(params, buffers, batch, key):
        embedded, buffers = _embedded(encoder, Variables(params, buffers), batch, key, True)
        losses = optax.losses.triplet_margin_loss(*embedded, margin=margin)
        return losses.mean(), (buffers, {})

    return objective


def _embedded(encoder, variables, texts, key, train):
    """The embeddings of each of some Texts, by one encoder."""
    keys = [None] * len(texts) if key is None else jax.random.split(key, len(texts))
    found, buffers = [], variables.buffers
    for (tokens, mask), own in zip(texts, keys, strict=True):
        inputs = (tokens, None, mask)
        variables = variables._replace(buffers=buffers)
        embeddings, buffers = encoder.apply(variables, *inputs, key=own, train=train)
        found.append(embeddings)
    return found, buffers
