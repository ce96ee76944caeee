"""From upright digits to turned ones with few labels: frozen, fine-tuned, and from scratch.

Data: the 1797 digits of scikit-learn. Half of them, upright, are what LeNet-5 with ReLU is
pretrained on; of the other half, turned by 20 or 90 degrees, a few of each class have labels, and
600 are the test. Then, with the same steps and batches,

    scratch   all params fresh
    frozen    a new head on the features of 84 units, computed once
    tuned     a new head, all below trained on at rates that fall by 2.6 from stage to stage
    all       a new head, all below trained on at the head's rate
    gradual   as tuned, a stage more every fifth of the steps; only if asked for

Mean accuracies of three choices of the labels, pretrained with seed 0; the choices lie up to 6 %
around them, with one label of each class up to 7 %, and 600 images measure to 1.5 %:

    labels of each class      1      5      25            1      5      25
    turned by 20 degrees                            by 90
    scratch                 55.1   83.1   91.1           54.6   80.5   90.7
    frozen                  69.8   83.3   87.9           46.5   56.8   66.2
    tuned                   68.2   83.3   89.4           52.0   70.8   78.9
    all                     68.3   83.7   93.9           55.2   76.7   89.7

It is the table of `jdl.train.transfer`: with like images and one label the frozen features are best
and worth 15 %; with 25 labels it is best to train all, from the pretrained start. Where the images
differ, no pretraining helps: frozen features lose 24 % of 91 (negative transfer), and the more is
let free the less is lost. Rates that fall want longer training than 80 steps.

Cost: 40 s of processor time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Algorithm, Key, Model, Variables
from jdl.data import digits, train_test_split
from jdl.data.augmentation import rotated
from jdl.metrics import accuracy
from jdl.models.convnets import lenet5
from jdl.models.mlp import mlp
from jdl.plot.curves import learning_curves
from jdl.plot.images import image_grid
from jdl.recipes.digits import enlarged
from jdl.recipes.report import Report
from jdl.train import classification, descent, gradient
from jdl.train.finetune import frozen_features, stagewise, with_new_head

STAGES = ("conv1.*", "conv2.*", "dense1.*", "dense2.*", "head.*")
FEATURES = 84  # before LeNet-5's head
HEAD = mlp([FEATURES, 10])


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    degrees: tuple[float, ...] = (20.0, 90.0)
    """By which the new digits are turned: alike, and not."""
    labelled: tuple[int, ...] = (1, 5, 25)
    """Labelled images of each class."""
    ways: tuple[str, ...] = ("scratch", "frozen", "tuned", "all")
    """What is compared; `gradual` too."""
    seeds: int = 3
    """Choices of the labelled images, each with a new head."""
    pretraining: int = 300
    """Steps on upright digits."""
    steps: int = 80
    """Steps on turned digits."""
    batch_size: int = 32
    """Images in a step, drawn with replacement."""
    learning_rate: float = 2e-3
    """Of Adam; of the head where rates fall."""
    head_rate: float = 1e-2
    """Of Adam, for the head on frozen features."""
    test_images: int = 600
    """Turned images for the test."""
    split_seed: int = 0
    """Of the halves and the test; the recipe's key leaves them alone."""


class Task(NamedTuple):
    """What every way gets.

    Attributes:
        settings: of the recipe.
        model: the network.
        pretrained: its variables after upright digits.
        pool: turned images [N, 32, 32, 1] and labels, to choose from.
        test: turned images and labels.
        programs: compiled once.
    """

    settings: Settings
    model: Model
    pretrained: Variables
    pool: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    programs: "Programs"


class Programs(NamedTuple):
    """What is compiled once.

    Attributes:
        step: of LeNet-5; the rates are in the state.
        gradual_step: of the same with gradual unfreezing.
        head_step: of the head on frozen features.
        features: (params, images) -> [B, 84].
        logits: (variables, images) -> [B, 10].
    """

    step: Callable
    gradual_step: Callable
    head_step: Callable
    features: Callable
    logits: Callable


def run(settings: Settings, key: Key) -> Report:
    """Pretrains, learns from few labels in each way, measures and draws."""
    images, labels, names = digits()
    key_halves, key_test = jax.random.split(jax.random.key(settings.split_seed))
    source, target = train_test_split((images, labels), key_halves, 0.5, stratify_by=labels)
    pool, test = train_test_split(
        target, key_test, settings.test_images / len(target[1]), stratify_by=target[1]
    )
    model = lenet5(len(names), jax.nn.relu)
    programs = compiled(model, settings)
    upright, turn = np.asarray(jax.jit(enlarged)(source[0])), jax.jit(turned)
    key_init, key_steps, key_runs = jax.random.split(key, 3)
    start = algorithm_of(model, settings, decay=1.0).init(model.init(key_init))
    pretrained = trained(
        programs.step, start, (upright, source[1]), settings.pretraining, settings, key_steps
    ).variables

    found, shown = {}, [upright[:9]]
    for degrees in settings.degrees:
        sets = [(np.asarray(turn(x, degrees)), y) for x, y in (pool, test)]
        task = Task(settings, model, pretrained, *sets, programs)
        shown.append(task.test[0][:9])
        for labelled in settings.labelled:
            keys = jax.random.split(key_runs, settings.seeds)
            rows = [few_labels(task, labelled, k) for k in keys]
            for way in settings.ways:
                found[degrees, way, labelled] = np.array([row[way] for row in rows])
    numbers = {
        f"{way}_{labelled}_at_{degrees:g}": float(x.mean())
        for (degrees, way, labelled), x in found.items()
    }
    pictures = image_grid(
        (np.concatenate(shown) + 1) / 2,
        rows=["learnt from", *(f"{degrees:g} degrees" for degrees in settings.degrees)],
        columns=9,
    )
    figures = {"accuracy": accuracies(settings, found), "digits": pictures}
    return Report(numbers, figures, table(settings, found))


