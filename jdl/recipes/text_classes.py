"""What the recipes that sort texts share: tokens in rows, training by epochs, a bag of words.

Axes: N texts, T tokens, V words, K classes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl import metrics
from jdl.core import Model
from jdl.models.linear import linear
from jdl.models.transformers.masked_language_model import packed_pair
from jdl.text import bag_of_words, build_vocabulary, encode
from jdl.text.word_piece import CLS, PAD, SEP, basic_tokens, piece_tokens
from jdl.train import classification, descent, fit, gradient


def piece_rows(vocabulary, texts, length):
    """[CLS] text [SEP] as ids of word pieces, cut or filled: [N, T].

    Args:
        vocabulary: of word pieces.
        texts: N strings.
        length: T.
    """
    ids = vocabulary.ids
    options = {"length": length, "cls_token": ids[CLS], "sep_token": ids[SEP]}
    rows = [
        packed_pair(
            encode(vocabulary, piece_tokens(vocabulary, text)), **options, pad_token=ids[PAD]
        )[0]
        for text in texts
    ]
    return np.stack(rows)


def without_padding(model, pad_token):
    """BERT as a model of tokens alone, which sees no padding.

    Args:
        model: (tokens, segments, mask) -> outputs.
        pad_token: id of the filling.
    """

    def apply(variables, tokens, **options):
        return model.apply(variables, tokens, None, tokens != pad_token, **options)

    return Model(model.init, apply)


def trained_by_epochs(model, variables, train, test, optimizer, key, *, epochs, batch_size):
    """Trains a classifier, and looks at other texts after each epoch.

    Args:
        model: tokens [B, T] -> logits [B, K].
        variables: to start from.
        train: tokens [N, T] and labels [N].
        test: the same of those other texts.
        optimizer: of optax.
        key: of the order and of dropout.
        epochs: passes over the training texts.
        batch_size: texts in a step.

    Returns:
        Fitted, whose evaluations are the `loss` and the `accuracy` on the other texts.
    """
    tokens, labels = (jnp.asarray(part) for part in test)

    def evaluate(variables):
        logits = logits_of(model, variables, tokens)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return {"loss": losses.mean(), "accuracy": metrics.accuracy(logits.argmax(-1), labels)}

    algorithm = descent(gradient(classification(model)), optimizer)
    epoch = len(train[1]) // batch_size
    return fit(
        algorithm,
        algorithm.init(variables),
        train,
        key,
        steps=epochs * epoch,
        batch_size=batch_size,
        evaluate=evaluate,
        evaluate_every=epoch,
    )


def logits_of(model, variables, tokens, batch_size=256):
    """Logits [N, K] of tokens [N, T], some at a time."""

    def one(row):
        return model.apply(variables, row[None])[0][0]

    return jax.lax.map(one, jnp.asarray(tokens), batch_size=batch_size)


def epochs_of(fitted, epochs):
    """By name, [epochs]: means of the training loss and accuracy, and what was evaluated."""
    training = {
        f"train {name}": fitted.history[name].reshape(epochs, -1).mean(1)
        for name in ("loss", "accuracy")
    }
    return training | {f"test {name}": fitted.evaluations[name] for name in ("loss", "accuracy")}


def bag_accuracy(train, test, steps=500, size=5000):
    """The accuracy of a softmax regression on counts of words, which no order reaches.

    Args:
        train: texts and labels [N].
        test: the same.
        steps: of Adam on all texts at once.
        size: the most words that count.
    """
    words = [[basic_tokens(text) for text in texts] for texts, _ in (train, test)]
    vocabulary = build_vocabulary(words[0], max_size=size)
    bags = [
        bag_of_words([encode(vocabulary, tokens) for tokens in part], len(vocabulary.tokens))
        for part in words
    ]
    model = linear(len(vocabulary.tokens), int(max(train[1].max(), test[1].max())) + 1)
    algorithm = descent(gradient(classification(model)), optax.adam(0.03))
    batch = jnp.asarray(bags[0]), jnp.asarray(train[1])
    fitted = fit(
        algorithm,
        algorithm.init(model.init(jax.random.key(0))),
        lambda step: batch,
        jax.random.key(0),
        steps=steps,
    )
    logits, _ = model.apply(fitted.state.variables, jnp.asarray(bags[1]))
    return float(metrics.accuracy(logits.argmax(-1), jnp.asarray(test[1])))
