"""Face verification: embeddings of length 1, near for two images of one person.

    z = f(x) / |f(x)|, f any network of D outputs;   distance |z - z'|^2 = 2 - 2 cos, of 0 to 4
    the same person if the distance is at most a threshold

    siamese network     one network sees both images; loss of a pair, `contrastive`
    triplets            anchor, positive, negative, `triplet`; found in the batch, `mined_triplets`
    classifier          cosines with a learned prototype for each person, `angular_softmax`

    embedder = face_embedding(resnet18(num_classes=128))
    objective = mined_triplets(embedder)                                batches (images, persons)
    distances = squared_distances(*(embedder.apply(v, x)[0] for x in (first, second)))
    best_threshold(distances, is_same), equal_error_rate(distances, is_same)

The numbers of verification are in `jdl.metrics.verification`, ROC curves in `jdl.metrics.ranking`.

Source: Bromley et al. 1994 (siamese); Hadsell, Chopra, LeCun 2006; Schroff, Kalenichenko, Philbin
2015 (FaceNet: D = 128, margin 0.2); Deng, Guo, Xue, Zafeiriou 2019 (ArcFace: margin 0.5, scale 64);
000 and 004 ch. 4 in words.

Axes: B images, D features of an embedding, K persons.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.functional import functional
from jdl.models.convnets.backbone import with_head
from jdl.nn.margins import angular_margin, contrastive_loss, semi_hard_triplet_loss, triplet_loss
from jdl.train.objectives import classification

SMALLEST = 1e-12  # of a squared length: an embedding of zeros stays there


def face_embedding(network: Model) -> Model:
    """Outputs of a network, divided by their length.

    Args:
        network: images -> [B, D], such as `resnet18(num_classes=128)`.

    Returns:
        A Model with the same variables and methods: images -> embeddings [B, D] of length 1.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> embedder = face_embedding(mlp([4, 3]))
        >>> variables = embedder.init(jax.random.key(0))
        >>> embeddings, _ = embedder.apply(variables, jnp.ones([2, 4]))
        >>> jnp.linalg.norm(embeddings, axis=-1).round(4).tolist()
        [1.0, 1.0]
    """

    def apply(variables, *inputs, method="__call__", **options):
        named = {} if method == "__call__" else {"method": method}
        outputs, buffers = network.apply(variables, *inputs, **named, **options)
        return _unit(outputs) if method == "__call__" else outputs, buffers

    return Model(network.init, apply)


def face_classifier(
    network: Model, embedding_dim: int, num_persons: int, *, param_dtype=jnp.float32
) -> Model:
    """Cosines of embeddings with a prototype for each person.

    Args:
        network: images -> [B, D].
        embedding_dim: D.
        num_persons: K.
        param_dtype: of the prototypes.

    Returns:
        A Model: images -> cosines [B, K]. The embedder that is kept after training is
        `face_embedding(network)` with {"backbone": ...} of its params and buffers.
    """
    shape = embedding_dim, num_persons
    return with_head(
        face_embedding(network),
        functional(lambda rngs: Prototypes(shape, param_dtype=param_dtype, rngs=rngs)),
    )


class Prototypes(nnx.Module):
    """A direction for each class, and the cosines with it."""

    def __init__(self, shape, *, param_dtype, rngs):
        draw = nnx.initializers.normal(0.01)  # of their direction alone
        self.kernel = nnx.Param(draw(rngs.params(), shape, param_dtype))

    def __call__(self, embeddings: jax.Array) -> jax.Array:
        """Embeddings [B, D] of length 1 -> cosines [B, K]."""
        directions = _unit(self.kernel[...].T)
        return embeddings @ directions.T.astype(embeddings.dtype)


def squared_distances(first: jax.Array, second: jax.Array) -> jax.Array:
    """|z - z'|^2 of embeddings [..., D] -> [...]."""
    return jnp.sum((first - second) ** 2, axis=-1)


def contrastive(embedder: Model, margin: float = 1.0) -> Objective:
    """`contrastive_loss` of pairs.

    Args:
        embedder: images -> embeddings [B, D].
        margin: distance beyond which other pairs are left alone.

    Returns:
        An Objective of batches (images [B, ...], images [B, ...], is_same [B] of booleans).
    """

    def objective(params, buffers, batch, key):
        first, second, is_same = batch
        (one, other), buffers = _embedded(embedder, params, buffers, (first, second), key)
        return contrastive_loss(one, other, is_same, margin).mean(), (buffers, {})

    return objective


def triplet(embedder: Model, margin: float = 0.2) -> Objective:
    """`triplet_loss` of given triplets.

    Args:
        embedder: images -> embeddings [B, D] of length 1.
        margin: by how much nearer the positive should be.

    Returns:
        An Objective of batches (anchors, positives, negatives), images [B, ...] each. Info:
        `ordered`, the share of anchors nearer to their positive.
    """

    def objective(params, buffers, batch, key):
        (a, p, n), buffers = _embedded(embedder, params, buffers, batch, key)
        ordered = jnp.mean(squared_distances(a, p) < squared_distances(a, n))
        return triplet_loss(a, p, n, margin).mean(), (buffers, {"ordered": ordered})

    return objective


def mined_triplets(embedder: Model, margin: float = 0.2) -> Objective:
    """`semi_hard_triplet_loss` of a batch: its triplets are all pairs of a person in it.

    Args:
        embedder: images -> embeddings [B, D] of length 1.
        margin: by how much nearer a positive should be.

    Returns:
        An Objective of batches (images [B, ...], persons [B] of integers), several images a person.
    """

    def objective(params, buffers, batch, key):
        images, persons = batch
        (embeddings,), buffers = _embedded(embedder, params, buffers, (images,), key)
        return semi_hard_triplet_loss(embeddings, persons, margin), (buffers, {})

    return objective


def angular_softmax(classifier: Model, margin: float = 0.5, scale: float = 64.0) -> Objective:
    """Cross-entropy of scaled cosines, that of the person at a wider angle (ArcFace).

    Args:
        classifier: images -> cosines [B, K], as `face_classifier` has them.
        margin: in radians; 0 is a softmax of normalised embeddings and prototypes.
        scale: of the cosines.

    Returns:
        An Objective of batches (images [B, ...], persons [B] of integers). Info: `accuracy`, in
        spite of the margin.
    """

    def objective(params, buffers, batch, key):
        images, persons = batch

        def apply(variables, images, **options):
            cosines, buffers = classifier.apply(variables, images, **options)
            return scale * angular_margin(cosines, persons, margin), buffers

        margined = classification(Model(classifier.init, apply))
        return margined(params, buffers, (images, persons), key)

    return objective


def _embedded(embedder, params, buffers, parts, key):
    """All images in one pass, so that a batch norm sees them together, and parted again."""
    images = jnp.concatenate(parts)
    found, buffers = embedder.apply(Variables(params, buffers), images, key=key, train=True)
    return jnp.split(found, len(parts)), buffers


def _unit(x):
    squares = jnp.sum(x**2, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squares, SMALLEST))
