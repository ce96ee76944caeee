"""Colour images by a frozen EfficientNet-B0 with five dense layers behind it (004, example 4.4.1).

Data: `data` chooses, "cifar10" as the book has it, or the tiles of the two bundled photographs.
Model: EfficientNet-B0 without its head, and dense layers of 512, 256, 128, 64 and one unit a class
(004 prints that they are five, not their widths). `weights` names a checkpoint of
`jdl.models.pretrained`, whose preprocessing is applied; without one the base is as it was drawn.

    frozen     the features of the base are computed once, of `views` random changes of each image
               (mirrored, shifted), and the dense layers are trained on them
    scratch    base and layers trained together, all params fresh, each step changing its images

Adam with rate 0.001 and eps 1e-7, mini-batches of 100, 50 epochs, a tenth of the rate where the
accuracy of an epoch has not risen for ten. 004's words "freezes the top layers" mean the base.

Result: 004 prints 85.4 % with ImageNet's weights on CIFAR-10, and 73 % from scratch; neither the
weights nor the data can be had here, and `--data cifar10 --weights keras/efficientnet_b0` has not
been run. Of the 130 bundled tiles 91.5 and 96.2 % are told right with a base that has learnt
nothing, seeds 0 and 1, and 98.5 % from scratch in 30 epochs, seed 0: random maps of colours are
enough for a temple and a flower, and less than learnt ones. Cost: 25 s of processor time, and four
minutes more from scratch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jdl import metrics
from jdl.core import Key, Model, Objective, Variables
from jdl.data import LabelledImages, chain, image_set, random_crop, random_flip
from jdl.models.convnets import efficientnet
from jdl.models.convnets.backbone import with_head
from jdl.models.mlp import mlp
from jdl.models.pretrained import Preprocessing, load
from jdl.plot.classification import confusion_heatmap
from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report
from jdl.train import classification, descent, fit, frozen_features, gradient

# Published averages are over a hundred steps, and a whole run from scratch has about as many here.
SHORT_AVERAGES = partial(nnx.BatchNorm, momentum=0.9, epsilon=1e-3)
PIXELS_TO_ONE = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)  # where no checkpoint says otherwise


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    data: str = "photographs"
    """photographs, cifar10 or cifar100."""
    folder: str = "data"
    """Where the files of a set are, each in a folder of its name."""
    download: bool = False
    """Fetch the files that are missing."""
    weights: str = ""
    """A checkpoint of `jdl.models.pretrained`, such as keras/efficientnet_b0."""
    path: str = ""
    """Its file or folder; else it comes from the hub."""
    image_size: int = 32
    """Rows and columns that the base sees."""
    width: float = 1.0
    """Factor of the maps of a base without weights."""
    depth: float = 1.0
    """Factor of its layers."""
    hidden: tuple[int, ...] = (512, 256, 128, 64)
    """Units of the dense layers but the last."""
    ways: tuple[Literal["frozen", "scratch"], ...] = ("frozen",)
    """What is trained and compared; `scratch` too."""
    views: int = 4
    """Random changes of each training image whose features are computed."""
    epochs: int = 50
    """Passes over the features."""
    scratch_epochs: int = 30
    """Passes over the images, from scratch."""
    batch_size: int = 100
    """Images in a step."""
    learning_rate: float = 1e-3
    """Of Adam."""


def run(settings: Settings, key: Key) -> Report:
    """Trains in each way, measures on the test part, draws."""
    train, test = image_set(settings.data, settings.folder, download=settings.download)
    key_base, key_views, *keys = jax.random.split(key, 2 + len(settings.ways))
    base, variables, preprocessing = base_of(settings, key_base)
    prepared = partial(fitted_to, settings.image_size, preprocessing)
    ways = {"frozen": partial(frozen_base, key_views=key_views), "scratch": from_scratch}

    numbers, figures, curves, texts = {"test_images": len(test.labels)}, {}, {}, []
    for way, own in zip(settings.ways, keys, strict=True):
        fitted, logits = ways[way](settings, (base, variables, prepared), train, test, own)
        report = metrics.classification_report(
            jnp.asarray(logits.argmax(-1)), jnp.asarray(test.labels), test.names
        )
        numbers[f"{way}_accuracy"] = float((logits.argmax(-1) == test.labels).mean())
        figures[way] = confusion_heatmap(report.confusion, test.names, way)
        steps = np.arange(1, len(fitted.history["accuracy"]) + 1)
        curves[way] = (steps, fitted.history["accuracy"])
        texts.append(f"{way}\n{report}")
    figures["learning"] = learning_curves({"training accuracy": curves})
    return Report(numbers, figures, "\n".join(texts))


def base_of(settings: Settings, key: Key) -> tuple[Model, Variables, Preprocessing]:
    """EfficientNet without a head: published, or as it is drawn."""
    if settings.weights:
        found = load(settings.weights, settings.path or None, num_classes=None)
        return found.model, found.variables, found.preprocessing
    base = efficientnet(settings.width, settings.depth, num_classes=None, norm=SHORT_AVERAGES)
    return base, jax.jit(base.init)(key), PIXELS_TO_ONE


def fitted_to(size: int, preprocessing: Preprocessing, images: jax.Array) -> jax.Array:
    """Images [B, H, W, 3] in [0, 1] -> as the base takes them, [B, size, size, 3]."""
    images = jax.image.resize(images, (len(images), size, size, 3), "cubic")
    images = images if preprocessing.channels == "RGB" else images[..., ::-1]
    mean, std = (jnp.array(x)[None, None, None] for x in (preprocessing.mean, preprocessing.std))
    return (preprocessing.scale * jnp.clip(images, 0, 1) - mean) / std


def changed(images: jax.Array, key: Key) -> jax.Array:
    """Mirrored or not, and shifted by up to an eighth."""
    rows = images.shape[1]
    crop = partial(random_crop, padding=rows // 8)
    return chain(random_flip, crop)(images, key)


def frozen_base(settings, parts, train: LabelledImages, test, key, key_views):
    """Dense layers on features that are computed once."""
    base, variables, prepared = parts
    see = jax.jit(lambda images: base.apply(variables, prepared(images))[0])
    look = jax.jit(changed)
    views = [np.asarray(look(train.images, k)) for k in jax.random.split(key_views, settings.views)]
    features = np.concatenate([frozen_features(see, view) for view in views])
    labels = np.tile(train.labels, settings.views)
    mean, std = features.mean(0), features.std(0) + 1e-6

    head = mlp([features.shape[1], *settings.hidden, len(train.names)], jax.nn.relu)
    data = (features - mean) / std, labels
    steps = settings.epochs * max(1, len(train.labels) // settings.batch_size)
    fitted = trained(settings, head, classification(head), data, steps, key)
    seen = (frozen_features(see, test.images) - mean) / std
    return fitted, np.asarray(head.apply(fitted.state.variables, jnp.asarray(seen))[0])


def from_scratch(settings, parts, train: LabelledImages, test, key):
    """Base and dense layers together, from fresh params."""
    base, variables, prepared = parts
    outputs = jax.eval_shape(lambda x: base.apply(variables, prepared(x))[0], train.images[:1])
    model = with_head(base, mlp([outputs.shape[1], *settings.hidden, len(train.names)]))
    objective = classification(model)

    def of_changed(params, buffers, batch, key):
        images, labels = batch
        key_change, key_model = jax.random.split(key)
        inputs = prepared(changed(images, key_change))
        return objective(params, buffers, (inputs, labels), key_model)

    steps = settings.scratch_epochs * max(1, len(train.labels) // settings.batch_size)
    fitted = trained(settings, model, of_changed, train[:2], steps, key)
    see = jax.jit(lambda images: model.apply(fitted.state.variables, prepared(images))[0])
    return fitted, frozen_features(see, test.images)


def trained(settings, model: Model, objective: Objective, data: Sequence, steps: int, key: Key):
    """Adam, at a tenth of the rate where the accuracy stays."""
    epoch = max(1, len(data[1]) // settings.batch_size)
    plateau = optax.contrib.reduce_on_plateau(0.1, patience=10, accumulation_size=epoch)
    optimizer = optax.chain(optax.adam(settings.learning_rate, eps=1e-7), plateau)
    algorithm = descent(gradient(objective), optimizer, watch=lambda info: 1 - info["accuracy"])
    key_init, key_steps = jax.random.split(key)
    start = algorithm.init(jax.jit(model.init)(key_init))
    return fit(algorithm, start, data, key_steps, steps=steps, batch_size=settings.batch_size)
