"""Objectives of supervised learning for any model with one output.

classification   mean over the batch of  -log softmax(logits)[label]
regression       mean over the batch and outputs of  (prediction - target)^2
segmentation     mean over the pixels that are labelled of  -weight log softmax(logits)[label]
"""

import chex
import jax.numpy as jnp
import optax

from jdl.core import Model, Objective, Variables


def classification(model: Model) -> Objective:
    """Cross-entropy of integer labels.

    Args:
        model: inputs [B, ...] -> logits [B, num_classes].

    Returns:
        An Objective of batches (inputs [B, ...], labels [B] of integers in [0, num_classes)); a
        label outside makes the loss nan. Info: `accuracy`, of the same pass.

    Raises:
        ValueError: from the objective, labels that are not integers [B].

    Example:
        >>> import jax
        >>> from jdl.models.mlp import mlp
        >>> objective = classification(mlp([4, 3], kernel_init=jax.nn.initializers.zeros))
        >>> variables = mlp([4, 3], kernel_init=jax.nn.initializers.zeros).init(jax.random.key(0))
        >>> batch = jnp.ones([5, 4]), jnp.zeros(5, jnp.int32)
        >>> loss, _ = objective(*variables, batch, jax.random.key(0))
        >>> round(float(loss), 4)  # log 3
        1.0986
    """

    def objective(params, buffers, batch, key):
        inputs, labels = batch
        logits, buffers = model.apply(Variables(params, buffers), inputs, key=key, train=True)
        _check_labels(labels, logits)
        loss = jnp.mean(_cross_entropy(logits, labels))
        return loss, (buffers, {"accuracy": jnp.mean(logits.argmax(-1) == labels)})

    return objective


def pixel_classification(model: Model, ignore_label: int = 255) -> Objective:
    """Cross-entropy of a label for each pixel, some of which have none.

    Source: Ronneberger, Fischer, Brox 2015, eq. 1, for the weights; 255 is void in PASCAL VOC.

    Args:
        model: images [B, H, W, C] -> logits [B, H', W', num_classes].
        ignore_label: of pixels that count nowhere.

    Returns:
        An Objective of batches (images, labels [B, H', W'] of integers), or (images, labels,
        weights [B, H', W']); another label outside [0, num_classes) makes the loss nan. Info:
        `pixel_accuracy`, of the same pass.

    Raises:
        ValueError: from the objective, labels that are not integers of the shape of the logits.
    """

    def objective(params, buffers, batch, key):
        images, labels, *weights = batch
        logits, buffers = model.apply(Variables(params, buffers), images, key=key, train=True)
        _check_labels(labels, logits)
        counts = labels != ignore_label
        losses = jnp.where(counts, _cross_entropy(logits, labels), 0.0)
        total = jnp.maximum(counts.sum(), 1)
        loss = (losses * weights[0] if weights else losses).sum() / total
        right = (counts & (logits.argmax(-1) == labels)).sum()
        return loss, (buffers, {"pixel_accuracy": right / total})

    return objective


def regression(model: Model) -> Objective:
    """Mean squared error.

    Args:
        model: inputs [B, ...] -> predictions.

    Returns:
        An Objective of batches (inputs [B, ...], targets of the predictions' shape).

    Raises:
        ValueError: from the objective, targets of another shape than the predictions.
    """

    def objective(params, buffers, batch, key):
        inputs, targets = batch
        predictions, buffers = model.apply(Variables(params, buffers), inputs, key=key, train=True)
        chex.assert_equal_shape(
            [predictions, targets],
            exception_type=ValueError,
            custom_message="targets have the shape of the predictions, [B, 1] for one output",
        )
        errors = predictions.astype(jnp.float32) - targets
        return jnp.mean(errors**2), (buffers, {})

    return objective


def _cross_entropy(logits, labels):
    """Of each label; nan for a label that is no class."""
    num_classes = logits.shape[-1]
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits.astype(jnp.float32), jnp.clip(labels, 0, num_classes - 1)
    )
    return jnp.where((labels >= 0) & (labels < num_classes), losses, jnp.nan)


def _check_labels(labels, logits):
    if not jnp.issubdtype(labels.dtype, jnp.integer) or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels are integers {list(logits.shape[:-1])} for logits {list(logits.shape)}; "
            f"got {labels.dtype}{list(labels.shape)}. Of one-hot labels take argmax(-1)"
        )
