"""DALL-E, a decoder-only Transformer over the words of a text and the codes of its image.

    start, text [B, N], image [B, S, S] without its last code        1 + N + S^2 - 1 tokens
      text    word embedding + position embedding; where there is no word, a padding of the place
      image   code embedding + row embedding + column embedding
      -> L blocks, each of a pattern -> norm
      -> logits of the next word [B, N, V] or the next code [B, S, S, K]

    loss = 1/8 mean -log p(word) + 7/8 mean -log p(code)

An image token sees all of the text in every block, and of the image what the block's pattern has
(`jdl.nn.attention_patterns`): the convolution in the last block, columns in blocks 2, 6, 10, ...,
rows in all others.

As published, N = 256, V = 16,384, S = 32, K = 8192, L = 64, 62 heads of 64 features: 12,292,840,960
parameters, "12 billion". The codes are those of `jdl.models.multimodal.discrete_vae`.

    codes = draw_codes(model, variables, text, key)      one after the other, in rows
    images = the discrete VAE's "decode" of the codes
    rerank(clip, clip_variables, images, texts)          the best of several, by CLIP

Source: Ramesh, Pavlov, Goh and others 2021, sections 2.2 to 2.6, figures 10 and 11, appendix B. The
paper leaves open the heads, which here are dense layers of their own, the initial weights, which
are GPT-2's, and whether padding is predicted, which it is not here. Departs in cost: masks hide
what the published kernels do not compute.

Axes: B pairs, N places of a text, S rows and columns of codes, D features, V words, K codes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Key, Model, Objective, Variables
from jdl.decoding import bound, generate, sampling
from jdl.functional import functional
from jdl.models.transformers.sparse_decoder import SparseDecoder
from jdl.nn.attention_cache import Past
from jdl.nn.attention_patterns import text_and_image
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, Linear


def dalle(
    vocab_size: int = 16384,
    num_codes: int = 8192,
    text_length: int = 256,
    grid: int = 32,
    hidden_dim: int = 3968,
    num_layers: int = 64,
    num_heads: int = 62,
    *,
    kernel_size: int = 11,
    pad_token: int = 0,
    dropout_rate: float = 0.0,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """DALL-E, by default the published one.

    Args:
        vocab_size: V, of the texts.
        num_codes: K, of the images.
        text_length: N, of every text, filled up behind with `pad_token`.
        grid: S.
        hidden_dim: D.
        num_layers: L.
        num_heads: of attention; they share the features equally.
        kernel_size: of the last block's convolution.
        pad_token: stands where there is no word.
        dropout_rate: of embeddings, attention's weights, and what a part adds; the paper names
            none.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "body.blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: text [B, N], codes [B, S, S] -> DalleOutput. Its methods: "start", text -> (logits
        [B, K] of the first code, carry); "decode", (carry, codes [B]) -> (logits [B, K] of the next
        one, carry).

    Raises:
        ValueError: heads that do not divide the features; from `apply`, texts or codes of another
            shape, no integers, or out of their vocabularies.

    Example:
        >>> model = dalle(11, 7, 4, 3, 8, 2, 2)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> text, codes = jnp.ones([2, 4], int), jnp.ones([2, 3, 3], int)
        >>> jax.tree.map(jnp.shape, jax.eval_shape(model.apply, variables, text, codes)[0])
        DalleOutput(words=(2, 4, 11), codes=(2, 3, 3, 7))
    """
    sizes = DalleSizes(vocab_size, num_codes, text_length, grid, pad_token)
    patterns = {
        kind: text_and_image(1 + text_length, grid, kind, kernel_size=kernel_size)
        for kind in ("row", "column", "convolution")
    }
    body = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "patterns": [patterns[kind] for kind in kinds_of_layers(num_layers)],
        "dropout_rate": dropout_rate,
        "scan_layers": scan_layers,
        "remat": remat,
        "dtypes": {"dtype": dtype, "param_dtype": param_dtype},
    }
    return functional(lambda rngs: Dalle(sizes, body, rngs=rngs), stacks=("body.blocks",))


def kinds_of_layers(num_layers: int) -> list[str]:
    """The pattern of each block: row, column, row, row, again and again; the last a convolution.

    Example:
        >>> kinds_of_layers(5)
        ['row', 'column', 'row', 'row', 'convolution']
    """
    early = ["column" if layer % 4 == 1 else "row" for layer in range(num_layers - 1)]
    return [*early, "convolution"]


def text_and_image_likelihood(
    model: Model, *, text_weight: float = 1 / 8, pad_token: int = 0
) -> Objective:
    """The negative log-likelihood of words and codes, which are what is wanted and weigh more.

        loss = w mean_{words} -log p(word) + (1 - w) mean_{codes} -log p(code)

    Args:
        model: of `dalle`.
        text_weight: w.
        pad_token: of the model; is no word.

    Returns:
        An Objective of (text [B, N], codes [B, S, S]). Its info has the means, "text" and "image",
        in nats.
    """

    def objective(params, buffers, batch, key):
        text, codes = batch
        output, buffers = model.apply(Variables(params, buffers), text, codes, key=key, train=True)
        losses = (
            optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
            for logits, labels in ((output.words, text), (output.codes, codes))
        )
        of_words, of_codes = losses
        is_word = text != pad_token
        words = jnp.sum(of_words, where=is_word) / jnp.maximum(is_word.sum(), 1)
        info = {"text": words, "image": of_codes.mean()}
        loss = text_weight * words + (1 - text_weight) * info["image"]
        return loss, (buffers, info)

    return objective


def draw_codes(
    model: Model,
    variables: Variables,
    text: jax.Array,
    key: Key | None,
    *,
    grid: int = 32,
    choose: Callable[[jax.Array, Key | None], jax.Array] | None = None,
) -> jax.Array:
    """Images of texts.

    Args:
        model: of `dalle`.
        variables: of it.
        text: [B, N]; several images of one text are several rows.
        key: of the draws.
        grid: S of the model.
        choose: of `jdl.decoding`; None is `sampling()`, at temperature 1 as published.

    Returns:
        Codes [B, S, S].

    Example:
        >>> model = dalle(11, 7, 4, 3, 8, 1, 2)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> draw = lambda variables, text: draw_codes(
        ...     model, variables, text, jax.random.key(0), grid=3
        ... )
        >>> jax.eval_shape(draw, variables, jnp.ones([2, 4], int)).shape
        (2, 3, 3)
    """
    logits, carry = bound(model, variables, "start")(text)
    blank = jnp.zeros([len(text), 1], jnp.int32)  # the text is read: what follows has no prompt
    found = generate(
        bound(model, variables),
        carry,
        blank,
        key,
        length=grid**2,
        choose=sampling() if choose is None else choose,
        prefill=lambda carry, prompt, lengths: (logits, carry),
    )
    return found.tokens.reshape(-1, grid, grid)


class Ranked(NamedTuple):
    """Candidates for each text.

    Attributes:
        order: [B, M], the best first.
        scores: [B, M], of the candidates as they came, cosines.
    """

    order: jax.Array
    scores: jax.Array


def rerank(model: Model, variables: Variables, images: jax.Array, texts: jax.Array) -> Ranked:
    """Orders images by how well they fit their text, in the eyes of two towers.

    DALL-E's best is that of 512 candidates (section 2.6).

    Args:
        model: of `jdl.models.multimodal.clip` or `two_towers`.
        variables: of it.
        images: M for each text, [B, M, H, W, C], as the towers want them.
        texts: [B, T], tokens of the towers' vocabulary.

    Returns:
        Ranked.
    """
    flat = images.reshape(-1, *images.shape[2:])
    seen, _ = model.apply(variables, flat, method="encode_image")
    read, _ = model.apply(variables, texts, method="encode_text")
    seen = seen.reshape(*images.shape[:2], -1)
    scores = jnp.einsum("bme,be->bm", seen, read, preferred_element_type=jnp.float32)
    return Ranked(jnp.argsort(-scores, axis=1), scores)


class DalleOutput(NamedTuple):
    """Logits of what comes next.

    Attributes:
        words: [B, N, V], each from the start and the words before it.
        codes: [B, S, S, K], each from the text and the codes before it, row by row.
    """

    words: jax.Array
    codes: jax.Array


class DalleSizes(NamedTuple):
    """The arguments of `dalle` that its embeddings read."""

    vocab_size: int
    num_codes: int
    text_length: int
    grid: int
    pad_token: int


class Dalle(nnx.Module):
    """The network of `dalle`."""

    def __init__(self, sizes, body, *, rngs):
        self.sizes, features = sizes, body["features"]
        made = {**body["dtypes"], "rngs": rngs}
        init = nnx.initializers.normal(0.02)

        def embed(count):
            return Embed(count, features, embedding_init=init, **made)

        def head(outputs):
            return Linear(features, outputs, kernel_init=init, **made)

        self.words, self.padding = embed(sizes.vocab_size), embed(sizes.text_length)
        self.begin, self.positions = embed(1), embed(1 + sizes.text_length)
        self.codes, self.rows, self.columns = map(embed, (sizes.num_codes, sizes.grid, sizes.grid))
        self.dropout = nnx.Dropout(body["dropout_rate"])
        self.body = SparseDecoder(**body, rngs=rngs)
        self.word_head, self.code_head = head(sizes.vocab_size), head(sizes.num_codes)

    def __call__(
        self, text: jax.Array, codes: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> DalleOutput:
        """Text [B, N], codes [B, S, S] -> DalleOutput."""
        sizes = self.sizes
        if codes.shape != (len(text), sizes.grid, sizes.grid):
            raise ValueError(
                f"codes are [{len(text)}, {sizes.grid}, {sizes.grid}], a grid for each text; "
                f"got {list(codes.shape)}"
            )
        flat = codes.reshape(len(codes), -1)
        check_tokens(flat, sizes.num_codes)
        last = flat.shape[1] - 1
        x = [self._of_text(text)]
        if last:
            x.append(self._of_codes(flat[:, :-1], jnp.arange(last)[None]))
        x = self.dropout(jnp.concatenate(x, axis=1), rngs=rngs)
        x = self.body(x, rngs=rngs)
        words, codes = x[:, : sizes.text_length], x[:, sizes.text_length :]
        codes = self.code_head(codes).reshape(len(text), sizes.grid, sizes.grid, -1)
        return DalleOutput(self.word_head(words), codes)

    def start(self, text: jax.Array) -> tuple[jax.Array, Past]:
        """Text [B, N] -> the logits [B, K] of the first code, the carry."""
        carry = self.body.start(len(text), self.sizes.text_length + self.sizes.grid**2)
        x, carry = self.body.extend(self._of_text(text), carry)
        return self.code_head(x[:, -1]), carry

    def decode(self, carry: Past, codes: jax.Array) -> tuple[jax.Array, Past]:
        """The code [B] that was drawn -> the logits [B, K] of the next one, the carry."""
        place = carry.position[:, None] - 1 - self.sizes.text_length
        x, carry = self.body.extend(self._of_codes(codes[:, None], place), carry)
        return self.code_head(x[:, 0]), carry

    def _of_text(self, text):
        """The start and the text, [B, 1 + N, D]."""
        sizes = self.sizes
        check_tokens(text, sizes.vocab_size)
        if text.shape[1] != sizes.text_length:
            raise ValueError(
                f"a text has {sizes.text_length} places, filled up behind with "
                f"{sizes.pad_token}; got {text.shape[1]}"
            )
        places = jnp.arange(sizes.text_length)[None]
        is_word = (text != sizes.pad_token)[..., None]
        x = jnp.where(is_word, self.words(text), self.padding(places))
        begin = jnp.broadcast_to(self.begin(jnp.zeros([1, 1], int)), (len(text), 1, x.shape[-1]))
        x = jnp.concatenate([begin, x], axis=1)
        return x + self.positions(jnp.arange(x.shape[1])[None])

    def _of_codes(self, codes, places):
        """Codes [B, T] at places in the image, row by row, [B or 1, T] -> [B, T, D]."""
        row, column = jnp.divmod(places, self.sizes.grid)
        return self.codes(codes) + self.rows(row) + self.columns(column)
