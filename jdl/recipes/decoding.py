"""One model, many ways to write: greedy, beams, temperature, top-k, nucleus.

Data: Python's documentation in characters, as `character-lm` reads it. Model: its Transformer with
a context of 128; 004's example 6.5.1 and problem 6.5 have the released GPT-2 and one prompt, and
the book's output is missing. Here 32 prompts of 32 characters from the held-out modules are
continued by 90.

Measured: the log-likelihood of a character under the model, which a search raises; distinct-4, the
share of new ones among all runs of four characters; `repeated`, the share of a continuation's runs
of eight that it had before; `words`, the share of its words that the training text has. Beside them
what the modules themselves go on with.

A second table has searches for the end of a line: the beams that finish stay among the k
(`beam_search`) or are put aside (`pooled_beam_search`), scored by totals or by the mean of a
character, which 004 sec. 5.7.6 proposes because totals favour short texts.

Result, with Python 3.11's documentation, seeds 0 and 1, of a model of 2.97 and 2.95 bits:

                       log-likelihood    distinct-4      repeated      words
    greedy             -0.83   -0.96    0.06   0.06    0.60   0.60    94   94 %
    beams              -0.67   -0.63    0.06   0.07    0.39   0.43    95   96 %
    temperature 0.5    -1.05   -1.07    0.36   0.37    0.09   0.11    84   79 %
    top-5              -1.33   -1.31    0.50   0.49    0.03   0.04    70   72 %
    nucleus 0.8        -1.31   -1.30    0.54   0.52    0.06   0.02    65   68 %
    temperature 1      -1.99   -1.98    0.79   0.81    0.01   0.00    46   46 %
    the modules        -2.09   -2.09    0.70   0.70    0.03   0.03    88   88 %

Searches are far more likely than true texts and say the same words again; free draws are as likely
as the truth, and half of their words are none. To the line's end, pooled beams find better scores
than kept ones: totals of -13.6 and -18.8 against -13.9 and -20.1, means of -0.71 and -0.68 against
-0.72 and -0.69. By totals a line of the kept beams has 18 and 28 characters, by means 38 and 56,
and fewer of these end. Cost: 67 s of processor time.
"""

import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Key
from jdl.decoding import (
    beam_search,
    bound,
    generate,
    greedy,
    nucleus,
    per_token,
    pooled_beam_search,
    sampling,
    temperature,
    top_k,
)
from jdl.metrics.diversity import distinct_ngrams
from jdl.plot.canvas import COLOURS, canvas
from jdl.recipes import character_lm
from jdl.recipes.report import Report
from jdl.text import decode

SEARCHES = {
    "kept total": (beam_search, None),
    "kept mean": (beam_search, per_token()),
    "pooled total": (pooled_beam_search, None),
    "pooled mean": (pooled_beam_search, per_token()),
}


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    data: str = ""
    """A text file; empty takes Python's documentation."""
    modules: str = "all"
    """Of the standard library, parted by commas, or all."""
    rare: int = 20_000
    """A character that is not once in so many is unknown."""
    context: int = 128
    """Characters that the model sees."""
    features: int = 128
    """Of the model."""
    blocks: int = 2
    """Of the model."""
    heads: int = 4
    """Of its attentions."""
    steps: int = 900
    """Mini-batches."""
    batch_size: int = 8
    """Windows in a step."""
    learning_rate: float = 2e-3
    """Of Adam, after a tenth of the steps."""
    prompts: int = 32
    """Beginnings, from the held-out text."""
    prompt_length: int = 32
    """Characters of a beginning."""
    written: int = 90
    """Characters of a continuation; with the prompt at most the context."""
    beams: int = 4
    """Hypotheses that a search keeps."""
    tau: float = 0.5
    """A temperature."""
    k: int = 5
    """Of top-k."""
    p: float = 0.8
    """Of the nucleus."""
    line_searches: bool = True
    """Search for ends of lines too."""


def run(settings: Settings, key: Key) -> Report:
    """Trains, writes in all ways, measures."""
    text = character_lm.read_text(settings.data, settings.modules, settings.rare)
    network = character_lm.transformer(
        character_lm.Settings(
            context=settings.context,
            features=settings.features,
            blocks=settings.blocks,
            heads=settings.heads,
            batch_size=settings.batch_size,
            transformer_steps=settings.steps,
            transformer_rate=settings.learning_rate,
        ),
        "transformer",
        text,
    )
    key_fit, key_draws = jax.random.split(key)
    fitted = character_lm.trained(network, settings.steps, key_fit)
    model, variables = network.model, fitted.state.variables
    whole = settings.prompt_length + settings.written
    places = np.linspace(0, len(text.test_ids) - whole, settings.prompts).astype(int)
    windows = np.stack([text.test_ids[place : place + whole] for place in places])

    ways = written(settings, model, variables, windows, key_draws)
    known, found, continued = set(words(text.train)), {}, {}
    for name, (tokens, chances) in ways.items():
        continued[name] = ["".join(decode(text.vocabulary, row)) for row in np.asarray(tokens)]
        found[name] = {"log_likelihood": float(chances.mean())}
        found[name] |= measures(continued[name], known)
    end = text.vocabulary.ids["\n"]
    searches = {
        f"line {name}": line_search(settings, model, variables, windows, end, *how)
        for name, how in (SEARCHES if settings.line_searches else {}).items()
    }
    numbers = {
        f"{name}_{measure}".replace(" ", "_"): value
        for name, each in (found | searches).items()
        for measure, value in each.items()
    }
    numbers["bits_per_character"] = float(fitted.evaluations["bits"][-1])
    prompt = "".join(decode(text.vocabulary, windows[0, : settings.prompt_length]))
    return Report(
        numbers,
        {"ways": likelihood_and_variety(found)},
        "\n".join(
            [table(found), "", table(searches), f"\n--- behind {prompt!r}"]
            + [f"\n{name}:\n{prompt}{texts[0]}" for name, texts in continued.items()]
        ),
    )