def compiled(model: Model, settings: Settings) -> Programs:
    """The programs, not yet traced."""
    plain, gradual = (algorithm_of(model, settings, gradual=g) for g in (False, True))
    head = descent(gradient(classification(HEAD)), optax.adam(settings.head_rate))
    body = lenet5(FEATURES, jax.nn.relu)
    passing = {"kernel": jnp.eye(FEATURES), "bias": jnp.zeros(FEATURES)}
    return Programs(
        jax.jit(plain.step),
        jax.jit(gradual.step),
        jax.jit(head.step),
        jax.jit(lambda params, x: body.apply(Variables(params | {"head": passing}), x)[0]),
        jax.jit(lambda variables, x: model.apply(variables, x)[0]),
    )


def turned(images: np.ndarray, degrees: float) -> jax.Array:
    """Images [B, 8, 8, 1] in [0, 1] -> turned, [B, 32, 32, 1] in [-1, 1]."""
    return rotated(enlarged(images) + 1, degrees) - 1


def algorithm_of(
    model: Model, settings: Settings, *, decay: float = 2.6, gradual: bool = False
) -> Algorithm:
    """Adam with a rate for each stage, which its state holds: one program serves any decay."""
    every = max(1, settings.steps // len(STAGES)) if gradual else None
    adam = optax.inject_hyperparams(optax.adam)
    optimizer = stagewise(adam, STAGES, settings.learning_rate, decay=decay, unfreeze_every=every)
    return descent(gradient(classification(model)), optimizer)


def trained(step, state, data, steps: int, settings: Settings, key: Key):
    """The state after some steps on batches drawn with replacement."""
    inputs, labels = data
    rows = jax.random.randint(key, [steps, settings.batch_size], 0, len(labels))
    for chosen in np.asarray(rows):
        state, _ = step(state, (inputs[chosen], labels[chosen]), key)
    return state


def few_labels(task: Task, labelled: int, key: Key) -> dict[str, float]:
    """Test accuracies of all ways, for one choice of labelled images."""
    settings, programs, (images, labels) = task.settings, task.programs, task.pool
    key_choice, key_init, key_steps = jax.random.split(key, 3)
    order = np.asarray(jax.random.permutation(key_choice, len(labels)))
    rows = np.concatenate([order[labels[order] == c][:labelled] for c in range(10)])
    data = images[rows], labels[rows]
    fresh = task.model.init(key_init)
    start = with_new_head(task.pretrained, fresh, "head.*")

    def logits(way):
        if way == "frozen":
            return head_on_features(task, start, data, key_steps)
        algorithm = algorithm_of(
            task.model,
            settings,
            decay=1.0 if way in ("scratch", "all") else 2.6,
            gradual=way == "gradual",
        )
        state = algorithm.init(fresh if way == "scratch" else start)
        step = programs.gradual_step if way == "gradual" else programs.step
        state = trained(step, state, data, settings.steps, settings, key_steps)
        return programs.logits(state.variables, task.test[0])

    truth = jnp.asarray(task.test[1])
    return {way: float(accuracy(logits(way).argmax(-1), truth)) for way in settings.ways}


def head_on_features(task: Task, start: Variables, data, key: Key) -> jax.Array:
    """Logits of the test images by a linear layer that is trained on features computed once."""
    known, asked = (
        frozen_features(lambda x: task.programs.features(start.params, x), x)
        for x in (data[0], task.test[0])
    )
    optimizer = optax.adam(task.settings.head_rate)
    state = descent(gradient(classification(HEAD)), optimizer).init(
        Variables({"layers": {"0": start.params["head"]}})
    )
    steps, settings = task.settings.steps, task.settings
    state = trained(task.programs.head_step, state, (known, data[1]), steps, settings, key)
    return HEAD.apply(state.variables, asked)[0]


def table(settings: Settings, found: dict[tuple, np.ndarray]) -> str:
    """Mean accuracies, and the largest deviation of a seed from its mean, as text."""
    lines = []
    for degrees in settings.degrees:
        cells = "".join(f"{n:>14}" for n in settings.labelled)
        lines += [f"turned by {degrees:g}, labels of each class {cells}"]
        for way in settings.ways:
            rows = [found[degrees, way, n] for n in settings.labelled]
            lines.append(f"  {way:<34}" + "".join(map(cell, rows)))
    return "\n".join(lines)


def cell(row: np.ndarray) -> str:
    """A mean and the largest deviation from it."""
    return f"{row.mean():>7.1%} ± {np.abs(row - row.mean()).max():>4.1%}"


def accuracies(settings: Settings, found: dict[tuple, np.ndarray]):
    """Draws mean accuracies over the number of labels, a panel for each angle."""
    sizes = np.array(settings.labelled)
    panels = {
        f"test accuracy, {degrees:g} degrees": {
            way: (sizes, np.array([found[degrees, way, n].mean() for n in settings.labelled]))
            for way in settings.ways
        }
        for degrees in settings.degrees
    }
    return learning_curves(panels, step="labelled images of each class")
