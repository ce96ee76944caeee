"""The checks of token ids at a model's boundary."""

import jax
import jax.numpy as jnp
import numpy as np


def check_tokens(tokens: jax.Array, vocab_size: int, longest: int | None = None) -> None:
    """Raises what is wrong with tokens [B, T].

    Their values are looked at only where they are known: outside of jit. Inside of it an id that
    the vocabulary lacks has NaN for an embedding.

    Args:
        tokens: integers [B, T], T at least 1.
        vocab_size: ids are less than this.
        longest: the greatest T; None has no limit.

    Raises:
        ValueError: another rank or dtype, a longer sequence, an id that the vocabulary lacks.

    Example:
        >>> check_tokens(jnp.array([[0, 7]]), 7)
        Traceback (most recent call last):
        ...
        ValueError: token ids are 0 to 6, of a vocabulary of 7; got 0 to 7
    """
    if not hasattr(tokens, "ndim"):
        raise ValueError(
            f"tokens are an array [B, T]; got a {type(tokens).__name__}. `jdl.text.padded` fills "
            "up sequences of several lengths"
        )
    if tokens.ndim != 2 or not tokens.shape[1] or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            "tokens are integers [B, T], one at least a sequence; "
            f"got {tokens.dtype} {list(tokens.shape)}"
        )
    if longest is not None and tokens.shape[1] > longest:
        raise ValueError(
            f"a sequence has at most {longest} tokens, the context; got {tokens.shape[1]}. "
            "Cut a longer text into windows"
        )
    if isinstance(tokens, jax.core.Tracer) or not tokens.size:
        return
    known = np.asarray(tokens)  # NumPy's own minimum of a JAX array would be traced inside of jit
    least, most = known.min(), known.max()
    if least < 0 or most >= vocab_size:
        raise ValueError(
            f"token ids are 0 to {vocab_size - 1}, of a vocabulary of {vocab_size}; "
            f"got {least} to {most}"
        )


def check_special(vocab_size: int, **tokens: int | None) -> None:
    """Raises which special tokens a vocabulary lacks.

    Args:
        vocab_size: ids are less than this.
        tokens: by their names; None is no token.

    Raises:
        ValueError: a token that the vocabulary lacks.

    Example:
        >>> check_special(7, pad_token=0, end_token=9)
        Traceback (most recent call last):
        ...
        ValueError: end_token=9 is none of the 7 tokens of the vocabulary
    """
    for name, token in tokens.items():
        if token is not None and not 0 <= token < vocab_size:
            raise ValueError(f"{name}={token} is none of the {vocab_size} tokens of the vocabulary")


def check_pairs(source: jax.Array, target: jax.Array) -> None:
    """Raises where a batch has not as many sources as targets; what is no batch is left to others.

    Args:
        source: [B, S] or images.
        target: [B, T].

    Raises:
        ValueError: different numbers.
    """
    if min(source.ndim, target.ndim) > 1 and len(source) != len(target):
        raise ValueError(
            f"each source has a target; got {len(source)} sources and {len(target)} targets"
        )
