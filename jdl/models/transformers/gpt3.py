"""GPT-3: GPT-2, larger, every other layer of which sees a band of the past alone.

    tokens [B, T] -> token embedding + position embedding                     [B, T, D]
      -> L times   x = x + attention(norm(x)),   x = x + W_2 gelu(W_1 norm(x))
                   layers 1, 3, ... see all of the past, layers 2, 4, ... the last W positions
      -> norm -> logits = x E^T                                               [B, T, V]

              L      D  heads  of     published  parameters
    small    12    768     12  64        125M         125,226,240
    medium   24   1024     16  64        356M         355,871,744
    large    24   1536     16  96        760M         760,300,032
    xl       24   2048     16  128     1,320M       1,315,723,264
    2.7b     32   2560     32  80      2,650M       2,651,553,280
    6.7b     32   4096     32  128     6,660M       6,658,404,352
    13b      40   5120     40  128    12,850M      12,853,386,240
    175b     96  12288     96  128   174,600M     174,604,259,328

A network has V D + C D + L (12 D^2 + 13 D) + 2 D parameters, of a context of C = 2048. A band
changes what is seen and no count; it is a mask, so that it saves no work here.

Source: Brown and others 2020, section 2.1, tables 2.1 and D.1, whose counts are those beside ours;
Child, Gray, Radford, Sutskever 2019 for the pattern. What the paper leaves open is as in GPT-2: the
vocabulary, the tanh GELU, the tied head, the initial weights. W is not published; 128 is the stride
of Child and others for text. Which layers are dense is not either; here the first one is.

Departs from table 2.1 where it contradicts itself: 24 heads of 128 in a width of 2048 (xl), and a
width of 5140 with 40 heads of 128 (13b). Heads of 128 that share 2048, and a width of 5120, have
the counts of table D.1; as printed, they would be 1,516M and 12,934M.

GPT-4 has no published architecture: its report (OpenAI 2023, section 2) says no more than that it
is a Transformer that predicts the next token, so it is not here.

Token by token as GPT-2: start, prefill, decode, extend. The objective is `gpt2.next_token`.

Axes: B sequences, T tokens, D features, V words.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.transformers.sparse_decoder import SparseDecoder
from jdl.nn.attention_cache import Past, positions, stopped
from jdl.nn.attention_patterns import banded, dense
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed


def gpt3(
    vocab_size: int = 50257,
    context: int = 2048,
    hidden_dim: int = 12288,
    num_layers: int = 96,
    num_heads: int = 96,
    *,
    window: int | None = 128,
    dropout_rate: float = 0.0,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """GPT-3, by default the largest of the eight. `SIZES` has them all.

    Args:
        vocab_size: V.
        context: the longest sequence, C.
        hidden_dim: D.
        num_layers: L.
        num_heads: of attention; they share the features equally.
        window: W, positions that every other layer sees, its own among them; None has all dense.
        dropout_rate: of embeddings, attention's weights, and what a part adds; the paper names
            none.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "body.blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] -> logits [B, T, V], those at t for the token at t + 1. Its methods
        start, prefill, decode and extend are those of `jdl.models.transformers.gpt2`.

    Raises:
        ValueError: heads that do not divide the features; a window of none; from `apply`, tokens
            that are no integers [B, T] of the vocabulary, or more than the context.

    Example:
        >>> model = gpt3(11, 8, 16, 2, 2, window=3)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([3, 8], int))[0].shape
        (3, 8, 11)
    """
    patterns = (dense, dense if window is None else banded(window))
    body = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "patterns": [patterns[layer % 2] for layer in range(num_layers)],
        "dropout_rate": dropout_rate,
        "scan_layers": scan_layers,
        "remat": remat,
        "dtypes": {"dtype": dtype, "param_dtype": param_dtype},
    }
    return functional(
        lambda rngs: GPT3(vocab_size, context, body, rngs=rngs), stacks=("body.blocks",)
    )


SIZES = {
    name: functools.partial(gpt3, hidden_dim=width, num_layers=depth, num_heads=heads)
    for name, depth, width, heads in (
        ("gpt3-small", 12, 768, 12),
        ("gpt3-medium", 24, 1024, 16),
        ("gpt3-large", 24, 1536, 16),
        ("gpt3-xl", 24, 2048, 16),
        ("gpt3-2.7b", 32, 2560, 32),
        ("gpt3-6.7b", 32, 4096, 32),
        ("gpt3-13b", 40, 5120, 40),
        ("gpt3-175b", 96, 12288, 96),
    )
}


class GPT3(nnx.Module):
    """The network of `gpt3`."""

    def __init__(self, vocab_size, context, body, *, rngs):
        self.vocab_size, self.context = vocab_size, context
        drawn = {"embedding_init": nnx.initializers.normal(0.02), **body["dtypes"], "rngs": rngs}
        self.tokens = Embed(vocab_size, body["features"], **drawn)
        self.positions = Embed(context, body["features"], **drawn)
        self.dropout = nnx.Dropout(body["dropout_rate"])
        self.body = SparseDecoder(**body, rngs=rngs)

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, T, V]."""
        check_tokens(tokens, self.vocab_size, self.context)
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1])[None])
        return self.tokens.attend(self.body(self.dropout(x, rngs=rngs), rngs=rngs))

    def start(self, batch_size: int, *, length: int | None = None) -> Past:
        """The carry before the first token, of `length` places; None is the context.

        Raises:
            ValueError: a length that exceeds the context.
        """
        length = self.context if length is None else length
        if not 1 <= length <= self.context:
            raise ValueError(f"a carry has 1 to {self.context} places, the context; got {length}")
        return self.body.start(batch_size, length)

    def prefill(
        self, carry: Past, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, Past]:
        """Prompts [B, T], with filling behind their lengths [B] -> logits [B, V], the carry."""
        x, after = self._read(carry, tokens)
        x, after = stopped(x, carry, after, lengths)
        return self.tokens.attend(x), after

    def decode(self, carry: Past, tokens: jax.Array) -> tuple[jax.Array, Past]:
        """A token [B] of each sequence -> the logits [B, V] of the next, the carry."""
        return self.prefill(carry, tokens[:, None])

    def extend(self, carry: Past, tokens: jax.Array) -> tuple[jax.Array, Past]:
        """Tokens [B, T] of each sequence -> the logits [B, T, V] behind each, the carry."""
        x, carry = self._read(carry, tokens)
        return self.tokens.attend(x), carry

    def _read(self, carry, tokens):
        at = positions(carry, tokens)
        check_tokens(tokens, self.vocab_size)
        return self.body.extend(self.tokens(tokens) + self.positions(at), carry)
