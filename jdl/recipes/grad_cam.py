"""Where a ResNet-8 looks in a digit: Grad-CAM, occlusion, gradients, filters and maps.

Data and augmentation are those of the recipe `digits`. The network is CIFAR's ResNet of 8 layers,
with half the maps. Its head is linear on the means of its last maps, 8 x 8, so that Grad-CAM is
what the class activation map has above zero. One test digit of each class is explained for the
class that was predicted:

    Grad-CAM    from the last maps
    occlusion   the drop of the class's probability under a patch of background
    gradient    of the logit with respect to the pixels, and SmoothGrad's mean over noisy copies

Whether heat says the truth is measured: each method's hottest and coldest patch of the image are
covered, and the drops of the probability compared with the mean over all patches.

Result, seed 0: 98.3 % of 540 test digits. A patch takes 0.10 of the probability in the mean; under
the hottest and the coldest patch of 50 digits it is

    Grad-CAM     0.275   0.005        gradient     0.219   0.013
    occlusion    0.615  -0.028        SmoothGrad   0.242   0.010

Occlusion is best by construction, with 49 passes in place of one. In a trial with LeNet-5, whose
head sees places and not means, Grad-CAM's hottest patch took no more than 0.06, less than a
gradient's: its weights are means over space of what differs from place to place.

Cost: 30 s of processor time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Key, Model, Variables
from jdl.data import digits, train_test_split
from jdl.explain import (
    grad_cam,
    kernel_images,
    most_activating,
    occlusion,
    over_pixels,
    resized,
    saliency,
    smooth_grad,
)
from jdl.metrics import accuracy
from jdl.models.convnets.cifar_resnet import cifar_resnet
from jdl.plot.heatmaps import feature_maps, overlays
from jdl.plot.images import filters, image_grid
from jdl.recipes.digits import SHAPE, augmented, enlarged
from jdl.recipes.report import Report
from jdl.train import classification, descent, fit, gradient

TITLES = {
    "grad_cam": "Grad-CAM",
    "occlusion": "occlusion",
    "gradient": "gradient",
    "smooth_grad": "SmoothGrad",
}


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    widths: tuple[int, ...] = (8, 16, 32)
    """Maps of the three stages."""
    steps: int = 200
    """Of AdamW."""
    batch_size: int = 64
    """Images in a step."""
    learning_rate: float = 1e-2
    """Of AdamW at first; a cosine ends at zero."""
    test_fraction: float = 0.3
    """Images kept for the test, as a fraction of all."""
    patch: int = 8
    """Rows and columns that are covered, two pixels of the 8 x 8 digit."""
    strides: int = 4
    """From one patch to the next."""
    draws: int = 20
    """Noisy copies, of SmoothGrad."""
    measured: int = 50
    """Test images on which the patches are compared."""
    top: int = 6
    """Images that excite each map most, in the picture."""
    split_seed: int = 0
    """Of the parts; the recipe's key leaves them alone."""


class Heats(NamedTuple):
    """Of some images, all [B, H, W] but `drops`.

    Attributes:
        grad_cam: stretched over the image.
        occlusion: mean drop of the patches over a pixel.
        gradient: sizes of gradients.
        smooth_grad: of mean gradients.
        drops: of the probability at each patch, [B, P_rows, P_columns].
    """

    grad_cam: jax.Array
    occlusion: jax.Array
    gradient: jax.Array
    smooth_grad: jax.Array
    drops: jax.Array


