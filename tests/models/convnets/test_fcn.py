"""FCN: published counts, its layers one by one, the auxiliary head, any backbone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.convnets.auxiliary import AuxiliaryLogits, auxiliary_classification
from jdl.models.convnets.backbone import with_head
from jdl.models.convnets.densenet import densenet
from jdl.models.convnets.fcn import enlarged, fcn
from jdl.models.convnets.resnet import resnet
from jdl.models.mlp import mlp
from jdl.train.objectives import pixel_classification
from tests.conformance.case import quick
from tests.models.convnets.test_efficientnet import size
from tests.nn.test_convolution import EXACT, normal
from tests.nn.test_residual import SHRUNK

TINY = functools.partial(
    resnet, (1, 1), bottleneck=False, widths=(4, 8), small_images=True, output_stride=1
)


@pytest.mark.slow
def test_fcn_resnet50_has_the_published_counts():
    variables = jax.eval_shape(fcn().init, jax.random.key(0))
    assert size(variables.params) == 32_957_013
    variables = jax.eval_shape(fcn(auxiliary=True).init, jax.random.key(0))
    assert size(variables.params) == 35_322_218


def test_heads_behind_a_resnet50_add_up_to_the_published_counts():
    behind = functools.partial(resnet, (1, 1, 1, 1), output_stride=8)
    variables = jax.eval_shape(fcn(backbone=behind, auxiliary=True).init, jax.random.key(0))
    head, backbone = variables.params["head"], 23_508_032  # that of ResNet-50 without its head
    assert backbone + size(head["main"]) == 32_957_013
    assert backbone + size(head) == 35_322_218


def test_the_network_is_its_layers_one_by_one():
    model = fcn(3, backbone=TINY)
    variables = model.init(jax.random.key(0))
    images = normal(2, 6, 5, 3)

    def by_hand(images):
        own = Variables(variables.params["backbone"], variables.buffers["backbone"])
        maps = TINY(num_classes=None).apply(own, images, method="features")[0][-1]
        p = variables.params["head"]["main"]
        kernel = p["unit"]["conv"]["kernel"]
        assert kernel.shape == (3, 3, 8, 2)
        x = jax.lax.conv_general_dilated(
            maps, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        p_norm = p["unit"]["norm"]
        x = x * SHRUNK * p_norm["scale"][None, None, None] + p_norm["bias"][None, None, None]
        last = p["classifier"]
        return jax.nn.relu(x) @ last["kernel"][0, 0] + last["bias"][None, None, None]

    found, expected = quick(lambda x: (model.apply(variables, x)[0], by_hand(x)))(images)
    np.testing.assert_allclose(found, expected, **EXACT)


def test_logits_have_the_size_of_the_image_behind_any_backbone():
    tiny = functools.partial(densenet, [1, 1], 4, stem_features=4)
    model = fcn(5, backbone=tiny, dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 33, 40, 3], jnp.float32)
    logits, _ = jax.eval_shape(model.apply, variables, images)
    assert logits.shape == (2, 33, 40, 5) and logits.dtype == jnp.bfloat16
    apply = functools.partial(model.apply, method="features")
    assert jax.eval_shape(apply, variables, images)[0][-1].shape == (2, 4, 5, 8)
    with pytest.raises(ValueError, match="method is"):
        model.apply(variables, images, method="classify")


def test_the_auxiliary_head_is_there_in_training_alone_and_its_loss_is_added():
    model = fcn(3, backbone=TINY, auxiliary=True, dropout_rate=0.0)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 4, 4, 3], jnp.float32)
    assert jax.eval_shape(model.apply, variables, images)[0].shape == (2, 4, 4, 3)
    train = functools.partial(model.apply, train=True)
    outputs, _ = jax.eval_shape(train, variables, images, key=jax.random.key(0))
    assert isinstance(outputs, AuxiliaryLogits)
    assert [x.shape for x in outputs.auxiliary] == [(2, 4, 4, 3)]

    logits, others = normal(2, 4, 4, 3), normal(2, 4, 4, 3)
    fixed = model._replace(apply=lambda *_, **__: (AuxiliaryLogits(logits, (others,)), ()))
    labels = np.where(logits[..., 0] > 0, 255, 1)
    batch = images, labels
    objective = auxiliary_classification(fixed, 0.5, objective=pixel_classification)
    loss, (_, info) = objective((), (), batch, None)

    def alone(outputs):
        one = fixed._replace(apply=lambda *_, **__: (outputs, ()))
        return pixel_classification(one)((), (), batch, None)[0]

    np.testing.assert_allclose(loss, alone(logits) + 0.5 * alone(others), rtol=1e-6)
    np.testing.assert_allclose(info["cross_entropy"], alone(logits), rtol=1e-6)


def test_enlarging_keeps_what_is_linear_inside():
    line = np.arange(4.0, dtype=np.float32).reshape(1, 4, 1, 1)
    found = np.asarray(enlarged(line, (8, 1))).ravel()
    np.testing.assert_allclose(found, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], atol=1e-6)


def test_a_model_with_a_head_is_one_after_the_other_and_hears_of_training_by_paths():
    backbone, head = TINY(num_classes=None), mlp([8, 2])
    model = with_head(backbone, head)
    variables = model.init(jax.random.key(0))
    images = normal(2, 4, 4, 3)
    parts = [Variables(*(tree[name] for tree in variables)) for name in ("backbone", "head")]

    def all_three(images):
        seen = backbone.apply(parts[0], images)[0]
        still = model.apply(variables, images, train=lambda path: path.startswith("head"))
        return model.apply(variables, images)[0], head.apply(parts[1], seen)[0], still

    found, expected, (still, buffers) = quick(all_three)(images)
    np.testing.assert_allclose(found, expected, **EXACT)
    np.testing.assert_allclose(still, expected, **EXACT)
    assert jax.tree.all(jax.tree.map(np.array_equal, buffers, variables.buffers))
