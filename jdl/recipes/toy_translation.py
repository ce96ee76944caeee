"""A small grammar is translated by attention, recurrent or alone, and through a fixed context.

Data: English sentences and their German ones (`jdl.data.toy_translation`), some for the test; a
sentence that was drawn for training is not tested. Models: RNNsearch (Bahdanau, Cho, Bengio 2015),
a bidirectional GRU with attention; a Transformer (004, problem 6.3) of one layer a side, 4 heads,
64 features; and a GRU encoder-decoder that reads the source backwards (Sutskever, Vinyals, Le 2014)
or forwards. States have 64 features. Teacher forcing, Adam with a cosine decay, gradients clipped
at 1. Words are written greedily; RNNsearch also by beams. Measured: whole sentences that are right,
and BLEU. Drawn: where the decoders look as they write the longest sentence (004's figure 6.11).

004's example 6.2.4 has the German and English of Tatoeba and a bidirectional LSTM of 512, and gives
no BLEU; its printed sources are reversed, though its text does not say so. Of the Transformer it
has the norm behind a part; here it stands in front, which needs no slow start.

Result, of 482 new sentences, seeds 0 and 1: RNNsearch, greedily and by beams, and the Transformer
translate all of them as the grammar does, a BLEU of 100. Backwards 12.0 and 16.4 % are right, with
a BLEU of 54.1 and 60.1; forwards 1.5 and 3.7 %, with 26.8 and 33.7: these two are still learning.
Each word of the Transformer is looked up by a head or two where it stands in the source; RNNsearch
looks at a noun for its article too, which has its gender. Cost: 75 s of processor time.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Key
from jdl.data import grammar_words, toy_translation
from jdl.decoding import beam_search, bound, generate
from jdl.metrics import bleu
from jdl.models.recurrent.rnnsearch import rnnsearch
from jdl.models.recurrent.sequence_to_sequence import sequence_to_sequence
from jdl.models.transformers import encoder_decoder, translation
from jdl.models.transformers.encoder_decoder import AttentionMaps
from jdl.nn.gru_cells import GRUCell
from jdl.nn.teacher_forcing import shifted_right
from jdl.plot.attention import attention_heads
from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report
from jdl.text import END, PAD, START, Vocabulary, decode, encode, padded
from jdl.train import descent, fit, gradient

SPECIALS = (PAD, START, END)


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    train_pairs: int = 8000
    """Pairs of sentences for training."""
    test_pairs: int = 500
    """Pairs that are drawn for the test."""
    embedding_dim: int = 32
    """Features of a word."""
    hidden_dim: int = 64
    """Features of a state."""
    steps: int = 800
    """Mini-batches."""
    batch_size: int = 64
    """Pairs in a step."""
    learning_rate: float = 5e-3
    """Of Adam, at the start."""
    beams: int = 4
    """Beams of the search with attention; 1 leaves it out."""
    transformer: bool = True
    """Train the Transformer too."""
    transformer_steps: int = 500
    """Its mini-batches: it learns in fewer."""
    fixed_context: bool = True
    """Train the two networks without attention too."""
    data_seed: int = 0
    """Of the sentences; the recipe's key leaves it alone."""


def run(settings: Settings, key: Key) -> Report:
    """Draws sentences, trains three models, translates."""
    number = settings.train_pairs + settings.test_pairs
    pairs = toy_translation(jax.random.key(settings.data_seed), number)
    english, german = (Vocabulary.of([*SPECIALS, *words]) for words in grammar_words())
    sources = padded([encode(english, words) for words in pairs.sources], padding="post")
    targets = padded([encode(german, [*words, END]) for words in pairs.targets], padding="post")
    seen = set(pairs.sources[: settings.train_pairs])
    test = [i for i in range(settings.train_pairs, number) if pairs.sources[i] not in seen]
    train = sources[: settings.train_pairs], targets[: settings.train_pairs]

    models = networks(settings, len(english.tokens), len(german.tokens))
    truth = [pairs.targets[i] for i in test]
    numbers, losses, learned, found = {"test_pairs": len(test)}, {}, {}, {}
    for (name, model), each in zip(models.items(), jax.random.split(key, len(models)), strict=True):
        fitted = trained(name, model, train, german.ids[START], settings, each)
        learned[name] = fitted.state.variables
        losses[name] = np.arange(1, len(fitted.history["loss"]) + 1), fitted.history["loss"]
    ways = [(name, name, 1) for name in models]
    ways += [("attention_beams", "attention", settings.beams)] if settings.beams > 1 else []
    for way, name, beams in ways:
        made = models[name], learned[name], sources[test], german, targets.shape[1]
        places = (targets.shape[1],) if name == "transformer" else ()
        found[way] = translations(*made, beams, places)
        numbers |= scores(way, found[way], truth)

    longest = max(range(len(test)), key=lambda i: len(truth[i]))
    source = pairs.sources[test[longest]]
    figures = {
        name: alignment(models[name], learned[name], source, found[name][longest], english, german)
        for name in models
        if name in ("attention", "transformer")
    }
    loss = "cross-entropy of a word [nats]"
    figures["learning"] = learning_curves({loss: losses}, logarithmic=[loss])
    written = " ".join(found["attention"][longest])
    return Report(numbers, figures, "\n".join([table(numbers), " ".join(source), written]))


