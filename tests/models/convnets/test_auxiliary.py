"""The loss of auxiliary heads by NumPy, on a model that is its outputs."""

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model
from jdl.models.convnets.auxiliary import AuxiliaryLogits, auxiliary_classification
from jdl.nn.inception import AUXILIARY_WEIGHT
from tests.nn.test_convolution import normal

LABELS = jnp.array([0, 2, 1, 1])
LOGITS = normal(4, 3), normal(4, 3), normal(4, 3)
HEADS = Model(None, lambda v, x, **_: (AuxiliaryLogits(LOGITS[0], LOGITS[1:]), v.buffers))


def cross_entropy(logits):
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -np.log(probabilities[np.arange(4), LABELS]).mean()


@pytest.mark.parametrize("weight", [AUXILIARY_WEIGHT, 1.0])
def test_the_losses_of_the_heads_are_added_with_their_weight(key, weight):
    objective = auxiliary_classification(HEADS, weight)
    loss, (buffers, info) = objective((), "kept", (None, LABELS), key)
    main, *others = map(cross_entropy, LOGITS)
    np.testing.assert_allclose(loss, main + weight * sum(others), rtol=1e-5)
    np.testing.assert_allclose(info["cross_entropy"], main, rtol=1e-5)
    assert info["accuracy"] == (LOGITS[0].argmax(1) == LABELS).mean()
    assert buffers == "kept"


def test_a_model_without_heads_and_labels_of_one_hot_are_refused(key):
    plain = Model(None, lambda v, x, **_: (LOGITS[0], ()))
    with pytest.raises(TypeError, match="auxiliary=True"):
        auxiliary_classification(plain)((), (), (None, LABELS), key)
    with pytest.raises(ValueError, match="argmax"):
        auxiliary_classification(HEADS)((), (), (None, jnp.eye(4)[:, :3]), key)
