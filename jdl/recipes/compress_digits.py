"""A LeNet-5 made small three ways: distilled, pruned, rounded to few bits.

Data: the 1797 digits of scikit-learn in a stratified split, half of them for the test, so that its
standard error is 0.6 %. The network: LeNet-5 with ReLU, 61,706 parameters, 247 kB.

    distilled   64 -> `hidden` -> 10 on the 8 x 8 pixels, from the logits of LeNet-5 at temperature
                4, beside the same network taught by the labels alone
    pruned      the smallest weights of all layers set to zero at once, then trained on
    rounded     weights of 8, 4, 3 and 2 bits, a scale for each channel, not trained again

Seeds 0 and 1, accuracy on 898 images:

                        kB      accuracy        before training on
    LeNet-5            246.8   98.0   97.6
    pruned 80 %         57.8   98.0   98.2       94.5   94.1
    pruned 90 %         33.2   98.2   97.6       90.1   87.0
    pruned 95 %         20.9   94.5   93.4       70.7   47.0
    pruned 98 %         13.5   47.9   42.2
    8 bits              63.4   98.0   97.4
    4 bits              32.6   98.1   97.8
    3 bits              24.9   97.2   97.6
    2 bits              17.3   74.4   70.9
    small, labels        2.4   94.7   94.4
    small, distilled     2.4   95.2   93.7

Nine of ten weights are not needed, nor are more than 3 or 4 bits of 32. Pruned weights cost 4 bytes
each and a bit for every weight to say which; fewer bits are counted as packed. Distillation does
nothing for these students: 0.5 % up with one seed and 0.7 % down with the other, means of five.

Cost: 23 s of processor time.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Key, Tree, Variables
from jdl.data import digits, train_test_split
from jdl.metrics import accuracy
from jdl.models.convnets import lenet5
from jdl.models.mlp import mlp
from jdl.plot.canvas import canvas
from jdl.plot.curves import learning_curves
from jdl.recipes.digits import enlarged
from jdl.recipes.report import Report
from jdl.train import classification, descent, ensemble, gradient, members
from jdl.train import run as run_steps
from jdl.train.distill import distillation
from jdl.train.finetune import frozen_features
from jdl.train.pruning import keep_zeros, magnitude_masks, masked
from jdl.train.quantization import dequantized, quantized, size_in_bytes


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    steps: int = 250
    """Of AdamW, for LeNet-5."""
    batch_size: int = 64
    """Images in a step."""
    learning_rate: float = 2e-3
    """Of all steps of LeNet-5."""
    test_fraction: float = 0.5
    """Images kept for the test, as a fraction of all."""
    sparsities: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
    """Shares of the weights that are pruned."""
    retraining: int = 60
    """Steps after pruning."""
    bits: tuple[int, ...] = (8, 4, 3, 2)
    """Of a weight."""
    hidden: int = 8
    """Units of the student."""
    students: int = 5
    """Seeds of the student."""
    student_steps: int = 1000
    """Of Adam, for the students."""
    temperature: float = 4.0
    """Of the distillation."""
    share: float = 0.9
    """Of the teacher in the students' loss."""
    split_seed: int = 0
    """Of the parts; the recipe's key leaves them alone."""


class Row(NamedTuple):
    """Of the table.

    Attributes:
        name: of the network.
        size: in bytes.
        accuracy: on the test part.
        before: the same before training went on, or None.
        agreement: with LeNet-5's answers on the test part.
    """

    name: str
    size: float
    accuracy: float
    before: float | None
    agreement: float


def run(settings: Settings, key: Key) -> Report:
    """Trains, makes smaller in each way, measures and draws."""
    images, labels, names = digits()
    train, test = train_test_split(
        (images, labels),
        jax.random.key(settings.split_seed),
        settings.test_fraction,
        stratify_by=labels,
    )
    model = lenet5(len(names), jax.nn.relu)
    optimizer = optax.chain(optax.adamw(settings.learning_rate, weight_decay=1e-2), keep_zeros())
    algorithm = descent(gradient(classification(model)), optimizer)
    step, begin, init = jax.jit(algorithm.step), jax.jit(algorithm.init), jax.jit(model.init)
    prune = jax.jit(lambda params, sparsity: masked(params, magnitude_masks(params, sparsity)))
    key_init, key_steps, key_again, key_students = jax.random.split(key, 4)

    def train_on(variables: Variables, steps: int, key: Key) -> Variables:
        state, (key_order, key_noise) = begin(variables), jax.random.split(key)
        rows = jax.random.randint(key_order, [steps, settings.batch_size], 0, len(train[1]))
        for chosen in np.asarray(rows):
            batch = inputs[chosen], train[1][chosen]
            state, _ = step(state, batch, key_noise)
        return state.variables

    enlarge = jax.jit(enlarged)
    inputs, test_inputs = (np.asarray(enlarge(part[0])) for part in (train, test))
    logits_of = jax.jit(lambda params, x: model.apply(Variables(params), x)[0])
    teacher = train_on(init(key_init), settings.steps, key_steps).params
    wanted = logits_of(teacher, test_inputs).argmax(-1)

    def row(name: str, size: float, params: Tree, before: Tree | None = None) -> Row:
        said, earlier = (
            None if p is None else logits_of(p, test_inputs).argmax(-1) for p in (params, before)
        )
        old = None if before is None else float(accuracy(earlier, test[1]))
        return Row(name, size, float(accuracy(said, test[1])), old, float(accuracy(said, wanted)))

    rows = [row("LeNet-5", size_in_bytes(teacher), teacher)]
    for sparsity in settings.sparsities:
        cut = prune(teacher, sparsity)
        after = train_on(Variables(cut), settings.retraining, key_again).params
        rows.append(row(f"pruned {sparsity:.0%}", sparse_size(after), after, cut))
    for bits in settings.bits:
        store = jax.jit(functools.partial(quantized, bits=bits))
        restored = jax.jit(lambda params, store=store: dequantized(store(params)))(teacher)
        rows.append(row(f"{bits} bits", packed_size(teacher, bits), restored))

    targets = frozen_features(lambda x: logits_of(teacher, x), inputs)
    rows += students(settings, (train[0], train[1], targets), test, wanted, key_students)
    return Report(numbers(rows), figures(settings, rows), table(rows))


