"""HMAX: from edges to objects by turns of matching and of taking the maximum.

    S1   |<g, x>| / |x|  over the pixels x under g,  g a Gabor filter of size s and orientation t
         g(u, v) = exp(-(u0^2 + gamma^2 v0^2) / (2 sigma^2)) cos(2 pi u0 / lambda)
         u0 = u cos t + v sin t,  v0 = -u sin t + v cos t;  u to the right, v down
         lambda = 2 s / (4 - 0.05 (s - 7) / 2),  sigma = 0.8 lambda,  gamma = 0.3
    C1   max of S1 over 8 + 2b positions each way and two sizes: band b has s = 7 + 4b and 9 + 4b
    S2   exp(-|x - p|^2 / (2 sigma^2 (n / 4)^2)) for each n x n patch x of C1 and each prototype p
    C2   max of S2 over all positions and bands -> linear head

    image [B, H, W, 1] -> S1, C1: a map a band -> S2 -> C2 [B, features] -> logits

A filter is 0 outside the circle in its square, then of mean 0 and length 1. Only the head learns;
filters and prototypes are buffers, and `with_prototypes` cuts prototypes from C1 of images.

Sources: Riesenhuber and Poggio 1999 (turns of S and C, the maximum); Serre, Wolf and Poggio 2005,
its equations for S1 and S2 and its table 1. The papers were not at hand. A public transcription of
the table bears out gamma, the sizes, lambda and sigma (the rule above gives them back to their one
decimal) and the C1 windows. From memory alone: steps of half a window and the 4 patch sizes of the
table; circle, mean, length and the division by |x|, of the authors' program; n / 4, of Serre et al.
2007. sigma = 1 of S2 is a choice. Departs from 2005: a patch is matched only where it lies wholly
on the map, so not in bands of maps smaller than itself; prototypes come from one band; the head is
linear, by gradient descent, where the paper has boosting or a support vector machine. In 1999 S2
were all 256 combinations of the orientations of 2 x 2 C1 cells.

Axes: B images, H rows, W columns, O orientations, P prototypes.
"""

from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Key, Model, Variables
from jdl.functional import functional

ASPECT = 0.3


