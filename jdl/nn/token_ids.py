"""The check of token ids at a model's boundary."""

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
