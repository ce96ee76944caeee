"""Seven activations in the same deep network: gradients by layer, speed, accuracy (003, Q16).

Six hidden layers of 32 units read the 1,437 training digits; eight networks of each activation
learn side by side by vmap, all activations from the same He-normal weights, on the same batches, at
the same rate. The book's exercise has neither data nor numbers; it expects the ReLU family to be
faster than sigmoid and tanh, and Swish and GELU perhaps to be the most accurate.

Seed 0: of the gradient that reaches the last layer, 1/700 reaches the first one through sigmoids
(at most 1/4 a layer, times the weights), and 1.8 to 2.2 times as much through the other six. The
sigmoid learns nothing in 600 steps (0.097, a guess). The others end at 0.961 to 0.968 with a
deviation of 0.003 to 0.010 between networks: the accuracy does not tell them apart, Swish and GELU
included. Steps to 0.9: ELU 60, tanh 80, ReLU, leaky ReLU and GELU 120, Swish 160. So the book is
right about the sigmoid and not about tanh, at this one rate; the cost of a step is not compared.
23 s on two busy cores, most of it compilation.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Variables
from jdl.data import bundled
from jdl.data.splits import train_test_split
from jdl.models.mlp import mlp
from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report
from jdl.train import classification, descent, fit, gradient
from jdl.train.ensemble import ensemble, members

ACTIVATIONS = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "ReLU": jax.nn.relu,
    "leaky ReLU": jax.nn.leaky_relu,
    "ELU": jax.nn.elu,
    "Swish": jax.nn.silu,
    "GELU": partial(jax.nn.gelu, approximate=False),
}


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    activations: tuple[str, ...] = tuple(ACTIVATIONS)
    """Names, of those in `ACTIVATIONS`."""
    hidden_layers: int = 6
    """Of the network."""
    hidden_dim: int = 32
    """Units of each."""
    seeds: int = 8
    """Networks of each activation, trained side by side."""
    steps: int = 600
    """Of gradient descent with momentum 0.9."""
    batch_size: int = 64
    """Digits in a step."""
    learning_rate: float = 0.02
    """The same for all activations."""
    evaluations: int = 30
    """During training."""
    goal: float = 0.9
    """Test accuracy whose first step is reported."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Trains the networks of each activation from the same weights on the same batches."""
    digits = bundled.digits()
    key_split, key_init, key_fit = jax.random.split(key, 3)
    flat = (digits.images.reshape(len(digits.images), -1), digits.labels)
    train, test = train_test_split(flat, key_split, 0.2, stratify_by=digits.labels)
    train, test = (jax.tree.map(jnp.asarray, part) for part in (train, test))

    found = {}
    for name in settings.activations:
        sizes = [64, *[settings.hidden_dim] * settings.hidden_layers, 10]
        network = mlp(sizes, ACTIVATIONS[name], kernel_init=jax.nn.initializers.he_normal())
        objective = classification(network)
        algorithm = ensemble(descent(gradient(objective), optax.sgd(settings.learning_rate, 0.9)))
        variables = members(network, settings.seeds).init(key_init)
        before = jax.jit(partial(gradient_norms, objective))(variables, train)

        fitted = fit(
            algorithm,
            algorithm.init(variables),
            train,
            key_fit,
            steps=settings.steps,
            batch_size=settings.batch_size,
            evaluate=partial(scores, objective, test),
            evaluate_every=max(1, settings.steps // settings.evaluations),
        )
        after = jax.jit(partial(gradient_norms, objective))(fitted.state.variables, train)
        found[name] = {
            "before": np.asarray(before),
            "after": np.asarray(after),
            "losses": fitted.history["loss"].mean(1),
            **fitted.evaluations,
        }

    metrics = numbers(found, settings)
    return Report(metrics, drawn(found, settings), table(metrics, settings))


def gradient_norms(objective, variables: Variables, batch) -> jax.Array:
    """Norms of the gradient of each layer's kernel, of every member: [members, layers]."""

    def one(variables):
        direction = jax.grad(objective, has_aux=True)(*variables, batch, jax.random.key(0))[0]
        layers = direction["layers"]
        return jnp.stack([jnp.linalg.norm(layers[n]["kernel"]) for n in sorted(layers, key=int)])

    return jax.vmap(one)(variables)


def scores(objective, test, variables: Variables) -> dict[str, jax.Array]:
    """Mean over the members of the accuracy on the test digits, and their deviation."""

    def one(variables):
        return objective(*variables, test, jax.random.key(0))[1][1]["accuracy"]

    accuracies = jax.vmap(one)(variables)
    return {"accuracy": accuracies.mean(), "deviation": accuracies.std()}


def numbers(found, settings: Settings) -> dict[str, float]:
    """Accuracy, speed, and how much of the gradient arrives at the first layer."""
    metrics = {}
    for name, of in found.items():
        stem = name.replace(" ", "_")
        reached = np.flatnonzero(of["accuracy"] >= settings.goal)
        metrics |= {
            f"accuracy_{stem}": float(of["accuracy"][-1]),
            f"deviation_{stem}": float(of["deviation"][-1]),
            f"steps_to_goal_{stem}": float(of["step"][reached[0]]) if len(reached) else np.inf,
            f"first_over_last_{stem}": float(share(of["before"])),
            f"first_over_last_trained_{stem}": float(share(of["after"])),
        }
    return metrics


def share(norms: np.ndarray) -> float:
    """Geometric mean over members of the first layer's gradient norm over the last one's."""
    return np.exp(np.log(norms[:, 0] / norms[:, -1]).mean())


def drawn(found, settings: Settings):
    """Norms by layer before and after training, and what was learned."""
    layers = np.arange(1, settings.hidden_layers + 2)
    norms = {
        f"gradient norm {when}": {
            name: (layers, np.exp(np.log(of[part]).mean(0))) for name, of in found.items()
        }
        for part, when in [("before", "before training"), ("after", "after training")]
    }
    learning = {
        "test accuracy": {name: (of["step"], of["accuracy"]) for name, of in found.items()},
        "training cross-entropy [nats]": {
            name: smooth(of["losses"], settings) for name, of in found.items()
        },
    }
    title = f"{settings.hidden_layers} hidden layers, means of {settings.seeds} networks"
    logarithmic = [*norms, "training cross-entropy [nats]"]
    figures = {
        "gradients": learning_curves(norms, logarithmic=logarithmic, title=title, step="layer"),
        "learning": learning_curves(learning, logarithmic=logarithmic, title=title),
    }
    for figure in figures.values():
        for axes in figure.axes:
            axes.get_legend().remove()
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False
        )
    return figures


def smooth(losses: np.ndarray, settings: Settings):
    """Steps and the means of the losses between evaluations."""
    every = max(1, settings.steps // settings.evaluations)
    means = losses[: len(losses) // every * every].reshape(-1, every).mean(1)
    return every * (np.arange(len(means)) + 0.5), means


def table(metrics: dict[str, float], settings: Settings) -> str:
    """The metrics as text."""
    lines = ["activation   test accuracy    steps to goal   gradient of first / last layer"]
    for name in settings.activations:
        stem = name.replace(" ", "_")
        lines.append(
            f"{name:12s}{metrics[f'accuracy_{stem}']:8.3f} +- {metrics[f'deviation_{stem}']:.3f}"
            f"{metrics[f'steps_to_goal_{stem}']:14.0f}{metrics[f'first_over_last_{stem}']:20.2g}"
            f", trained {metrics[f'first_over_last_trained_{stem}']:.2g}"
        )
    return "\n".join([*lines, "the book: no numbers; the ReLU family faster, Swish and GELU best"])