def students(settings: Settings, train, test, wanted, key: Key) -> list[Row]:
    """Small networks, taught by labels and by the teacher's logits; means over the seeds."""
    pixels, labels, targets = train
    data = jax.tree.map(jnp.asarray, (pixels.reshape(len(pixels), -1), labels, targets))
    model = mlp([64, settings.hidden, 10], activation=jax.nn.relu)

    @jax.jit
    def taught(share, data, test_pixels, key):
        key_init, key_order, key_steps = jax.random.split(key, 3)
        shape = settings.student_steps, settings.batch_size
        rows = jax.random.randint(key_order, shape, 0, len(labels))
        objective = distillation(model, temperature=settings.temperature, share=share)
        algorithm = ensemble(descent(gradient(objective), optax.adam(1e-2)))
        start = algorithm.init(members(model, settings.students).init(key_init))
        batches = jax.tree.map(lambda x: x[rows], data)
        state, _ = run_steps(algorithm, start, batches, key_steps)
        params = state.variables.params
        said = jax.vmap(lambda p: model.apply(Variables(p), test_pixels)[0].argmax(-1))(params)
        return params, said

    found, test_pixels = [], test[0].reshape(len(test[0]), -1)
    for name, share in [("labels", 0.0), ("distilled", settings.share)]:
        params, said = taught(share, data, test_pixels, key)
        size = size_in_bytes(params) / settings.students
        right, same = (float(np.mean(said == other[None])) for other in (test[1], wanted))
        found.append(Row(f"small, {name}", size, right, None, same))
    return found


def sparse_size(params: Tree) -> float:
    """Bytes of the weights that are left, with a bit for each to say which."""
    weights = [np.asarray(x) for x in jax.tree.leaves(params) if x.ndim > 1]
    left = sum(np.count_nonzero(x) for x in weights)
    biases = sum(x.size for x in jax.tree.leaves(params) if x.ndim == 1)
    return 4 * (left + biases) + sum(x.size for x in weights) / 8


def packed_size(params: Tree, bits: int) -> float:
    """Bytes of weights of few bits, packed, with their scales and the biases."""
    weights = sum(x.size for x in jax.tree.leaves(params) if x.ndim > 1)
    stored = jax.eval_shape(functools.partial(quantized, bits=bits), params)
    return size_in_bytes(stored) - weights * (1 - bits / 8)


def numbers(rows: list[Row]) -> dict[str, float]:
    """What the report says in numbers."""
    found = {}
    for row in rows:
        name = row.name.replace(", ", "_").replace(" ", "_").replace("%", "")
        found |= {f"{name}_accuracy": row.accuracy, f"{name}_kB": row.size / 1000}
        if row.before is not None:
            found[f"{name}_accuracy_before"] = row.before
    return found


def table(rows: list[Row]) -> str:
    """The rows as text."""
    lines = ["                     kB   accuracy   before   as LeNet-5"]
    for row in rows:
        before = "" if row.before is None else f"{row.before:.1%}"
        lines.append(
            f"{row.name:<16} {row.size / 1000:>7.1f} {row.accuracy:>9.1%} {before:>8} "
            f"{row.agreement:>11.1%}"
        )
    return "\n".join(lines)


def figures(settings: Settings, rows: list[Row]) -> dict:
    """Draws accuracy over sparsity, and against size."""
    pruned = [row for row in rows if row.name.startswith("pruned")]
    shares = np.array(settings.sparsities)
    curves = {
        "at once": (shares, np.array([row.before for row in pruned])),
        "trained on": (shares, np.array([row.accuracy for row in pruned])),
    }
    return {
        "pruning": learning_curves(
            {"test accuracy": curves}, step="share of the weights that are zero", title="Pruning"
        ),
        "sizes": sizes(rows),
    }


def sizes(rows: list[Row]):
    """Draws accuracy against size, a line for each way, as far down as 0.7."""
    figure, (axes,) = canvas(6, 3.8, title="What a network of digits weighs")
    ways: dict[str, Callable[[str], bool]] = {
        "pruned, trained on": lambda name: name.startswith("pruned"),
        "rounded": lambda name: name.endswith("bits"),
        "small, from labels": lambda name: name == "small, labels",
        "small, distilled": lambda name: name == "small, distilled",
        "LeNet-5": lambda name: name == "LeNet-5",
    }
    for label, belongs in ways.items():
        own = [row for row in rows if belongs(row.name)]
        at = [(row.size / 1000, row.accuracy) for row in own]
        axes.plot(*zip(*at, strict=True), marker="o", markersize=4, label=label)
        if len(own) == 1:
            continue
        shift = 6 if label.startswith("pruned") else -12
        for row, point in zip(own, at, strict=True):
            axes.annotate(
                row.name.removeprefix("pruned "),
                point,
                xytext=(0, shift),
                textcoords="offset points",
                fontsize=7,
                ha="center",
                annotation_clip=True,
            )
    lowest = min(row.accuracy for row in rows)
    axes.set(xscale="log", xlabel="size [kB]", ylabel="test accuracy")
    axes.set_ylim(max(lowest - 0.02, min(0.7, rows[0].accuracy)), 1.02)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.legend(loc="lower right")
    return figure
