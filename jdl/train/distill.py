"""Knowledge distillation: a small network learns what a large one says of wrong classes too.

    p = softmax(v / T),  q = softmax(z / T)          v the teacher's logits, z the student's
    loss = share T^2 KL(p, q)  +  (1 - share) (-log softmax(z)[label])

T^2 holds the gradient of the first term at one size: it is  T (q - p), and for a T much larger than
logits of mean zero  (z - v) / K,  that of half the mean square of z - v over the K classes.

Source: Hinton, Vinyals, Dean 2015, section 2 and eq. 4. They have the cross-entropy of p and q,
which is KL and the entropy of p: a constant of the student. 000 ch. 15 and 004 name it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jdl.core import Model, Objective, Variables


def distillation(
    student: Model,
    teacher: Callable[[jax.Array], jax.Array] | None = None,
    *,
    temperature: float = 4.0,
    share: float | jax.Array = 0.9,
) -> Objective:
    """The loss of a student.

    Args:
        student: inputs [B, ...] -> logits [B, K].
        teacher: inputs -> logits [B, K], in evaluation: `lambda x: model.apply(variables, x)[0]`
            of any model. None: the batches bring them, computed once by `frozen_features`.
        temperature: T; Hinton et al. tried 1 to 20.
        share: of the teacher in the loss, in [0, 1]; it may be traced.

    Returns:
        An Objective of batches (inputs, labels [B]), or (inputs, labels, the teacher's logits
        [B, K]) without a teacher. Info: `soft`, T^2 KL; `hard`, the cross-entropy; `accuracy`;
        `agreement`, how often both say the same.

    Raises:
        ValueError: a temperature of 0 or less, a share outside [0, 1]; from the objective, logits
            of the two that differ in shape.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> student, large = mlp([4, 3]), mlp([4, 64, 3])
        >>> known = large.init(jax.random.key(0))
        >>> objective = distillation(student, lambda x: large.apply(known, x)[0])
        >>> batch = jnp.ones([5, 4]), jnp.zeros(5, jnp.int32)
        >>> loss, (_, info) = objective(*student.init(jax.random.key(1)), batch, jax.random.key(2))
        >>> sorted(info)
        ['accuracy', 'agreement', 'hard', 'soft']
    """
    if temperature <= 0 or isinstance(share, float | int) and not 0 <= share <= 1:
        raise ValueError(
            f"expected temperature > 0 and share in [0, 1]; got {temperature} and {share}"
        )

    def objective(params, buffers, batch, key):
        inputs, labels, *given = batch
        logits, buffers = student.apply(Variables(params, buffers), inputs, key=key, train=True)
        wanted = jnp.asarray(given[0] if teacher is None else teacher(inputs))
        wanted = jax.lax.stop_gradient(wanted)
        if wanted.shape != logits.shape:
            raise ValueError(
                f"the teacher has logits {list(wanted.shape)}, the student {list(logits.shape)}; "
                "both need the same classes"
            )
        soft = temperature**2 * divergence(logits / temperature, wanted / temperature).mean()
        hard = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        said = logits.argmax(-1)
        info = {
            "soft": soft,
            "hard": hard,
            "accuracy": jnp.mean(said == labels),
            "agreement": jnp.mean(said == wanted.argmax(-1)),
        }
        return share * soft + (1 - share) * hard, (buffers, info)

    return objective


def divergence(logits: jax.Array, wanted: jax.Array) -> jax.Array:
    """KL(softmax(wanted), softmax(logits)).

    Args:
        logits: [..., K].
        wanted: [..., K].

    Returns:
        [...], nats, in float32 at least.
    """
    logits, wanted = (x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in (logits, wanted))
    return optax.losses.kl_divergence_with_log_targets(
        jax.nn.log_softmax(logits), jax.nn.log_softmax(wanted)
    )
