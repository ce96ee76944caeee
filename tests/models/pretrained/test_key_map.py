"""Tables of names: what they give, that they are whole, and what is said when a file differs."""

import importlib
import pkgutil
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.models.convnets.alexnet import alexnet
from jdl.models.convnets.bit import bit
from jdl.models.convnets.densenet import densenet
from jdl.models.convnets.efficientnet import STAGES as EFFICIENTNET_STAGES
from jdl.models.convnets.efficientnet import efficientnet
from jdl.models.convnets.googlenet import googlenet
from jdl.models.convnets.inception_v3 import inception_v3
from jdl.models.convnets.inception_v4 import inception_v4
from jdl.models.convnets.mobilenet import V1_STAGES, V2_STAGES, mobilenet_v1, mobilenet_v2
from jdl.models.convnets.preact_resnet import preact_resnet
from jdl.models.convnets.resnet import resnet
from jdl.models.convnets.vgg import vgg
from jdl.models.convnets.xception import xception
from jdl.models.multimodal.captioner import captioner
from jdl.models.multimodal.clip import clip
from jdl.models.pretrained import PRETRAINED, maps
from jdl.models.pretrained.key_map import (
    CONV,
    KERAS_DEPTHWISE,
    LINEAR,
    TORCH,
    KeyMap,
    convert,
    entries,
    exported,
    flattened,
    part,
    paths_of,
)
from jdl.models.pretrained.maps.resnet import RESNET_HF, RESNET_TORCH
from jdl.models.pretrained.readers import in_memory
from jdl.models.transformers import bert_heads
from jdl.models.transformers.bert import bert
from jdl.models.transformers.gpt2 import gpt2
from jdl.models.transformers.hybrid_vit import hybrid_vit
from jdl.models.transformers.t5 import t5
from jdl.models.transformers.vit import ViTConfig, vit
from jdl.models.transformers.xlnet import xlnet
from jdl.nn.residual import BATCH_NORM

LIBRARIES = ("TIMM", "TORCHVISION", "HF", "KERAS")
TABLE = KeyMap(
    TORCH, (("fc{i+1}", "layers.{i}"), ("out", "head")), head=(("out.*",), "head"), prefix="body."
)
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.iter_modules(maps.__path__, maps.__name__ + ".")
]
KEY_MAPS = {
    name: m for module in MODULES for name, m in vars(module).items() if isinstance(m, KeyMap)
}

