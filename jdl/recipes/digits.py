"""LeNet-5 reads handwritten digits, and shows where it errs.

Data: the 1797 digits of 8 x 8 pixels that scikit-learn carries, in a stratified split that
`split_seed` fixes: a fifth for testing, a tenth of the rest for validation. Model: LeNet-5 with
ReLU in place of tanh, on images enlarged to 32 x 32. Each step zooms and shifts its images at
random. AdamW under a cosine schedule; of the evaluations on the validation part the one with the
lowest loss is kept, and the test part is looked at once, at the end.

Result: 99.4 % of the 359 test digits with seed 0, two misread; 98.9, 99.4, 99.2 and 99.2 % with
seeds 1 to 4; 98.6 and 98.3 % with the splits of `split_seed` 1 and 2. The settings were chosen by
five-fold cross-validation within the training part, where they read 99.1 %, and tanh 98.7 %. Cost:
13 s on two cores from a cold start, import and compilation included.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl import metrics
from jdl.core import Objective
from jdl.data import digits, random_zoom_and_shift, train_test_split
from jdl.models.convnets import lenet5
from jdl.plot.classification import confusion_heatmap, hardest_images
from jdl.plot.curves import learning_curves
from jdl.plot.images import filters
from jdl.recipes.report import Report
from jdl.train import EarlyStopping, classification, descent, fit, gradient

SHAPE = (32, 32)  # LeNet-5's images


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    steps: int = 300
    """Steps of the optimizer."""
    batch_size: int = 96
    """Images in a step."""
    learning_rate: float = 5e-3
    """Its peak, after a twentieth of the steps."""
    weight_decay: float = 1e-2
    """Of AdamW, times the learning rate."""
    max_zoom: float = 0.1
    """Greatest relative change of an image's width or height."""
    max_shift: float = 0.1
    """Greatest shift, as a fraction of the image."""
    test_fraction: float = 0.2
    """Images kept for the test, as a fraction of all."""
    validation_fraction: float = 0.1
    """Images kept to choose the best evaluation, as a fraction of the rest."""
    evaluate_every: int = 20
    """Steps between evaluations."""
    split_seed: int = 0
    """Of the parts; the recipe's key leaves them alone."""
    shown: int = 18
    """Test digits in the picture of the hardest."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Trains, measures on the test part, draws."""
    images, labels, names = digits()
    key_test, key_validation = jax.random.split(jax.random.key(settings.split_seed))
    rest, test = train_test_split(
        (images, labels), key_test, settings.test_fraction, stratify_by=labels
    )
    train, validation = train_test_split(
        rest, key_validation, settings.validation_fraction, stratify_by=rest[1]
    )

    model = lenet5(len(names), jax.nn.relu)
    key_init, key_steps = jax.random.split(key)

    objective = augmented(classification(model), settings.max_zoom, settings.max_shift)
    warmup = settings.steps // 20
    rate = optax.warmup_cosine_decay_schedule(0, settings.learning_rate, warmup, settings.steps)
    optimizer = optax.adamw(rate, weight_decay=settings.weight_decay)
    algorithm = descent(gradient(objective), optimizer)

    def evaluate(variables):
        logits, _ = model.apply(variables, enlarged(validation[0]))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, validation[1])
        accuracy = metrics.accuracy(logits.argmax(-1), jnp.asarray(validation[1]))
        return {"loss": losses.mean(), "accuracy": accuracy}

    fitted = fit(
        algorithm,
        algorithm.init(model.init(key_init)),
        jax.tree.map(jnp.asarray, train),
        key_steps,
        steps=settings.steps,
        batch_size=settings.batch_size,
        evaluate=evaluate,
        evaluate_every=settings.evaluate_every,
        stop=EarlyStopping("loss", patience=None),
    )

    logits, _ = jax.jit(model.apply)(fitted.best, enlarged(test[0]))
    report = metrics.classification_report(logits.argmax(-1), jnp.asarray(test[1]), names)
    kernels = fitted.best.params["conv1"]["kernel"][..., 0, :]
    figures = {
        "confusion": confusion_heatmap(report.confusion, names, "LeNet-5 on the test digits"),
        "hardest": hardest(test, logits, names, settings.shown),
        "learning": learning(fitted),
        "filters": filters(
            jnp.moveaxis(kernels, -1, 0), columns=6, title="First layer: 5 x 5 kernels", size=1.1
        ),
    }
    return Report(numbers(fitted, logits, test[1]), figures, str(report))


def enlarged(images: np.ndarray) -> jax.Array:
    """Images [B, 8, 8, 1] in [0, 1] -> [B, 32, 32, 1] in [-1, 1]."""
    return 2 * jax.image.resize(images, (len(images), *SHAPE, 1), "linear") - 1


def augmented(objective: Objective, max_zoom: float, max_shift: float) -> Objective:
    """The objective on zoomed and shifted images, enlarged as by `enlarged`."""

    def of_changed(params, buffers, batch, key):
        images, labels = batch
        key_change, key_model = jax.random.split(key)
        images = random_zoom_and_shift(
            images, key_change, shape=SHAPE, max_zoom=max_zoom, max_shift=max_shift
        )
        return objective(params, buffers, (2 * images - 1, labels), key_model)

    return of_changed


def numbers(fitted, logits, labels) -> dict[str, float]:
    """What the report says in numbers."""
    right = np.asarray(logits.argmax(-1)) == labels
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    best = int(np.argmin(fitted.evaluations["loss"]))
    return {
        "test_accuracy": float(right.mean()),
        "test_errors": int((~right).sum()),
        "test_images": len(labels),
        "test_loss": float(losses.mean()),
        "validation_accuracy": float(fitted.evaluations["accuracy"][best]),
        "validation_loss": float(fitted.evaluations["loss"][best]),
        "best_step": int(fitted.evaluations["step"][best]),
    }


def hardest(test, logits, names, shown):
    """Draws the digits whose true class is least probable."""
    chances = np.asarray(jax.nn.softmax(logits))
    return hardest_images(*test, chances, names, shown=shown, title="The hardest test digits")


def learning(fitted):
    """Draws loss and accuracy of training steps and evaluations."""
    steps, evaluated = np.arange(1, len(fitted.history["loss"]) + 1), fitted.evaluations["step"]
    return learning_curves(
        {
            quantity: {
                "training, augmented": (steps, fitted.history[name]),
                "validation": (evaluated, fitted.evaluations[name]),
            }
            for quantity, name in [("cross-entropy [nats]", "loss"), ("accuracy", "accuracy")]
        },
        logarithmic=["cross-entropy [nats]"],
        title="LeNet-5 on digits",
    )
