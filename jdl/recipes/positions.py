"""Five ways to tell a Transformer where a token stands: the table of sines, and a task of order.

The table (004, example 6.2.2): 100 positions, 512 features, base 10,000; as a heat map and as a
surface (its figures 6.7 and 6.8), and the dot products of two positions, which depend on their
distance alone and are greatest, D / 2, at 0.

The task (its problem 6.9). Data: random tokens of 8 kinds; to each token belongs the one that stood
`delay` places before. Models: causal Transformers of two layers, alike but for their positions:
none, sinusoidal, learned, rotary, ALiBi. They learn sequences of 24 tokens and are tested on new
ones of 72. Measured: the accuracy at the places that they know, and at those beyond.

Result, seeds 0 and 1, in percent, by chance 12.5:

    none         34.5 and 33.6, beyond 26.8 and 26.1
    sinusoidal        100,             20.1 and 15.4
    learned           100,             16.7 and 15.8
    rotary            100,             95.8 and 99.9
    ALiBi        58.4 and 55.4,        50.2 and 48.3

Without positions the mask still tells how many tokens there are, and a guess among them beats
chance. Sines and a table are exact where they were trained and nearly useless a place further on;
angles between queries and keys know distances alone, and go on. ALiBi goes on too, but it asks the
nearest tokens most, and the third last is hard to single out. Dot products in the table: 256 of a
position with itself, 249 of neighbours, 131 at a distance of 50. Cost: 48 s of processor time.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Key, Variables
from jdl.models.transformers import language_model
from jdl.nn.positions import sinusoidal
from jdl.plot.canvas import canvas
from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report
from jdl.train import descent, fit, gradient

SCHEMES = ("none", "sinusoidal", "learned", "rotary", "alibi")
TABLE = 100, 512  # positions and features of the book's example
SURFACE = 256  # features of the surface, the sines of them: those behind hardly change


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    kinds: int = 8
    """Of tokens."""
    delay: int = 3
    """Places back to the token that is asked for."""
    length: int = 24
    """Tokens of a sequence for training."""
    test_length: int = 72
    """Tokens of a sequence for the test."""
    test_sequences: int = 500
    """For the test."""
    hidden_dim: int = 64
    """Features of a token."""
    num_layers: int = 2
    """Blocks."""
    num_heads: int = 4
    """Of an attention."""
    steps: int = 350
    """Mini-batches."""
    batch_size: int = 32
    """Sequences in a step."""
    learning_rate: float = 2e-3
    """Of Adam, at the start."""


def run(settings: Settings, key: Key) -> Report:
    """Draws the table, trains a model of each scheme, measures."""
    key_train, key_test, *keys = jax.random.split(key, 2 + len(SCHEMES))
    test = tokens(settings, key_test, settings.test_sequences, settings.test_length)
    found, losses = {}, {}
    for scheme, each in zip(SCHEMES, keys, strict=True):
        model, fitted = trained(settings, scheme, key_train, each)
        found[scheme] = accuracies(settings, model, fitted.state.variables, test)
        losses[scheme] = np.arange(1, settings.steps + 1), fitted.history["loss"]
    within, beyond = (slice(settings.delay, settings.length), slice(settings.length, None))
    numbers = {"chance": 1 / settings.kinds}
    for scheme, right in found.items():
        numbers[f"{scheme}_within"] = float(right[within].mean())
        numbers[f"{scheme}_beyond"] = float(right[beyond].mean())

    table = np.asarray(sinusoidal(jnp.arange(TABLE[0]), TABLE[1]))
    products = table @ table.T
    numbers["product_of_itself"] = float(products[0, 0])
    numbers["product_at_distance_1"] = float(products[0, 1])
    numbers["product_at_distance_50"] = float(products[0, 50])
    places = np.arange(settings.delay, settings.test_length)
    right = {scheme: (places, each[places]) for scheme, each in found.items()}
    loss = "cross-entropy [nats]"
    return Report(
        numbers,
        {
            "table": heat_map(table),
            "surface": surface(table),
            "products": products_by_distance(products),
            "accuracy": accuracy_by_place(right, settings.length),
            "learning": learning_curves({loss: losses}, logarithmic=[loss]),
        },
        rows(numbers),
    )


def tokens(settings, key, number, length):
    """Sequences of random tokens [N, T]."""
    return jax.random.randint(key, [number, length], 0, settings.kinds)


def trained(settings, scheme, data_key, key):
    """A model with a scheme of positions, and what `fit` found."""
    model = language_model(
        settings.kinds,
        settings.test_length,
        settings.hidden_dim,
        settings.num_layers,
        settings.num_heads,
        positions=scheme,
        norm_placement="pre",
        dropout_rate=0.0,
    )

    def objective(params, buffers, batch, key):
        logits, buffers = model.apply(Variables(params, buffers), batch, train=True)
        seen, wanted = logits[:, settings.delay :], batch[:, : -settings.delay]
        losses = optax.softmax_cross_entropy_with_integer_labels(seen, wanted)
        return losses.mean(), (buffers, {})

    number = settings.steps * settings.batch_size
    data = np.asarray(tokens(settings, data_key, number, settings.length))
    rate = optax.cosine_decay_schedule(settings.learning_rate, settings.steps)
    algorithm = descent(gradient(objective), optax.adam(rate))
    key_init, key_steps = jax.random.split(key)
    start = algorithm.init(model.init(key_init))
    options = {"steps": settings.steps, "batch_size": settings.batch_size}
    return model, fit(algorithm, start, data, key_steps, **options)


def accuracies(settings, model, variables, test):
    """The share of right answers at each place [T]; the first `delay` ones have none."""

    @jax.jit
    def right(variables):
        logits = model.apply(variables, test)[0]
        return (logits.argmax(-1) == jnp.roll(test, settings.delay, axis=1)).mean(0)

    return np.asarray(right(variables))


def heat_map(table):
    """Draws the table: a row for each position."""
    figure, (axes,) = canvas(7, 3.4)
    image = axes.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set(xlabel="feature", ylabel="position")
    figure.colorbar(image, ax=axes)
    return figure


def surface(table):
    """Draws the sines among the first features of the table as a surface."""
    figure, (axes,) = canvas(6.4, 4.4)
    axes.remove()
    axes = figure.add_subplot(projection="3d")
    features, positions = np.meshgrid(np.arange(0, SURFACE, 2), np.arange(len(table)))
    shown = table[:, :SURFACE:2]
    axes.plot_surface(features, positions, shown, cmap="RdBu_r", rcount=100, ccount=128)
    axes.set(xlabel="feature", ylabel="position", zlabel="value", zticks=(-1, 0, 1))
    axes.set_box_aspect((3, 2.4, 0.9))
    axes.view_init(elev=55, azim=-60)
    return figure


def products_by_distance(products):
    """Draws the dot products of a first, a middle and a last position with all others."""
    last = len(products) - 1
    curves = {
        f"of position {i}": (np.arange(last + 1) - i, products[i]) for i in (0, last // 2, last)
    }
    return learning_curves({"dot product": curves}, step="distance in positions")


def accuracy_by_place(right, length):
    """Draws the share of right answers at each place, and where training ended."""
    figure = learning_curves({"right answers": right}, step="place in the sequence")
    axes = figure.axes[0]
    axes.axvline(length - 0.5, color="#555555", lw=1, ls=":")
    axes.set(ylim=(0, 1.04))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def rows(numbers):
    """A row for each scheme."""
    found = [
        f"{name:12s}{numbers[f'{name}_within']:10.1%}{numbers[f'{name}_beyond']:10.1%}"
        for name in SCHEMES
    ]
    return "\n".join(
        [f"{'positions':12s}{'within':>10s}{'beyond':>10s}", *found]
        + [f"by chance   {numbers['chance']:10.1%}"]
    )
