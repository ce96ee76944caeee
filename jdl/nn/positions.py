"""What tells a Transformer where a token stands: five schemes.

    sinusoidal   p_{t, 2j} = sin(t / 10000^(2j/D)),  p_{t, 2j+1} = cos(the same)     added
    learned      a table, `nnx.Embed`; `resized_grid` brings one to another resolution
    rotary       queries and keys turned by t / 10000^(2j/F) in each plane of features
    ALiBi        -slope_h |i - j| added to the scores of head h
    none         attention alone cannot tell orders apart: permuted tokens, permuted outputs

p_{t + k} is p_t times a matrix of k alone (`sinusoidal_shift`), |p_t|^2 = D / 2, and a product of
rotary queries and keys depends on i - j alone.

Source: Vaswani et al. 2017, section 3.5; Gehring et al. 2017 (learned); Dosovitskiy et al. 2021,
section 3.2 (resizing); Su et al. 2021 (rotary); Press, Smith, Lewis 2022 (ALiBi); 001; 004 sec.
6.2.

Departs from 004: eq. 6.22 is printed for features from 1, while its example counts from 0, as here;
and its exponent has i for j. 001 calls attention without positions invariant under permutations: it
is equivariant.

Axes: B sequences, T tokens, H heads, F features of a head, D features.
"""

import jax
import jax.numpy as jnp
import numpy as np


def sinusoidal(positions: jax.Array, features: int, *, base: float = 10_000.0) -> jax.Array:
    """Sines and cosines of positions, in turns.

    Args:
        positions: [...], of any size.
        features: D, even.
        base: of the wavelengths, which go from 2 pi to base * 2 pi.

    Returns:
        [..., D] in float32.

    Raises:
        ValueError: an odd number of features.

    Example:
        >>> sinusoidal(jnp.arange(2), 4)[0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    angles = _angles(positions, features, base)
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(*positions.shape, -1)


def sinusoidal_shift(shift: float, features: int, *, base: float = 10_000.0) -> jax.Array:
    """The matrix M with p_{t + shift} = p_t M for every t: a rotation of each pair of features.

    Args:
        shift: in positions.
        features: D, even.
        base: as `sinusoidal` has it.

    Returns:
        [D, D].
    """
    angles = _angles(jnp.asarray(shift, jnp.float32), features, base)
    sines, cosines = jnp.sin(angles), jnp.cos(angles)
    blocks = jnp.stack([jnp.stack([cosines, -sines], -1), jnp.stack([sines, cosines], -1)], -2)
    return jax.scipy.linalg.block_diag(*blocks)


def rotary(
    x: jax.Array,
    positions: jax.Array,
    *,
    base: float = 10_000.0,
    interleaved: bool = True,
) -> jax.Array:
    """Queries or keys, turned in each plane of features by an angle that grows with the position.

    Args:
        x: [B, T, H, F], F even.
        positions: [T] or [B, T].
        base: as `sinusoidal` has it.
        interleaved: planes of features 2j and 2j + 1, as published; False: j and j + F / 2, the
            form of GPT-NeoX and Llama.

    Returns:
        [B, T, H, F] of the dtype of x; lengths are kept.

    Example:
        >>> rotary(jnp.ones([1, 1, 1, 2]), jnp.array([jnp.pi / 2]))[0, 0, 0].round(3).tolist()
        [-1.0, 1.0]
    """
    angles = _angles(positions, x.shape[-1], base)
    angles = (angles if positions.ndim == 2 else angles[None])[:, :, None]
    sines, cosines = jnp.sin(angles), jnp.cos(angles)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if interleaved:
        first, second = wide[..., ::2], wide[..., 1::2]
    else:
        first, second = jnp.split(wide, 2, axis=-1)
    turned = (first * cosines - second * sines, first * sines + second * cosines)
    if interleaved:
        return jnp.stack(turned, axis=-1).reshape(x.shape).astype(x.dtype)
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def alibi_slopes(num_heads: int) -> np.ndarray:
    """How fast each head's scores fall with the distance: 2^(-8/H), 2^(-16/H), ..., 2^-8.

    For a number H that is no power of two, the slopes of the next lower power and, between them,
    every other one of its double, as the authors' code has it.

    Args:
        num_heads: H.

    Returns:
        [H].

    Example:
        >>> alibi_slopes(8)[:2].tolist(), alibi_slopes(3).tolist()
        ([0.5, 0.25], [0.0625, 0.00390625, 0.25])
    """
    power = 2 ** (num_heads.bit_length() - 1)
    slopes = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4 * np.arange(1, 2 * power + 1, 2) / power)
    return np.concatenate([slopes, between[: num_heads - power]])


def alibi(num_heads: int, queries: jax.Array, keys: jax.Array) -> jax.Array:
    """What to add to the scores: -slope_h |i - j|.

    Args:
        num_heads: H.
        queries: [I] or [B, I], their positions.
        keys: [J], theirs.

    Returns:
        [1, H, I, J] or [B, H, I, J] in float32, a `bias` of attention.
    """
    queries = jnp.atleast_2d(queries)[:, None, :, None]
    distances = jnp.abs(queries - keys[None, None, None]).astype(jnp.float32)
    return -jnp.asarray(alibi_slopes(num_heads), jnp.float32)[None, :, None, None] * distances


def resized_grid(
    table: jax.Array,
    grid: tuple[int, int],
    new_grid: tuple[int, int],
    *,
    num_extra: int = 1,
    method: str = "cubic",
) -> jax.Array:
    """Learned positions of an image's patches, for an image of another resolution.

    Args:
        table: [num_extra + H W, D], the patches row by row.
        grid: (H, W), how many patches there were.
        new_grid: (H', W').
        num_extra: of first tokens that stand nowhere in the image, and are kept.
        method: of `jax.image.resize`: "cubic" is PyTorch's bicubic with antialias=True, "linear"
            its bilinear with antialias=True. PyTorch's bicubic without it has another kernel.

    Returns:
        [num_extra + H' W', D].

    Raises:
        ValueError: a table of another length.

    Example:
        >>> resized_grid(jnp.ones([1 + 14 * 14, 8]), (14, 14), (24, 24)).shape
        (577, 8)
    """
    if len(table) != num_extra + grid[0] * grid[1]:
        raise ValueError(
            f"a grid of {grid[0]} x {grid[1]} and {num_extra} more tokens have "
            f"{num_extra + grid[0] * grid[1]} positions; got {len(table)}"
        )
    extra, patches = table[:num_extra], table[num_extra:]
    image = patches.reshape(*grid, -1)
    image = jax.image.resize(image, (*new_grid, image.shape[-1]), method)
    return jnp.concatenate([extra, image.reshape(-1, image.shape[-1])])


def _angles(positions, features, base):
    """t / base^(2j/D) in float32, [..., D / 2]."""
    if features % 2:
        raise ValueError(f"sines and cosines share an even number of features; got {features}")
    rates = jnp.asarray(base ** (-np.arange(0, features, 2) / features), jnp.float32)
    return jnp.asarray(positions, jnp.float32)[..., None] * rates.reshape(
        *[1] * jnp.ndim(positions), -1
    )
