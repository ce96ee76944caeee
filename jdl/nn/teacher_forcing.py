"""Teacher forcing: a model that writes is trained on what the teacher wrote, not on its own words.

    inputs   start, y_1, ..., y_{T-1}
    targets    y_1, y_2, ..., y_T

All predictions of a sequence are then computed at once, each given the true tokens before it.
Source: Williams, Zipser 1989; 000; 004 sec. 6.3, "shifted right". A model without a start token
learns from tokens[:, :-1] and tokens[:, 1:].

Axes: B sequences, T tokens.
"""

import jax
import jax.numpy as jnp


def shifted_right(tokens: jax.Array, start_token: int) -> jax.Array:
    """What a decoder reads when it is to write the tokens: a start, and all but the last.

    Args:
        tokens: the targets, integers [B, T]; filling behind the shorter ones may stand.
        start_token: before the first.

    Returns:
        The inputs [B, T].

    Raises:
        ValueError: tokens of another rank.

    Example:
        >>> shifted_right(jnp.array([[5, 6, 7]]), 1).tolist()
        [[1, 5, 6]]
    """
    if tokens.ndim != 2:
        raise ValueError(f"tokens are [B, T]; got {list(tokens.shape)}")
    return jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=start_token)