RESNET = partial(resnet, (1, 2), widths=(2, 3))
VGG = partial(vgg, ((3,), (3, 3)), (2, 3), hidden_dim=4, grid=2)
VGG_BN = partial(VGG, norm=BATCH_NORM)
EFFICIENTNET = partial(efficientnet, 0.25, stages=EFFICIENTNET_STAGES[:2])
V1, V2 = (
    partial(mobilenet_v1, 0.25, stages=V1_STAGES[:2]),
    partial(mobilenet_v2, stages=V2_STAGES[:2]),
)
DENSENET = partial(densenet, (1, 2), 2)
PREACT = partial(preact_resnet, (1, 2), widths=(2, 3))
UNSCALED = partial(nnx.BatchNorm, use_scale=False)
BERT = partial(bert, 5, 4, 6, 2, 2)
GPT = partial(gpt2, 5, 4, 6, 2, 2)
INCEPTION_V3 = partial(inception_v3, (32,), (128,), 1, width=0.05)
VIT = partial(vit, 4, 4, 2, 2, image_size=8, pooler=True, num_classes=2)
HYBRID_VIT = partial(hybrid_vit, (1, 1), 4, 1, 2, widths=(32, 32), image_size=16, num_classes=2)
CLIP = partial(
    clip,
    *(4, 4, 1, 2),
    image_size=8,
    vocab_size=7,
    context=4,
    text_hidden_dim=4,
    text_num_layers=1,
    text_num_heads=2,
    embedding_dim=3,
)
CAPTIONER = partial(captioner, 7, 4, 4, 1, 2, encoder=ViTConfig(4, 4, 1, 2, image_size=8))
SMALL = {
    **{"CLIP_HF": CLIP, "CAPTIONER_HF": CAPTIONER},
    **{"VIT_TIMM": partial(VIT, pooler=False), "VIT_TORCHVISION": partial(VIT, pooler=False)},
    **{"VIT_HF": VIT, "HYBRID_VIT_TIMM": HYBRID_VIT},
    **dict.fromkeys(["RESNET_TORCH", "RESNET_HF", "RESNET_KERAS"], RESNET),
    **{"VGG_TORCHVISION": VGG_BN, "VGG_TIMM": VGG, "VGG_KERAS": VGG},
    "ALEXNET_TORCHVISION": partial(alexnet, (2, 2, 2, 2, 3), hidden_dim=4, grid=2),
    **dict.fromkeys([f"EFFICIENTNET_{n}" for n in LIBRARIES], EFFICIENTNET),
    **dict.fromkeys(["MOBILENET_V1_TIMM", "MOBILENET_V1_HF", "MOBILENET_V1_KERAS"], V1),
    **dict.fromkeys([f"MOBILENET_V2_{n}" for n in LIBRARIES], V2),
    **dict.fromkeys(["DENSENET_TORCH", "DENSENET_KERAS"], DENSENET),
    **dict.fromkeys(["BIT_TIMM", "BIT_HF"], partial(bit, (1, 2), widths=(32, 32))),
    **dict.fromkeys(["RESNETV2_TIMM", "RESNETV2_KERAS"], PREACT),
    **dict.fromkeys(["XCEPTION_TIMM", "XCEPTION_KERAS"], partial(xception, 1)),
    "GOOGLENET_TORCHVISION": partial(googlenet, num_classes=2),
    "INCEPTION_V3_TORCH": partial(INCEPTION_V3, auxiliary=True),
    "INCEPTION_V3_KERAS": partial(INCEPTION_V3, norm=UNSCALED),
    "INCEPTION_V4_TIMM": partial(inception_v4, 1, 1, 1, width=0.05),
    **{"BERT_HF": BERT, "ROBERTA_HF": partial(BERT, num_segments=1, pad_token=1)},
    "DISTILBERT_HF": partial(BERT, num_segments=0, pooler=False),
    **{"GPT2_HF": GPT, "GPT_HF": partial(GPT, norm_placement="post")},
    **{"T5_HF": partial(t5, 5, 4, 2, 2, head_dim=3), "XLNET_HF": partial(xlnet, 5, 4, 2, 2)},
}


def shapes_of(model):
    return paths_of(jax.eval_shape(model.init, jax.random.key(0)))


def small():
    return resnet((1, 1), widths=(2, 3), num_classes=4)


@pytest.fixture(scope="module")
def variables():
    drawn = iter(np.random.default_rng(0).normal(size=10_000).astype(np.float32))
    like = jax.eval_shape(small().init, jax.random.key(0))
    return jax.tree.map(lambda x: np.fromiter(drawn, np.float32, x.size).reshape(x.shape), like)


def same(one, other):
    return jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), one, other))


def test_numbers_of_a_path_are_repeated_and_counted_up():
    found = entries(TABLE, {"layers.0.bias": np.ones(2), "layers.11.kernel": np.ones([2, 3])})
    assert [entry.theirs for entry in found] == [("fc1.bias",), ("fc12.weight",)]
    assert found[1].layout.read(np.ones([3, 2])).shape == (2, 3)


