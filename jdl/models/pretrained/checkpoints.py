"""The names that `load` knows: for each an architecture, a key map and the preprocessing.

A name with `on_hub` is a repository of the Hugging Face hub; `torchvision/...` and `keras/...` are
weights that their libraries publish elsewhere, and need a path. What the numbers of a checkpoint
assume and its names do not show is in its row:

    epsilon and momentum of BatchNorm     torchvision, timm 1e-5, 0.1 (here 0.9)
                                          Keras ResNet, DenseNet 1.001e-5, 0.99
                                          MobileNet, Inception, Xception, EfficientNet 1e-3, 0.99
    padding where a convolution strides   symmetric in PyTorch; TensorFlow's "SAME" in Keras, HF's
                                          MobileNet and EfficientNet, timm's tf_*
    the stride of a bottleneck            in its 3x3; Keras in its first 1x1
    1001 classes                          HF's MobileNets: class 0 is the background
    epsilon of a ViT's LayerNorm          timm, torchvision 1e-6, HF 1e-12

Rows of texts name the files of their tokenizers, which `load` fetches, and
`jdl.text.read_tokenizer` reads. GPT's own pairs are of characters, and have tokenizer.json alone.

Source of the settings: timm 1.0.31 (registry), torchvision 0.29.1 (weights' transforms), Keras
3.15.1 (applications), the preprocessor_config.json of HF's repositories for theirs. No weights were
downloaded to test them: the maps are tested on networks that those libraries make, of random
weights. Those of timm and torchvision were compared once with their own classes (logits of single
precision within 4e-5 for BiT, 2e-6 for all others), and are tested on modules of the same names.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import nnx

from jdl.core import Model
from jdl.models.convnets.alexnet import ALEXNETS
from jdl.models.convnets.bit import BITS
from jdl.models.convnets.densenet import DENSENETS
from jdl.models.convnets.efficientnet import EFFICIENTNETS
from jdl.models.convnets.googlenet import GOOGLENETS
from jdl.models.convnets.inception_v3 import inception_v3
from jdl.models.convnets.inception_v4 import inception_v4
from jdl.models.convnets.mobilenet import MOBILENETS
from jdl.models.convnets.preact_resnet import KERAS_NORM, PREACT_RESNETS
from jdl.models.convnets.resnet import RESNETS
from jdl.models.convnets.vgg import VGGS
from jdl.models.convnets.xception import xception
from jdl.models.multimodal.captioner import captioner
from jdl.models.multimodal.clip import CLIPS
from jdl.models.pretrained.key_map import KeyMap
from jdl.models.pretrained.maps import (
    bert,
    densenet,
    efficientnet,
    gpt,
    inception,
    mobilenet,
    preact_resnet,
    resnet,
    vgg,
    vit,
)
from jdl.models.pretrained.maps.captioner import CAPTIONER_HF
from jdl.models.pretrained.maps.clip import CLIP_HF
from jdl.models.pretrained.maps.t5 import T5_HF
from jdl.models.pretrained.maps.xception import XCEPTION_KERAS, XCEPTION_TIMM
from jdl.models.pretrained.maps.xlnet import XLNET_HF
from jdl.models.pretrained.preprocessing import Preprocessing, cropped
from jdl.models.transformers.bert import SIZES as BERTS
from jdl.models.transformers.gpt2 import SIZES as GPTS
from jdl.models.transformers.hybrid_vit import HYBRID_VITS
from jdl.models.transformers.t5 import SIZES as T5S
from jdl.models.transformers.vit import VITS, ViTConfig
from jdl.models.transformers.xlnet import SIZES as XLNETS
from jdl.nn.residual import BATCH_NORM

INCEPTION = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
CAFFE = Preprocessing(
    resize=None, mean=(103.939, 116.779, 123.68), std=(1.0,) * 3, channels="BGR", scale=255.0
)
TORCH_EVALUATION = Preprocessing()
KERAS_RESNET = {
    "stride_first": True,
    "conv": functools.partial(nnx.Conv, use_bias=True),
    "norm": KERAS_NORM,
}
PYTORCH = {"padding": "symmetric", "norm": BATCH_NORM}


class Checkpoint(NamedTuple):
    """What is known of published weights.

    Attributes:
        make: the factory with the settings that these weights assume.
        key_map: from their names to ours.
        preprocessing: of the images they were evaluated on; None for text.
        on_hub: whether the name is a repository of the Hugging Face hub.
        tokenizer: names of the files that make tokens of a text.
    """

    make: Callable[..., Model]
    key_map: KeyMap
    preprocessing: Preprocessing | None
    on_hub: bool = True
    tokenizer: tuple[str, ...] = ()


def _resnets():
    for size in (18, 34, 50, 101, 152):
        make = RESNETS[f"resnet{size}"]
        yield (
            f"timm/resnet{size}.a1_in1k",
            Checkpoint(make, resnet.RESNET_TORCH, cropped(288, 0.95, interpolation="bicubic")),
        )
        original = Checkpoint(make, resnet.RESNET_TORCH, TORCH_EVALUATION)
        yield f"timm/resnet{size}.tv_in1k", original
        yield f"torchvision/resnet{size}", original._replace(on_hub=False)
        # ConvNextImageProcessor with crop_pct 0.875 and bicubic resampling
        hub = cropped(224, 0.875, interpolation="bicubic")
        yield f"microsoft/resnet-{size}", Checkpoint(make, resnet.RESNET_HF, hub)
    for size in (50, 101, 152):
        make = functools.partial(RESNETS[f"resnet{size}"], **KERAS_RESNET)
        yield f"keras/resnet{size}", Checkpoint(make, resnet.RESNET_KERAS, CAFFE, on_hub=False)


def _vggs():
    for name in ("vgg11", "vgg13", "vgg16", "vgg19"):
        for form in (name, f"{name}_bn"):
            yield (
                f"timm/{form}.tv_in1k",
                Checkpoint(VGGS[form], vgg.VGG_TIMM, TORCH_EVALUATION),
            )
            yield (
                f"torchvision/{form}",
                Checkpoint(VGGS[form], vgg.VGG_TORCHVISION, TORCH_EVALUATION, on_hub=False),
            )
    for name in ("vgg16", "vgg19"):
        yield f"keras/{name}", Checkpoint(VGGS[name], vgg.VGG_KERAS, CAFFE, on_hub=False)


def _plain():
    """Names that differ in nothing but themselves."""
    yield (
        "torchvision/alexnet",
        Checkpoint(ALEXNETS["alexnet"], vgg.ALEXNET_TORCHVISION, TORCH_EVALUATION, on_hub=False),
    )
    for size in (121, 161, 169, 201):
        make = DENSENETS[f"densenet{size}"]
        images = cropped(224, 0.875, interpolation="bicubic")
        timm = Checkpoint(make, densenet.DENSENET_TORCH, images)
        yield f"timm/densenet{size}.tv_in1k", timm
        theirs = timm._replace(preprocessing=TORCH_EVALUATION, on_hub=False)
        yield f"torchvision/densenet{size}", theirs
        if size != 161:
            make = functools.partial(make, norm=KERAS_NORM)
            images = Preprocessing(resize=None)
            theirs = Checkpoint(make, densenet.DENSENET_KERAS, images, on_hub=False)
            yield f"keras/densenet{size}", theirs
    images = cropped(288, 0.95, interpolation="bicubic")
    yield (
        "timm/densenet121.ra_in1k",
        Checkpoint(DENSENETS["densenet121"], densenet.DENSENET_TORCH, images),
    )


def _inceptions():
    bicubic = {"interpolation": "bicubic", **INCEPTION}
    large, squashed = cropped(299, 0.875, **bicubic), Preprocessing(299, None, **INCEPTION)
    for tag in ("tv_in1k", "tf_in1k"):  # timm's means count zeros at the borders with both
        theirs = Checkpoint(inception_v3, inception.INCEPTION_V3_TORCH, large)
        yield f"timm/inception_v3.{tag}", theirs
    # torchvision's module turns ImageNet's statistics into these by itself (transform_input).
    images = Preprocessing(299, 342, **INCEPTION)
    theirs = Checkpoint(inception_v3, inception.INCEPTION_V3_TORCH, images, on_hub=False)
    yield "torchvision/inception_v3", theirs
    images = Preprocessing(**INCEPTION)
    theirs = Checkpoint(
        GOOGLENETS["googlenet"], inception.GOOGLENET_TORCHVISION, images, on_hub=False
    )
    yield "torchvision/googlenet", theirs
    norm = functools.partial(nnx.BatchNorm, momentum=0.99, epsilon=1e-3, use_scale=False)
    make = functools.partial(inception_v3, count_padding=False, norm=norm)
    theirs = Checkpoint(make, inception.INCEPTION_V3_KERAS, squashed, on_hub=False)
    yield "keras/inception_v3", theirs
    yield "timm/inception_v4.tf_in1k", Checkpoint(inception_v4, inception.INCEPTION_V4_TIMM, large)
    make = functools.partial(xception, **PYTORCH)
    images = cropped(299, 0.8975, **bicubic)
    yield "timm/legacy_xception.tf_in1k", Checkpoint(make, XCEPTION_TIMM, images)
    yield "keras/xception", Checkpoint(xception, XCEPTION_KERAS, squashed, on_hub=False)


def _preact_resnets():
    squashed = Preprocessing(resize=None, **INCEPTION)
    for size in (50, 101, 152):
        make = PREACT_RESNETS[f"resnet{size}v2"]
        theirs = Checkpoint(make, preact_resnet.RESNETV2_KERAS, squashed, on_hub=False)
        yield f"keras/resnet{size}v2", theirs
    images = cropped(288, 1.0, interpolation="bicubic", **INCEPTION)
    timm = Checkpoint(PREACT_RESNETS["resnetv2_50"], preact_resnet.RESNETV2_TIMM, images)
    yield "timm/resnetv2_50.a1h_in1k", timm
    for form in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4"):
        images = cropped(480 if form == "152x4" else 448, 1.0, **INCEPTION)
        name = f"resnetv2_{form}_bit"
        theirs = Checkpoint(BITS[name], preact_resnet.BIT_TIMM, images)
        yield f"timm/{name}.goog_in21k_ft_in1k", theirs
    # BitImageProcessor of the repository: squashed to 448, bilinear
    images = Preprocessing(448, None, **INCEPTION)
    theirs = Checkpoint(BITS["resnetv2_50x1_bit"], preact_resnet.BIT_HF, images)
    yield "google/bit-50", theirs


def _mobilenets():
    first, second = MOBILENETS["mobilenet_v1_100"], MOBILENETS["mobilenet_v2_100"]
    bicubic = {"interpolation": "bicubic"}
    images = cropped(256, 0.95, **bicubic, **INCEPTION)
    timm = functools.partial(first, activation=jax.nn.relu6, **PYTORCH)
    yield (
        "timm/mobilenetv1_100.ra4_e3600_r224_in1k",
        Checkpoint(timm, mobilenet.MOBILENET_V1_TIMM, images),
    )
    symmetric = functools.partial(second, **PYTORCH)
    yield (
        "timm/mobilenetv2_100.ra_in1k",
        Checkpoint(symmetric, mobilenet.MOBILENET_V2_TIMM, cropped(224, 0.875, **bicubic)),
    )
    yield (
        "torchvision/mobilenet_v2",
        Checkpoint(symmetric, mobilenet.MOBILENET_V2_TORCHVISION, TORCH_EVALUATION, on_hub=False),
    )
    # MobileNetV1ImageProcessor: 256, 224, bilinear
    images = Preprocessing(**INCEPTION)
    hf = functools.partial(first, num_classes=1001)
    yield "google/mobilenet_v1_1.0_224", Checkpoint(hf, mobilenet.MOBILENET_V1_HF, images)
    hf = functools.partial(second, num_classes=1001)
    yield "google/mobilenet_v2_1.0_224", Checkpoint(hf, mobilenet.MOBILENET_V2_HF, images)
    squashed = Preprocessing(resize=None, **INCEPTION)
    for name, key_map in (("v1", "MOBILENET_V1_KERAS"), ("v2", "MOBILENET_V2_KERAS")):
        for form, make in MOBILENETS.items():
            if form.startswith(f"mobilenet_{name}"):
                found = Checkpoint(make, getattr(mobilenet, key_map), squashed, on_hub=False)
                yield f"keras/{form}", found


# Size of the images, the shorter side that torchvision resizes to, crop_pct of timm's tf_*.
EFFICIENTNET_IMAGES = (
    ((224, 256), (224, 0.875)),
    ((240, 256), (240, 0.882)),
    ((288, 288), (260, 0.890)),
    ((300, 320), (300, 0.904)),
    ((380, 384), (380, 0.922)),
    ((456, 456), (456, 0.934)),
    ((528, 528), (528, 0.942)),
    ((600, 600), (600, 0.949)),
)


def _efficientnets():
    bicubic = {"interpolation": "bicubic"}
    for size, (torchvision, timm) in enumerate(EFFICIENTNET_IMAGES):
        name = f"efficientnet_b{size}"
        make = EFFICIENTNETS[name]
        symmetric = functools.partial(
            make, padding="symmetric", **({"norm": BATCH_NORM} if size < 5 else {})
        )
        images = Preprocessing(*torchvision, **bicubic)
        yield (
            f"torchvision/{name}",
            Checkpoint(symmetric, efficientnet.EFFICIENTNET_TORCHVISION, images, on_hub=False),
        )
        for tag, statistics in (("ns_jft_in1k", {}), ("ap_in1k", INCEPTION)):
            images = cropped(*timm, **bicubic, **statistics)
            yield (
                f"timm/tf_{name}.{tag}",
                Checkpoint(make, efficientnet.EFFICIENTNET_TIMM, images),
            )
        squashed = Preprocessing(timm[0], None, **bicubic)
        yield (
            f"keras/{name}",
            Checkpoint(make, efficientnet.EFFICIENTNET_KERAS, squashed, on_hub=False),
        )
    symmetric = functools.partial(
        EFFICIENTNETS["efficientnet_b0"], padding="symmetric", norm=BATCH_NORM
    )
    yield (
        "timm/efficientnet_b0.ra_in1k",
        Checkpoint(symmetric, efficientnet.EFFICIENTNET_TIMM, cropped(224, 0.875, **bicubic)),
    )
    yield (
        "timm/tf_efficientnet_l2.ns_jft_in1k",
        Checkpoint(
            EFFICIENTNETS["efficientnet_l2"],
            efficientnet.EFFICIENTNET_TIMM,
            cropped(800, 0.96, **bicubic),
        ),
    )
    yield (
        "google/efficientnet-b7",
        Checkpoint(EFFICIENTNETS["efficientnet_b7"], efficientnet.EFFICIENTNET_HF, squashed),
    )


TIMM_VITS = (
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224.orig_in21k_ft_in1k",
    "vit_base_patch16_384.augreg_in21k_ft_in1k",
    "vit_base_patch16_384.orig_in21k_ft_in1k",
    "vit_base_patch32_224.augreg_in21k_ft_in1k",
    "vit_base_patch32_384.augreg_in21k_ft_in1k",
    "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "vit_large_patch16_384.augreg_in21k_ft_in1k",
    "vit_large_patch32_384.orig_in21k_ft_in1k",
    "vit_huge_patch14_224.orig_in21k",
)
TIMM_HYBRID_VITS = (
    "vit_base_r50_s16_384.orig_in21k_ft_in1k",
    "vit_large_r50_s32_224.augreg_in21k_ft_in1k",
    "vit_large_r50_s32_384.augreg_in21k_ft_in1k",
)


def _vits():
    bicubic = {"interpolation": "bicubic", **INCEPTION}
    tables = ((TIMM_VITS, VITS, vit.VIT_TIMM), (TIMM_HYBRID_VITS, HYBRID_VITS, vit.HYBRID_VIT_TIMM))
    for names, makers, key_map in tables:
        for name in names:
            form, _, tag = name.partition(".")
            body = {} if "ft" in tag else {"num_classes": None}
            images = cropped(384, 1.0, **bicubic) if "384" in form else cropped(224, 0.9, **bicubic)
            make = functools.partial(makers[form], **body)
            yield f"timm/{name}", Checkpoint(make, key_map, images)
    for form, resize in (("b_16", 256), ("b_32", 256), ("l_16", 242), ("l_32", 256)):
        size = {"b": "base", "l": "large"}[form[0]]
        make = VITS[f"vit_{size}_patch{form[2:]}_224"]
        images = Preprocessing(224, resize)
        theirs = Checkpoint(make, vit.VIT_TORCHVISION, images, on_hub=False)
        yield f"torchvision/vit_{form}", theirs
    # ViTImageProcessor: squashed to 224, bilinear
    images = Preprocessing(224, None, **INCEPTION)
    base = functools.partial(VITS["vit_base_patch16_224"], epsilon=1e-12)
    body = functools.partial(base, num_classes=None, pooler=True)
    yield "google/vit-base-patch16-224", Checkpoint(base, vit.VIT_HF, images)
    yield "google/vit-base-patch16-224-in21k", Checkpoint(body, vit.VIT_HF, images)


WORD_PIECES = ("tokenizer.json", "vocab.txt")
BYTE_PAIRS = ("tokenizer.json", "vocab.json", "merges.txt")


def _texts():
    berts = tuple(
        f"bert-{size}-{case}" for size in ("base", "large") for case in ("uncased", "cased")
    )
    gpts = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
    sentences = ("tokenizer.json", "spiece.model")
    makers = {**BERTS, **GPTS, **T5S, **XLNETS}
    for owner, names, key_map, tokenizer in (
        ("google-bert", berts, bert.BERT_HF, WORD_PIECES),
        ("FacebookAI", ("roberta-base", "roberta-large"), bert.ROBERTA_HF, BYTE_PAIRS),
        ("distilbert", ("distilbert-base-uncased",), bert.DISTILBERT_HF, WORD_PIECES),
        ("distilbert", ("distilgpt2",), gpt.GPT2_HF, BYTE_PAIRS),
        ("openai-community", gpts, gpt.GPT2_HF, BYTE_PAIRS),
        ("openai-community", ("openai-gpt",), gpt.GPT_HF, BYTE_PAIRS[:1]),
        ("xlnet", tuple(XLNETS), XLNET_HF, sentences),
        ("google-t5", tuple(T5S), T5_HF, sentences),
    ):
        for name in names:
            yield f"{owner}/{name}", Checkpoint(makers[name], key_map, None, tokenizer=tokenizer)


def _multimodal():
    # CLIPImageProcessor
    clips = {
        "interpolation": "bicubic",
        "mean": (0.48145466, 0.4578275, 0.40821073),
        "std": (0.26862954, 0.26130258, 0.27577711),
    }
    for name, make in CLIPS.items():
        size = 336 if name.endswith("336") else 224
        row = Checkpoint(make, CLIP_HF, Preprocessing(size, size, **clips))
        yield f"openai/{name}", row._replace(tokenizer=BYTE_PAIRS[:1])
    make = functools.partial(captioner, encoder=ViTConfig(num_classes=None, epsilon=1e-12))
    images = Preprocessing(224, None, **INCEPTION)
    yield (
        "nlpconnect/vit-gpt2-image-captioning",
        Checkpoint(make, CAPTIONER_HF, images, tokenizer=BYTE_PAIRS),
    )


FAMILIES = (
    _resnets,
    _vggs,
    _plain,
    _inceptions,
    _preact_resnets,
    _mobilenets,
    _efficientnets,
    _vits,
    _texts,
    _multimodal,
)
PRETRAINED: dict[str, Checkpoint] = {name: row for family in FAMILIES for name, row in family()}