def run(settings: Settings, key: Key) -> Report:
    """Trains, explains, measures and draws."""
    images, labels, names = digits()
    train, test = train_test_split(
        (images, labels),
        jax.random.key(settings.split_seed),
        settings.test_fraction,
        stratify_by=labels,
    )
    model = cifar_resnet(8, widths=settings.widths, in_channels=1)
    key_init, key_steps, key_noise = jax.random.split(key, 3)
    objective = augmented(classification(model), 0.1, 0.1)
    rate = optax.cosine_decay_schedule(settings.learning_rate, settings.steps)
    optimizer = optax.adamw(rate, weight_decay=1e-2)
    algorithm = descent(gradient(objective), optimizer)
    variables = fit(
        algorithm,
        algorithm.init(model.init(key_init)),
        jax.tree.map(jnp.asarray, train),
        key_steps,
        steps=settings.steps,
        batch_size=settings.batch_size,
    ).state.variables

    inputs = jax.jit(enlarged)(test[0])
    maps, logits = jax.jit(lambda v, x: answers(model, v, x))(variables, inputs)
    chosen = np.concatenate(
        [
            [np.flatnonzero(test[1] == c)[0] for c in range(len(names))],
            np.arange(settings.measured),
        ]
    )
    explain = jax.jit(lambda v, x, k: heats_of(model, v, x, k, settings))
    found = explain(variables, inputs[chosen], key_noise)
    said = np.asarray(logits.argmax(-1))
    measured = jax.tree.map(lambda x: x[len(names) :], found)
    scores = faithfulness(measured, settings)
    numbers = {"test_accuracy": float(accuracy(said, jnp.asarray(test[1])))}
    numbers["any_patch"] = float(measured.drops.mean())
    for name, (hot, cold) in scores.items():
        numbers |= {f"{name}_hottest": hot, f"{name}_coldest": cold}
    own = chosen[: len(names)]
    drawn = jax.tree.map(lambda x: x[: len(names)], found)
    figures = {
        "heat": heat(inputs[own], drawn, said[own]),
        "filters": filters(
            kernel_images(variables.params["conv1"]["kernel"])[..., 0],
            title="First layer: 3 x 3 kernels",
        ),
        "excited": excited(maps[-1][..., :12], test[0], settings.top),
        **{
            f"maps{stage}": feature_maps(x[own[3]], title=f"A digit 3: maps of stage {stage}")
            for stage, x in enumerate(maps, 1)
        },
    }
    return Report(numbers, figures, table(numbers))


def answers(model: Model, variables: Variables, images: jax.Array):
    """The maps of all stages, and the logits."""
    maps, _ = model.apply(variables, images, method="features")
    return maps, model.apply(variables, maps[-1], method="classify")[0]


def heats_of(
    model: Model, variables: Variables, images: jax.Array, key: Key, settings: Settings
) -> Heats:
    """All explanations of the predicted classes. The background of a digit is -1."""
    sizes = {"patch": settings.patch, "strides": settings.strides}
    drops = occlusion(model, variables, images, fill=-1.0, **sizes)
    return Heats(
        resized(grad_cam(model, variables, images), SHAPE),
        over_pixels(drops, SHAPE, **sizes),
        saliency(model, variables, images),
        smooth_grad(model, variables, images, key, draws=settings.draws),
        drops,
    )


def faithfulness(found: Heats, settings: Settings) -> dict[str, tuple[float, float]]:
    """Mean drops under the patch with the most heat in it, and with the least, of each method."""
    number, rows, columns = found.drops.shape
    window = settings.patch, settings.strides
    scores = {}
    for name, values in found._asdict().items():
        if name not in TITLES:
            continue
        inside = np.lib.stride_tricks.sliding_window_view(
            np.asarray(values), (window[0], window[0]), (1, 2)
        )[:, :: window[1], :: window[1]].sum((-2, -1))
        flat, drops = inside.reshape(number, -1), found.drops.reshape(number, rows * columns)
        scores[name] = tuple(
            float(drops[np.arange(number), pick(flat, -1)].mean())
            for pick in (np.argmax, np.argmin)
        )
    return scores


def heat(images: jax.Array, found: Heats, said: np.ndarray):
    """Draws the explained digits with their heat."""
    rows = {TITLES[name]: x for name, x in found._asdict().items() if name in TITLES}
    return overlays(
        (np.asarray(images) + 1) / 2,
        rows,
        [f"read {c}" for c in said],
        signed=["occlusion"],
        title="What speaks for the class that is read",
    )


def excited(maps: jax.Array, images: np.ndarray, top: int):
    """Draws the test digits that excite each map most, a row for each map."""
    strongest, _ = most_activating(maps, top)
    shown = images[np.asarray(strongest).ravel()]
    return image_grid(
        shown,
        rows=[f"map {number}" for number in range(len(strongest))],
        columns=top,
        size=0.6,
        title="Digits that excite each map most",
    )


def table(numbers: dict[str, float]) -> str:
    """The numbers as text."""
    lines = [
        f"test accuracy {numbers['test_accuracy']:.1%}",
        f"drop of the probability under a patch: {numbers['any_patch']:.3f}; under the one that is",
        "              hottest  coldest",
    ]
    lines += [
        f"{title:<13}{numbers[f'{name}_hottest']:>8.3f} {numbers[f'{name}_coldest']:>8.3f}"
        for name, title in TITLES.items()
    ]
    return "\n".join(lines)
