"""BERT's heads: what is put on top of the encoder to pre-train it, and to use it.

    pretraining       masked words, and whether the second sentence follows the first
    masked_words      gelu, norm, then the word embedding again: logits [B, T, V]
    classifier(K)     of a sentence or a pair: W pooled + b -> [B, K]
    multiple_choice   one vector for all choices: tokens [B, C, T] -> [B, C]
    span              a start and an end in the text: two of [B, T]
    tagger(K)         each token: [B, T, K]
    first_token(K)    RoBERTa's and DistilBERT's classifier, a dense layer on x_[CLS]: [B, K]

    bert(head=classifier(8))                                      109,488,392 parameters
    load("google-bert/bert-base-uncased", head=classifier(8), head_key=key)

A pair of sentences is one sequence with two segments. Source: Devlin, Chang, Lee, Toutanova 2019,
sections 3.1 and 4; 004 sec. 6.4. All heads return logits.

Departs from 004: eq. 6.28 takes the logarithm of softmax(W^T h), whose negative, at the true class,
is the loss; here the head gives the logits. Its start and end vectors have biases, as in the
released code.

Axes: B sequences, C choices, T tokens, K classes, D features, V words.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.models.transformers.bert import Head


class PretrainingLogits(NamedTuple):
    """What BERT guesses in pre-training.

    Attributes:
        words: [B, T, V], of the word at each place.
        is_next: [B, 2]; class 0 is "the second sentence follows", 1 is "it does not".
    """

    words: jax.Array
    is_next: jax.Array


class Span(NamedTuple):
    """Logits of where an answer starts and ends.

    Attributes:
        start: [B, T].
        end: [B, T], of its last token.
    """

    start: jax.Array
    end: jax.Array


def masked_words() -> Head:
    """The word at each place: BertOutput -> logits [B, T, V]."""
    return Head(lambda config, rngs: PretrainingHead(config, False, rngs=rngs), pools=False)


def pretraining() -> Head:
    """Both tasks of pre-training: BertOutput -> PretrainingLogits."""
    return Head(lambda config, rngs: PretrainingHead(config, True, rngs=rngs), pools=True)


def classifier(num_classes: int = 2) -> Head:
    """Classes of a sentence, or of a pair: BertOutput -> logits [B, K].

    Args:
        num_classes: K; 1 gives a number, for regression.
    """
    return Head(lambda config, rngs: Classifier(config, num_classes, rngs=rngs), pools=True)


def multiple_choice() -> Head:
    """Which of C choices, each a sequence of its own: tokens [B, C, T] -> logits [B, C]."""
    return Head(MultipleChoice, pools=True)


def span() -> Head:
    """Where the answer stands: BertOutput -> Span."""
    return Head(SpanHead, pools=False)


def tagger(num_classes: int) -> Head:
    """A class for each token: BertOutput -> logits [B, T, K].

    Args:
        num_classes: K.
    """
    return Head(lambda config, rngs: Tagger(config, num_classes, rngs=rngs), pools=False)


def first_token(num_classes: int = 2, activation: Callable = jnp.tanh) -> Head:
    """Classes by a dense layer and a linear one on the first token: BertOutput -> logits [B, K].

    Args:
        num_classes: K.
        activation: of the dense layer; RoBERTa's is tanh, DistilBERT's `jax.nn.relu`.
    """
    return Head(
        lambda config, rngs: FirstToken(config, num_classes, activation, rngs=rngs), pools=False
    )


class WordHead(nnx.Module):
    """Words of the stream: dense, activation, norm, the words' embedding and a bias."""

    def __init__(self, config, rngs):
        self.transform = config.linear(config.hidden_dim, rngs)
        self.norm, self.activation = config.norm(rngs), config.activation
        param_dtype = config.dtypes["param_dtype"]
        self.bias = nnx.Param(jnp.zeros([config.vocab_size], param_dtype))

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """BertOutput -> [B, T, V]."""
        x = self.norm(self.activation(self.transform(output.sequence)))
        logits = words.attend(x)
        bias = self.bias[...].astype(logits.dtype)
        return logits + bias.reshape(*[1] * (logits.ndim - 1), -1)


class PretrainingHead(nnx.Module):
    """The head of `pretraining`, and of `masked_words`."""

    def __init__(self, config, pairs, *, rngs):
        self.words = WordHead(config, rngs)
        self.is_next = config.linear(2, rngs) if pairs else None

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None):
        """BertOutput -> PretrainingLogits, or [B, T, V] of words alone."""
        logits = self.words(output, words)
        return (
            logits
            if self.is_next is None
            else PretrainingLogits(logits, self.is_next(output.pooled))
        )