def networks(settings, source_size, target_size):
    """The models by name."""
    sizes = source_size, target_size, settings.embedding_dim, settings.hidden_dim
    fixed = {"num_layers": 1, "cell": GRUCell}
    half = settings.hidden_dim // 2
    models = {"attention": rnnsearch(*sizes, alignment_dim=settings.hidden_dim, maxout_dim=half)}
    if settings.transformer:
        models["transformer"] = encoder_decoder(
            max(source_size, target_size),
            settings.hidden_dim,
            num_layers=1,
            num_heads=4,
            feed_forward_dim=2 * settings.hidden_dim,
            dropout_rate=0.0,
            norm_placement="pre",
            final_norm=True,
            tied=False,
        )
    if settings.fixed_context:
        models["reversed"] = sequence_to_sequence(*sizes, **fixed)
        models["forward"] = sequence_to_sequence(*sizes, **fixed, reverse_source=False)
    return models


def trained(name, model, train, start_token, settings, key):
    """Learns the pairs with teacher forcing."""
    objective = translation(model, start_token, label_smoothing=0.0)
    steps = settings.transformer_steps if name == "transformer" else settings.steps
    rate = optax.cosine_decay_schedule(settings.learning_rate, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    algorithm = descent(gradient(objective), optimizer)
    key_init, key_steps = jax.random.split(key)
    return fit(
        algorithm,
        algorithm.init(model.init(key_init)),
        train,
        key_steps,
        steps=steps,
        batch_size=settings.batch_size,
    )


def translations(model, variables, sources, german, length, beams, places):
    """The words that a model writes for each source: greedily, or the best of some beams.

    A carry of a Transformer has so many places.
    """
    start = jnp.full([len(sources), 1], german.ids[START])

    @jax.jit
    def write(variables):
        step = bound(model, variables)
        carry, _ = model.apply(variables, sources, *places, method="start")
        options = {"length": length, "end_token": german.ids[END]}
        if beams == 1:
            return generate(step, carry, start, **options).tokens
        return beam_search(step, carry, start, width=beams, **options).tokens[:, 0]

    return [tuple(decode(german, ids, end=END)) for ids in np.asarray(write(variables))]


def scores(name, found, truth):
    """Sentences that are right, and BLEU in percent."""
    right = np.mean([one == other for one, other in zip(found, truth, strict=True)])
    score = bleu(found, [[words] for words in truth])
    return {f"{name}_exact": float(right), f"{name}_bleu": 100 * float(score.score)}


def alignment(model, variables, source, target, english, german):
    """Draws where the decoder looks as it writes each word."""
    ids = jnp.array([encode(english, source)])
    inputs = shifted_right(jnp.array([encode(german, target)]), german.ids[START])
    maps = jax.jit(bound(model, variables, "attention_maps"))(ids, inputs)
    weights = maps.cross[-1, 0] if isinstance(maps, AttentionMaps) else maps[0]
    size = 5.0 if weights.ndim == 2 else 3.2
    return attention_heads(np.asarray(weights), target, source, columns=2, size=size)


def table(numbers):
    """A row for each way of translating."""
    names = [name.removesuffix("_exact") for name in numbers if name.endswith("_exact")]
    rows = [
        f"{name:16s}{numbers[f'{name}_exact']:8.1%}{numbers[f'{name}_bleu']:8.1f}" for name in names
    ]
    return "\n".join([f"{'':16s}{'right':>8s}{'BLEU':>8s}", *rows])