def hmax(
    num_classes: int,
    *,
    num_prototypes: int = 250,
    patch_sizes: Sequence[int] = (4, 8, 12, 16),
    num_bands: int = 8,
    num_orientations: int = 4,
    sigma: float = 1.0,
    kernel_init: Callable = nnx.initializers.zeros_init(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The HMAX hierarchy, with random prototypes until `with_prototypes`.

    Args:
        num_classes: logits.
        num_prototypes: P, of each patch size.
        patch_sizes: sides n of the prototypes, in C1 cells.
        num_bands: of C1; each has two sizes of S1 filters.
        num_orientations: O, evenly over 180 degrees.
        sigma: width of the S2 units.
        kernel_init: (key, shape, dtype) -> the head to start with.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params, the filters and the prototypes.

    Returns:
        A Model: images [B, H, W, 1] -> logits [B, num_classes]. Its methods "c1" and "c2" give the
        maps, one [B, h, w, O] a band, and the features [B, len(patch_sizes) * P].

    Raises:
        ValueError: a size that is not positive; images that are not grey, or too small for the
            largest patch.

    Example:
        >>> model = hmax(3, num_prototypes=5, patch_sizes=[2, 4], num_bands=2)
        >>> images = jax.random.uniform(jax.random.key(0), [2, 28, 28, 1])
        >>> variables = model.init(jax.random.key(1))
        >>> variables = with_prototypes(model, variables, images, jax.random.key(2))
        >>> model.apply(variables, images)[0].shape
        (2, 3)
    """
    if min(num_prototypes, num_bands, num_orientations, sigma, *patch_sizes) <= 0:
        raise ValueError(
            "num_prototypes, patch_sizes, num_bands, num_orientations and sigma are positive; got "
            f"{num_prototypes}, {patch_sizes}, {num_bands}, {num_orientations}, {sigma}"
        )
    shapes = [(n, n, num_orientations, num_prototypes) for n in patch_sizes]
    options = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
    return functional(lambda rngs: Hmax(shapes, num_bands, sigma, num_classes, options, rngs=rngs))


def with_prototypes(
    model: Model, variables: Variables, images: jax.Array, key: Key, *, band: int = 0
) -> Variables:
    """Learning of HMAX: prototypes are what C1 saw at random places of random images.

    Args:
        model: of `hmax`.
        variables: of the model.
        images: [B, H, W, 1].
        key: draws the places.
        band: which C1 map is cut.

    Returns:
        The variables with other prototypes.

    Raises:
        ValueError: a patch is larger than the map.
    """
    maps, _ = model.apply(variables, images, method="c1")
    prototypes = variables.buffers["prototypes"]
    keys = jax.random.split(key, len(prototypes))
    cut = {
        name: _cut(maps[band], old.shape, each).astype(old.dtype)
        for each, (name, old) in zip(keys, prototypes.items(), strict=True)
    }
    return variables._replace(buffers={**variables.buffers, "prototypes": cut})


def gabors(size: int, num_orientations: int = 4) -> np.ndarray:
    """The S1 filters of a size.

    Args:
        size: side s, odd.
        num_orientations: O; the filter o likes bars at o * 180 / O degrees from the vertical,
            clockwise as seen: | / - \\ for four of them is the order.

    Returns:
        [size, size, O], float64.
    """
    wavelength = 2 * size / (4 - 0.05 * (size - 7) / 2)
    sigma = 0.8 * wavelength
    offsets = np.arange(size) - (size - 1) / 2
    v, u = (x[..., None] for x in np.meshgrid(offsets, offsets, indexing="ij"))
    angles = np.pi * np.arange(num_orientations) / num_orientations
    u0, v0 = u * np.cos(angles) + v * np.sin(angles), v * np.cos(angles) - u * np.sin(angles)
    waves = np.exp(-(u0**2 + (ASPECT * v0) ** 2) / (2 * sigma**2)) * np.cos(
        2 * np.pi / wavelength * u0
    )
    waves = np.where(np.hypot(u, v) <= size / 2, waves, 0)
    waves -= waves.mean((0, 1))
    return waves / np.sqrt((waves**2).sum((0, 1)))


def s1_cells(images: jax.Array, filters: jax.Array) -> jax.Array:
    """Responses of the edge detectors, in [0, 1] whatever the contrast.

    Args:
        images: [B, H, W, 1]; black around them.
        filters: [size, size, O], of length 1.

    Returns:
        [B, H, W, O]; 0 where all pixels are.
    """
    energy = _convolved(images**2, jnp.ones([*filters.shape[:2], 1, 1]), "SAME")
    seen = energy > 0
    length = jnp.sqrt(jnp.where(seen, energy, 1))
    return jnp.where(seen, jnp.abs(_convolved(images, filters[:, :, None], "SAME")) / length, 0)


def c1_cells(fine: jax.Array, coarse: jax.Array, band: int) -> jax.Array:
    """The maximum over neighbouring positions and two sizes of filters.

    Args:
        fine: S1 of the smaller filters, [B, H, W, O].
        coarse: S1 of the larger.
        band: b; the window is 8 + 2b wide, its step half of that.

    Returns:
        [B, h, w, O].
    """
    side, step = _window(band)
    return nnx.max_pool(jnp.maximum(fine, coarse), (side, side), (step, step), "VALID")


def s2_cells(maps: jax.Array, prototypes: jax.Array, *, sigma: float = 1.0) -> jax.Array:
    """How near each patch is to each prototype.

    Args:
        maps: C1, [B, h, w, O].
        prototypes: [n, n, O, P].
        sigma: their width, for n = 4.

    Returns:
        [B, h - n + 1, w - n + 1, P] in (0, 1].
    """
    squares = _convolved(maps**2, jnp.ones([*prototypes.shape[:3], 1]), "VALID")
    lengths = jnp.sum(prototypes**2, (0, 1, 2))[None, None, None]
    distance = squares - 2 * _convolved(maps, prototypes, "VALID") + lengths
    return jnp.exp(-jax.nn.relu(distance) / (2 * (sigma * len(prototypes) / 4) ** 2))


class Hmax(nnx.Module):
    """The network of `hmax`."""

    def __init__(self, shapes, num_bands, sigma, num_classes, options, *, rngs):
        self.sigma, self.dtype, kind = sigma, options["dtype"], options["param_dtype"]
        self.filters = nnx.List(
            nnx.Variable(jnp.asarray(gabors(7 + 2 * i, shapes[0][2]), kind))
            for i in range(2 * num_bands)
        )
        self.prototypes = nnx.List(
            nnx.Variable(jax.random.uniform(rngs.prototypes(), shape, kind)) for shape in shapes
        )
        features = sum(shape[-1] for shape in shapes)
        self.head = nnx.Linear(features, num_classes, **options, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, 1] -> logits [B, num_classes]."""
        return self.head(self.c2(images))

    def c1(self, images: jax.Array) -> list[jax.Array]:
        """Images [B, H, W, 1] -> a map [B, h, w, O] for each band that they can hold."""
        chex.assert_shape(
            images,
            (None, None, None, 1),
            exception_type=ValueError,
            custom_message="HMAX sees grey images, [B, H, W, 1]",
        )
        largest = max(len(p[...]) for p in self.prototypes)
        side, step = _window(0)
        needed = side + step * (largest - 1)
        if min(images.shape[1:3]) < needed:
            raise ValueError(
                f"patches of {largest} x {largest} C1 cells need images of {needed} x {needed} "
                f"pixels; got {images.shape}. Enlarge the images or lessen patch_sizes"
            )
        filters = [f[...] for f in self.filters]
        dtype = self.dtype or jnp.result_type(images, filters[0])
        s1 = [s1_cells(images.astype(dtype), f.astype(dtype)) for f in filters]
        pairs = enumerate(zip(s1[::2], s1[1::2], strict=True))
        return [c1_cells(*pair, b) for b, pair in pairs if min(images.shape[1:3]) >= _window(b)[0]]

    def c2(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, 1] -> how well each prototype is matched anywhere, [B, features]."""
        maps = self.c1(images)
        features = []
        for prototypes in (p[...].astype(maps[0].dtype) for p in self.prototypes):
            fitting = [m for m in maps if min(m.shape[1:3]) >= len(prototypes)]
            cells = [s2_cells(m, prototypes, sigma=self.sigma).max((1, 2)) for m in fitting]
            features.append(jnp.stack(cells).max(0))
        return jnp.concatenate(features, -1)


def _window(band):
    """Side and step of the C1 window."""
    return 8 + 2 * band, 4 + band


def _cut(maps, shape, key):
    """Random patches of the maps [B, h, w, O], in the shape [n, n, O, P]."""
    n, _, orientations, count = shape
    if min(maps.shape[1:3]) < n:
        raise ValueError(f"a patch of {n} x {n} cells is larger than the map {maps.shape}")
    limits = jnp.array([maps.shape[0], maps.shape[1] - n + 1, maps.shape[2] - n + 1])
    places = jax.random.randint(key, [count, 3], 0, limits[None])
    patches = jax.vmap(
        lambda place: jax.lax.dynamic_slice(maps, (*place, 0), (1, n, n, orientations))[0]
    )(places)
    return jnp.moveaxis(patches, 0, -1)


def _convolved(inputs, kernel, padding):
    """Cross-correlation."""
    return jax.lax.conv_general_dilated(
        inputs,
        kernel.astype(inputs.dtype),
        (1, 1),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