class Classifier(nnx.Module):
    """The head of `classifier`: dropout and a linear layer."""

    def __init__(self, config, num_classes, *, rngs):
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.classifier = config.linear(num_classes, rngs)

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """BertOutput -> [B, K]."""
        return self.classifier(self.dropout(output.pooled, rngs=rngs))


class MultipleChoice(nnx.Module):
    """The head of `multiple_choice`: the classifier with one output, for each choice."""

    def __init__(self, config, rngs):
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.classifier = config.linear(1, rngs)

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """BertOutput of [B, C, T] -> [B, C]."""
        if output.sequence.ndim != 4:
            raise ValueError(
                "multiple choice takes tokens [B, C, T], a sequence for each of C choices; "
                f"got {list(output.sequence.shape[:-1])}"
            )
        return self.classifier(self.dropout(output.pooled, rngs=rngs))[..., 0]


class SpanHead(nnx.Module):
    """The head of `span`: the products of each token with a start and an end vector."""

    def __init__(self, config, rngs):
        self.span = config.linear(2, rngs)

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None) -> Span:
        """BertOutput -> Span."""
        logits = self.span(output.sequence)
        return Span(logits[..., 0], logits[..., 1])


class Tagger(nnx.Module):
    """The head of `tagger`: dropout and a linear layer at each token."""

    def __init__(self, config, num_classes, *, rngs):
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.classifier = config.linear(num_classes, rngs)

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """BertOutput -> [B, T, K]."""
        return self.classifier(self.dropout(output.sequence, rngs=rngs))


class FirstToken(nnx.Module):
    """The head of `first_token`."""

    def __init__(self, config, num_classes, activation, *, rngs):
        self.dropout, self.activation = nnx.Dropout(config.dropout_rate), activation
        self.dense = config.linear(config.hidden_dim, rngs)
        self.classifier = config.linear(num_classes, rngs)

    def __call__(self, output, words, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """BertOutput -> [B, K]."""
        x = self.activation(self.dense(self.dropout(output.sequence[..., 0, :], rngs=rngs)))
        return self.classifier(self.dropout(x, rngs=rngs))


def span_extraction(model: Model) -> Objective:
    """The mean negative log-likelihood of the right start and end, added.

        loss = - mean_b (log softmax(start)[first] + log softmax(end)[last])

    Source: Devlin et al. 2019, section 4.2; their code divides the sum by two.

    Args:
        model: with the head `span`.

    Returns:
        An Objective of batches (inputs of the model, a tuple; first [B]; last [B]).
    """

    def objective(params, buffers, batch, key):
        inputs, *places = batch
        logits, buffers = model.apply(Variables(params, buffers), *inputs, key=key, train=True)
        losses = [
            optax.softmax_cross_entropy_with_integer_labels(x.astype(jnp.float32), place)
            for x, place in zip(logits, places, strict=True)
        ]
        return jnp.mean(losses[0] + losses[1]), (buffers, {})

    return objective


def best_span(
    logits: Span, *, longest: int | None = None, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """The most likely answer: the pair i <= j of the greatest start_i + end_j.

    Args:
        logits: of `span`.
        longest: an answer's greatest number of tokens; None has no limit.
        mask: [B, T], true where an answer may stand, such as the paragraph without the question.

    Returns:
        First and last place, each [B]; -1 where no answer may stand.

    Example:
        >>> start, end = jnp.array([[0.0, 0.0, 2.0]]), jnp.array([[9.0, 0.0, 1.0]])
        >>> [int(place[0]) for place in best_span(Span(start, end))]  # not 2 to 0
        [0, 0]
    """
    start, end = logits
    length = start.shape[1]
    places = jnp.arange(length)
    distance = places[None] - places[:, None]
    allowed = (distance >= 0) & (distance < (longest or length))
    allowed = allowed[None]
    if mask is not None:
        allowed = allowed & mask[:, :, None] & mask[:, None, :]
    scores = jnp.where(allowed, start[:, :, None] + end[:, None, :], -jnp.inf)
    best = jnp.argmax(scores.reshape(len(start), -1), axis=1)
    some = allowed.any((1, 2))
    return jnp.where(some, best // length, -1), jnp.where(some, best % length, -1)