def written(settings, model, variables, windows, key):
    """The continuations of each way [B, N], and the log-likelihoods of their characters."""
    choices = {
        "greedy": greedy,
        f"temperature {settings.tau:g}": sampling(temperature(settings.tau)),
        "temperature 1": sampling(),
        f"top-{settings.k}": sampling(top_k(settings.k)),
        f"nucleus {settings.p:g}": sampling(nucleus(settings.p)),
    }
    prompts = jnp.asarray(windows[:, : settings.prompt_length])

    def choose(logits, key):
        """Each way has its rows."""
        parts = jnp.split(logits, len(choices))
        keys = jax.random.split(key, len(choices))
        ways = zip(choices.values(), parts, keys, strict=True)
        return jnp.concatenate([way(part, each) for way, part, each in ways])

    @jax.jit
    def write(variables, key):
        read = reading(settings, model, variables)
        carry, _ = model.apply(variables, len(choices) * len(prompts), method="start")
        rows = jnp.tile(prompts, (len(choices), 1))
        return generate(
            carry=carry, prompt=rows, key=key, length=settings.written, choose=choose, **read
        )

    @jax.jit
    def search(variables):
        read = reading(settings, model, variables)
        carry, _ = model.apply(variables, len(prompts), method="start")
        asked = {"width": settings.beams, "length": settings.written}
        return beam_search(carry=carry, prompt=prompts, **asked, **read)

    drawn, best = write(variables, key), search(variables)
    tokens, chances = (jnp.split(x, len(choices)) for x in drawn[:2])
    ways = dict(zip(choices, zip(tokens, chances, strict=True), strict=True))
    ways[f"beam {settings.beams}"] = (
        best.tokens[:, 0],
        best.log_probabilities[:, 0] / settings.written,
    )
    ways["the text itself"] = (
        windows[:, settings.prompt_length :],
        true_chances(settings, model, variables, windows),
    )
    return ways


def reading(settings, model, variables):
    """How a decoder reads the model."""
    return {
        "step": bound(model, variables),
        "prefill": bound(model, variables, "prefill"),
        "context": settings.context,
    }


def true_chances(settings, model, variables, windows):
    """The log-likelihoods of what the text itself goes on with [B, N]."""

    @jax.jit
    def chances(variables):
        logits, _ = model.apply(variables, jnp.asarray(windows[:, :-1]))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:])
        return -losses[:, settings.prompt_length - 1 :]

    return chances(variables)


def line_search(settings, model, variables, windows, end, search, divisor):
    """What a search for the end of a line finds: means over the prompts."""
    prompts = jnp.asarray(windows[:, : settings.prompt_length])

    @jax.jit
    def find(variables):
        read = reading(settings, model, variables)
        carry, _ = model.apply(variables, len(prompts), method="start")
        asked = {"width": settings.beams, "length": settings.written, "end_token": end}
        return search(carry=carry, prompt=prompts, divisor=divisor, **asked, **read)

    found = find(variables)
    totals, lengths = (np.asarray(x)[:, 0] for x in (found.log_probabilities, found.lengths))
    return {
        "length": float(lengths.mean()),
        "total": float(totals.mean()),
        "per_character": float((totals / lengths).mean()),
        "finished": float(np.asarray(found.finished)[:, 0].mean()),
    }


def words(text):
    """Runs of letters, in lower case."""
    return re.findall(r"[a-z]+", text.lower())


def measures(texts, known):
    """Of the continuations of one way."""
    runs = [distinct_ngrams([text], 8) for text in texts]
    # The first and the last word of each may be cut off.
    inner = [word for text in texts for word in words(text)[1:-1]]
    return {
        "distinct_4": distinct_ngrams(texts, 4),
        "repeated": 1 - float(np.mean(runs)),
        "words": float(np.mean([word in known for word in inner])) if inner else float("nan"),
    }


def likelihood_and_variety(found):
    """Draws each way at its log-likelihood and its distinct-4."""
    figure, (axes,) = canvas(5.6, 4)
    for colour, (name, numbers) in zip(COLOURS, found.items(), strict=False):
        place = numbers["log_likelihood"], numbers["distinct_4"]
        axes.scatter(*place, color=colour, s=40, label=name)
    axes.set(xlabel="log-likelihood of a character [nats]", ylabel="distinct-4")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def table(found):
    """A row for each way of writing."""
    columns = next(iter(found.values()), ())
    rows = [f"{'':18s}" + "".join(f"{name.replace('_', ' '):>15s}" for name in columns)]
    for way, numbers in found.items():
        rows.append(f"{way:18s}" + "".join(f"{value:15.3f}" for value in numbers.values()))
    return "\n".join(rows)
