"""Losses that Optax lacks; one number an entry or an example, which the caller sums or averages.

The others are used as they are. With predictions f and targets y, N entries in all:

    optax.squared_error(f, y).mean()      (1/N) sum (y - f)^2      000 eq. 1.1, 001
    optax.squared_error(f, y).sum()       sum (y - f)^2            001, 004 eq. 1.20
    optax.l2_loss(f, y).sum()             (1/2) sum (y - f)^2      004 eqs. 1.85 and 7.16
    optax.l2_loss(f, y).mean()            (1/2N) sum (y - f)^2
    optax.huber_loss(f, y, delta=1.0)     e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2)
    optax.sigmoid_binary_cross_entropy    log(1 + e^((1 - 2y) z)): logits, labels 0 and 1
    optax.softmax_cross_entropy           - sum_k y_k log softmax(z)_k: logits, rows of y sum to 1
    optax.softmax_cross_entropy_with_integer_labels
    optax.ctc_loss                        logits [B, T, K], label 0 is the blank
    optax.smooth_labels(y, eps)           (1 - eps) y + eps / K

Sources: 000 ch. 4, 001 (cost functions), 003, 004 eqs. 1.55-1.85. 001 prints the sum of squares
as the mean squared error; 004 says that the cross-entropy is maximised, it is minimised.
"""

import jax
import jax.numpy as jnp
import optax


def absolute_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """The absolute error |targets - predictions| of each entry, with derivative 0 at 0.

    The derivative of `jnp.abs` at 0 is 1: a perfect fit would move. Source: 000 ch. 4, 001.

    Args:
        predictions: of any shape.
        targets: of the same shape.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> predictions, targets = jnp.array([2.5, 0.0, 2.0, 8.0]), jnp.array([3, -0.5, 2, 7])
        >>> absolute_error(predictions, targets).mean().item()
        0.5
    """
    _check_shapes(predictions, targets)
    errors = predictions - targets
    return errors * jnp.sign(errors)


def binary_cross_entropy(
    probabilities: jax.Array, labels: jax.Array, floor: float = 1e-9
) -> jax.Array:
    """The binary cross-entropy of probabilities, for when there are no logits.

        - y log max(p, floor) - (1 - y) log max(1 - p, floor)

    Source: 000 ch. 4, 001. Departs from 000's listing, which clips p to [1e-9, 1 - 1e-9]: in
    float32 that upper bound is 1 and the loss of p = 1, y = 0 infinite; here it is 20.7. Below the
    floor the derivative is 0: a model is better trained by its logits.

    Args:
        probabilities: of the label 1, any shape.
        labels: 0 or 1, or in between; the same shape.
        floor: least number whose logarithm is taken.

    Returns:
        Nats, of the same shape, in float32 at least.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(probabilities, labels)
    p = probabilities.astype(jnp.promote_types(probabilities.dtype, jnp.float32))
    y = labels.astype(p.dtype)
    return -y * jnp.log(jnp.maximum(p, floor)) - (1 - y) * jnp.log(jnp.maximum(1 - p, floor))


def logistic_loss(logits: jax.Array, signs: jax.Array) -> jax.Array:
    """The binary cross-entropy of logits for labels -1 and 1.

        log(1 + e^(-y z)) = - log sigmoid(y z)

    Source: 004 problem 1.8; for labels 0 and 1, eq. 1.64, it is
    `optax.sigmoid_binary_cross_entropy(logits, labels)`.

    Args:
        logits: of the label 1, any shape.
        signs: -1 or 1, the same shape.

    Returns:
        Nats, of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(logits, signs)
    return jax.nn.softplus(-signs * logits)


def categorical_cross_entropy(
    probabilities: jax.Array, targets: jax.Array, floor: float = 1e-9
) -> jax.Array:
    """The categorical cross-entropy of probabilities, for when there are no logits.

        - sum_k y_k log max(p_k, floor)

    Source: 000 ch. 4 and eq. 1.2, 001, 003. 000 sums it over the examples and its listing averages
    it; 003's listing has the floor 1e-10. Below the floor the derivative is 0.

    Args:
        probabilities: [..., K].
        targets: one-hot or probabilities, [..., K].
        floor: least number whose logarithm is taken.

    Returns:
        Nats [...], in float32 at least.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(probabilities, targets)
    p = probabilities.astype(jnp.promote_types(probabilities.dtype, jnp.float32))
    return -jnp.sum(targets * jnp.log(jnp.maximum(p, floor)), axis=-1)


def class_weighted_cross_entropy(
    logits: jax.Array, labels: jax.Array, class_weights: jax.Array
) -> jax.Array:
    """Cross-entropy times the weight of the example's class.

        loss_i = - w[y_i] log softmax(z_i)[y_i]

    Two averages are in use: `losses.mean()`, of Keras, and the one that divides by the weights,
    `losses.sum() / class_weights[labels].sum()`, of PyTorch. Source: King, Zeng 2001; 000 ch. 1,
    in words.

    Args:
        logits: [..., K].
        labels: integers [...].
        class_weights: [K], `balanced_class_weights`.

    Returns:
        Nats [...].
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return class_weights[labels] * losses


def balanced_class_weights(labels: jax.Array, num_classes: int) -> jax.Array:
    """Weights that give each class the same total: examples / (num_classes * of the class).

    Args:
        labels: integers [N].
        num_classes: K.

    Returns:
        [K]; 0 for a class without examples.

    Example:
        >>> balanced_class_weights(jnp.array([0, 0, 0, 1, 1, 1, 1, 2]), 4).round(2).tolist()[1:]
        [0.5, 2.0, 0.0]
    """
    counts = jnp.bincount(labels, length=num_classes)
    return jnp.where(counts > 0, labels.size / (num_classes * jnp.maximum(counts, 1)), 0.0)


def smooth_labels_of_others(one_hot: jax.Array, epsilon: float) -> jax.Array:
    """Label smoothing that shares epsilon among the other classes only.

        (1 - epsilon) y + epsilon (1 - y) / (K - 1)

    A target of 1 becomes 1 - epsilon, the 0.9 of 003. The published form (Szegedy and others 2016,
    section 7), `optax.smooth_labels`, shares epsilon among all classes and leaves
    1 - epsilon + epsilon / K; with epsilon K / (K - 1) it is this one.

    Args:
        one_hot: [..., K].
        epsilon: in [0, 1].

    Returns:
        [..., K], rows that sum to 1.
    """
    return (1 - epsilon) * one_hot + epsilon * (1 - one_hot) / (one_hot.shape[-1] - 1)


def _check_shapes(predictions, targets):
    if predictions.shape != targets.shape:
        raise ValueError(
            f"targets have the shape of the predictions, {list(predictions.shape)}; got "
            f"{list(targets.shape)}. A missing axis would broadcast to all pairs"
        )