def check_whole(make, key_map):
    """One source of its own for every array, in a layout that goes back and forth."""
    shapes = shapes_of(make())
    found = entries(key_map, shapes)
    assert [entry.ours for entry in found] == list(shapes)
    keys = [(key, entry.layout.place) for entry in found for key in entry.theirs]
    assert len(set(keys)) == len(keys)
    for entry in found:
        theirs = entry.layout.write(np.broadcast_to(np.float32(0), shapes[entry.ours].shape))
        if entry.layout.place is not None:
            _, parts, axis = entry.layout.place
            theirs = np.concatenate([theirs] * parts, axis)
        assert entry.layout.read(theirs).shape == shapes[entry.ours].shape


@pytest.mark.parametrize("name", SMALL)
def test_every_array_of_a_small_network_has_one_source_of_its_own(name):
    check_whole(SMALL[name], KEY_MAPS[name])


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("BERT_HF", bert_heads.pretraining()),
        ("BERT_HF", bert_heads.classifier(3)),
        ("BERT_HF", bert_heads.multiple_choice()),
        ("BERT_HF", bert_heads.span()),
        ("ROBERTA_HF", bert_heads.masked_words()),
        ("ROBERTA_HF", bert_heads.first_token(3)),
        ("DISTILBERT_HF", bert_heads.masked_words()),
        ("DISTILBERT_HF", bert_heads.first_token(3)),
    ],
)
def test_every_array_of_a_head_of_text_has_a_source(name, head):
    check_whole(partial(SMALL[name], head=head), KEY_MAPS[name])


def test_an_older_file_of_bert_is_read_and_its_tied_decoder_left():
    model = BERT(head=bert_heads.pretraining())
    like = jax.eval_shape(model.init, jax.random.key(0))
    variables = jax.tree.map(lambda x: np.full(x.shape, x.size, np.float32), like)
    key_map = KEY_MAPS["BERT_HF"]
    arrays = exported(variables, key_map)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): x
        for name, x in arrays.items()
    }
    old["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"]
    assert any(name.endswith("gamma") for name in old)
    assert same(convert(in_memory(old), key_map, like), variables)
    # A fine-tuned network begins with the body, whatever heads the file has.
    fresh = BERT(head=bert_heads.classifier(3)).init(jax.random.key(1))
    tuned = convert(in_memory(old), key_map, fresh, without_head=True)
    assert same(tuned.params["blocks"], variables.params["blocks"])
    assert same(tuned.params["head"], fresh.params["head"])


FIRST = {id(row.key_map): name for name, row in reversed(PRETRAINED.items())}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIRST.values())
def test_every_array_of_a_published_network_has_one_source_of_its_own(name):
    check_whole(PRETRAINED[name].make, PRETRAINED[name].key_map)


def test_every_key_map_has_a_small_network():
    assert KEY_MAPS.keys() == SMALL.keys()


def test_every_key_map_is_used_by_a_published_name():
    used = [checkpoint.key_map for checkpoint in PRETRAINED.values()]
    assert [name for name, key_map in KEY_MAPS.items() if key_map not in used] == []


def test_layouts_move_axes_as_they_say():
    weight = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    assert CONV.read(weight)[4, 6, 2, 1] == weight[1, 2, 4, 6]
    depthwise = np.arange(3 * 3 * 4).reshape(3, 3, 4, 1)
    assert KERAS_DEPTHWISE.read(depthwise)[1, 2, 0, 3] == depthwise[1, 2, 3, 0]
    fused = np.arange(12).reshape(6, 2)
    np.testing.assert_array_equal(part(1, 3).read(fused), fused[2:4])


def test_a_dense_layer_after_a_flattening_sees_the_same_maps():
    maps, weight = np.random.default_rng(0).normal(size=[2, 3, 4, 5]), np.ones([6, 60])
    weight = np.random.default_rng(1).normal(size=[6, 60])
    expected = maps.reshape(2, 60) @ weight.T
    last = maps.transpose(0, 2, 3, 1).reshape(2, 60)
    for layout, theirs in [
        (flattened(3, 4, 5), weight),
        (flattened(3, 4, 5, as_conv=True), weight.reshape(6, 3, 4, 5)),
    ]:
        kernel = layout.read(theirs)
        np.testing.assert_allclose(last @ kernel, expected)
        np.testing.assert_array_equal(layout.write(kernel), theirs)


