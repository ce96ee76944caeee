"""Classifiers of the maps halfway: their losses are added in training, and they are left out after.

    loss = cross-entropy(logits) + weight * sum over the auxiliary heads of cross-entropy(logits_h)

Source: Szegedy et al. 2014, section 5 (weight 0.3, two heads), 2015 (one head).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jdl.core import Model, Objective, Variables
from jdl.nn.inception import AUXILIARY_WEIGHT
from jdl.train.objectives import classification


class AuxiliaryLogits(NamedTuple):
    """The outputs of a training pass.

    Attributes:
        logits: [B, K].
        auxiliary: [B, K] of each head, the shallowest first.
    """

    logits: jax.Array
    auxiliary: tuple[jax.Array, ...]


def auxiliary_classification(
    model: Model,
    weight: float = AUXILIARY_WEIGHT,
    *,
    objective: Callable[[Model], Objective] = classification,
) -> Objective:
    """Cross-entropy of integer labels, of a network and of its auxiliary heads.

    Args:
        model: images -> in training `AuxiliaryLogits`.
        weight: of the loss of each head.
        objective: of one output; `pixel_classification` where each pixel has a label.

    Returns:
        An Objective of batches (images [B, ...], labels [B] of integers), or as `objective` has
        them. Info: `accuracy` of the logits, or what `objective` reports, and their `cross_entropy`
        alone.

    Raises:
        TypeError: from the objective, a model without such heads.
        ValueError: from the objective, labels that are not integers [B].
    """
    # The loss of logits that are there already.
    of_logits = objective(Model(None, lambda variables, logits, **_: (logits, ())))

    def with_heads(params, buffers, batch, key):
        images, *labels = batch
        outputs, buffers = model.apply(Variables(params, buffers), images, key=key, train=True)
        if not isinstance(outputs, AuxiliaryLogits):
            raise TypeError(
                "the outputs have no auxiliary logits; build the model with auxiliary=True, or "
                "train it by jdl.train.classification"
            )
        loss, (_, info) = of_logits((), (), (outputs.logits, *labels), key)
        extra = [of_logits((), (), (logits, *labels), key)[0] for logits in outputs.auxiliary]
        return loss + weight * sum(extra), (buffers, {**info, "cross_entropy": loss})

    return with_heads
