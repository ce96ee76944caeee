"""The steps written by hand in the benchmark are those of the library."""

import jax
import numpy as np
import pytest

from benchmarks import convnets, steps
from jdl.models.convnets.resnet import resnet
from jdl.train import classification
from tests.conformance.case import quick


@pytest.mark.parametrize("name", ["mlp", "lenet5", pytest.param("gpt2", marks=pytest.mark.slow)])
def test_a_step_by_hand_loses_what_the_librarys_loses(name):
    with jax.numpy_rank_promotion("allow"):
        thunks = steps.twins(name)
    ours = steps.losses(thunks["jdl"])
    with jax.numpy_rank_promotion("allow"):
        by_hand = steps.losses(thunks["hand"])
    np.testing.assert_allclose(ours, by_hand, rtol=1e-4)
    assert len(set(ours)) == steps.CHECKED  # the params moved


def test_the_residual_network_by_hand_is_that_of_the_library():
    model = resnet((1, 1), bottleneck=False, widths=(4, 8), small_images=True, num_classes=10)
    params, buffers = model.init(jax.random.key(0))
    batch = convnets.labelled(3, [8, 8, 3])
    objective = classification(model)

    def ours(params):
        loss, (seen, _) = objective(params, buffers, batch, jax.random.key(0))
        return loss, seen

    def by_hand(params):
        return convnets.resnet_loss(params, buffers, batch)

    with jax.numpy_rank_promotion("allow"):
        found, expected = (
            quick(jax.value_and_grad(loss, has_aux=True))(params) for loss in (ours, by_hand)
        )
    leaves, wanted = jax.tree.leaves(found), jax.tree.leaves(expected)
    for one, other in zip(leaves, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