def test_what_is_exported_comes_back(variables):
    arrays = exported(variables, RESNET_TORCH)
    assert arrays["layer2.0.conv2.weight"].shape == (3, 3, 3, 3)
    arrays["bn1.num_batches_tracked"] = np.int64(3)
    like = jax.eval_shape(lambda: variables)
    assert same(convert(in_memory(arrays), RESNET_TORCH, like), variables)


def test_parts_of_one_array_of_theirs_are_joined_again():
    rows = [("qkv", name, part(i, 3, LINEAR)) for i, name in enumerate("qkv")]
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=[4, 2]).astype(np.float32) for name in "vkq"}
    table = KeyMap(TORCH, tuple(rows), head=((), "head"))
    arrays = exported(Variables(params), table)
    expected = np.concatenate([params[name].T for name in "qkv"])
    np.testing.assert_array_equal(arrays["qkv"], expected)
    assert same(convert(in_memory(arrays), table, Variables(params)), Variables(params))


def test_a_body_saved_without_its_prefix_is_read(variables):
    key_map = RESNET_HF
    arrays = exported(variables, key_map)
    body = {
        name.removeprefix("resnet."): x for name, x in arrays.items() if name.startswith("resnet.")
    }
    headless = Variables({k: v for k, v in variables.params.items() if k != "head"}, variables[1])
    assert same(convert(in_memory(body), key_map, headless), headless)
    assert same(convert(in_memory(arrays), key_map, headless), headless)


def test_all_that_is_wrong_with_the_names_is_said_at_once(variables):
    arrays = exported(variables, RESNET_TORCH)
    arrays["bn1.wieght"] = arrays.pop("bn1.weight")
    del arrays["layer1.0.bn2.running_var"]
    arrays["aux.bias"] = np.ones(1)
    with pytest.raises(ValueError) as error:
        convert(in_memory(arrays, "the file"), RESNET_TORCH, variables)
    for said in (
        "the file lacks bn1.weight for norm1.scale (nearest: bn1.wieght)",
        "layer1.0.bn2.running_var for stages.0.0.norms.1.var",
        "no place for: ",
        "aux.bias",
    ):
        assert said in str(error.value)


def test_all_arrays_of_another_shape_are_said_at_once(variables):
    arrays = exported(variables, RESNET_TORCH)
    arrays["fc.weight"], arrays["fc.bias"] = np.ones([9, 12]), np.ones(9)
    arrays["conv1.weight"] = np.ones([2, 3])
    with pytest.raises(ValueError) as error:
        convert(in_memory(arrays), RESNET_TORCH, variables)
    for said in (
        "fc.weight (9, 12) for head.linear.kernel (12, 4)",
        "fc.bias (9,) for head.linear.bias (4,)",
        "conv1.weight (2, 3) for conv1.kernel (7, 7, 3, 2)",
        "give num_classes and head_key",
    ):
        assert said in str(error.value)


def test_a_map_of_another_architecture_is_told_by_its_paths():
    with pytest.raises(ValueError, match=re.escape("no row for dense.kernel")):
        entries(TABLE, {"dense.kernel": np.ones([2, 3])})


def test_dtypes_are_those_of_the_model(variables):
    arrays = exported(variables, RESNET_TORCH)
    half = small_in(jnp.bfloat16)
    found = convert(in_memory(arrays), RESNET_TORCH, half)
    assert jax.tree.map(lambda x: x.dtype, found) == jax.tree.map(lambda x: x.dtype, half)


def small_in(dtype):
    model = resnet((1, 1), widths=(2, 3), num_classes=4, param_dtype=dtype)
    return jax.eval_shape(model.init, jax.random.key(0))
