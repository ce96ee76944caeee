"""Inception-v3 against published counts, the shapes of table 1, and its head's rules."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jdl.models.convnets.auxiliary import AuxiliaryLogits
from jdl.models.convnets.inception_v3 import inception_v3
from tests.models.convnets.abstract import abstract, count, map_shapes, output

BARE = functools.partial(inception_v3, (), (), 0, width=1 / 32, num_classes=3)
PLAIN = functools.partial(nnx.BatchNorm, epsilon=1e-3, use_scale=False)


def test_counts_and_maps_of_the_published_network():
    model = inception_v3(auxiliary=True)
    head = sum(x.size for x in jax.tree.leaves(abstract(model).params["auxiliary"]))
    assert (count(model), count(model) - head) == (27_161_264, 23_834_568)  # torchvision, timm
    norms = [x.size for path, x in scales(abstract(model)) if path[0].key == "stages"]
    assert sum(norms) == 17_216  # what Keras's 23,817,352 lack
    sizes, maps = [147, 71, 35, 17, 8], [64, 192, 288, 768, 2048]
    expected = [(n, n, c) for n, c in zip(sizes, maps, strict=True)]
    assert map_shapes(model, 299, 299, 3) == expected


def scales(variables):
    """The gammas of the norms, with their paths."""
    leaves = jax.tree.leaves_with_path(variables.params)
    return [(path, x) for path, x in leaves if path[-1].key == "scale"]


def test_norms_without_gamma_as_in_keras():
    with_gamma, without = BARE(), BARE(norm=PLAIN)
    gammas = sum(x.size for _, x in scales(abstract(with_gamma)))
    assert gammas > 0 and count(with_gamma) - count(without) == gammas


def test_training_has_the_logits_of_the_head_and_evaluation_has_not():
    model = BARE(auxiliary=True, dtype=jnp.bfloat16)
    trained = output(model, 299, 320, 3, train=True)
    assert isinstance(trained, AuxiliaryLogits)
    found = [(x.shape, x.dtype) for x in jax.tree.leaves(trained)]
    assert found == [((2, 3), jnp.bfloat16)] * 2
    assert output(model, 75, 75, 3).shape == (2, 3)
    with pytest.raises(ValueError, match="images of 299"):
        output(model, 224, 224, 3, train=True)


def test_heads_need_classes_and_images_room():
    with pytest.raises(ValueError, match="have classes"):
        inception_v3(auxiliary=True, num_classes=None)
    with pytest.raises(ValueError, match="75 rows"):
        output(BARE(), 74, 80, 3)
