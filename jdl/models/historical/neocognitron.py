"""The neocognitron: layers of feature detectors and of cells that forgive their position.

    S-cell   u_S(n, k) = r relu( (1 + sum_v,j a(v, j, k) u(n + v, j))
                                 / (1 + 2 r / (1 + r) b(k) u_V(n)) - 1 )
    V-cell   u_V(n)    = sqrt( sum_v,j c(v) u(n + v, j)^2 )
    C-cell   u_C(n, k) = psi( (1 + p(n, k)) / (1 + mean over k of p(n, k)) - 1 )
             p(n, k)   = sum_v d(v) u_S(n + v, k),   psi(x) = x / (alpha + x) for x > 0, else 0
    learning a(v, j, k) += q c(v) u(n + v, j),   b(k) += q u_V(n) / 2      at the seed cell n of k

    image [B, H, W, 1] -> (S -> C, half the size)  a stage -> last C: one cell a plane [B, planes]

After much learning of one pattern x, a cell answers y with relu((1 + r) s - r), where s is the
cosine of x and y weighted by c: r sets how alike they must be, s > r / (1 + r).

Source: Fukushima 1980, sections 2 and 3, with its r, alpha, 5 x 5 fields and 24 planes. Departs
from it: C-cells halve the size (16, 8, 4) where the paper's layers are 16, 10, 8, 6, 2 and 1 wide;
c and d fall off as 0.9^distance and add up to 1; and which cells are seeds is the caller's choice
(`reinforced`), as in his later, supervised form, where the paper has them compete. 004 has S-cells
look at places that do not overlap: they do overlap.

Axes: B images, H rows, W columns, planes last.
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional

FALLOFF = 0.9


def neocognitron(
    num_planes: Sequence[int] = (24, 24, 24),
    *,
    selectivity: Sequence[float] = (4.0, 1.5, 1.5),
    field: int = 5,
    saturation: float = 0.5,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The neocognitron before learning: weak random excitation, no inhibition.

    Args:
        num_planes: cell planes of each stage; two at least, for C-cells of one have no contrast.
        selectivity: r of each stage.
        field: side of the receptive fields, odd.
        saturation: alpha of the C-cells.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params, which are not negative.

    Returns:
        A Model: images [B, H, W, 1] -> responses [B, num_planes[-1]] in [0, 1).

    Raises:
        ValueError: a selectivity is missing, or images that are not grey.

    Example:
        >>> model = neocognitron([4, 3], selectivity=[4.0, 1.5])
        >>> responses, _ = model.apply(model.init(jax.random.key(0)), jnp.ones([2, 16, 16, 1]))
        >>> responses.shape
        (2, 3)
    """
    if len(num_planes) != len(selectivity):
        raise ValueError(f"one selectivity a stage: {len(num_planes)}; got {selectivity}")
    return functional(
        lambda rngs: Neocognitron(
            num_planes, selectivity, field, saturation, (dtype, param_dtype), rngs=rngs
        )
    )


def fall_off(size: int) -> jax.Array:
    """The fixed weights c and d, [size, size]: less with the distance, of sum 1."""
    offsets = jnp.arange(size) - (size - 1) / 2
    weights = FALLOFF ** jnp.hypot(offsets[:, None], offsets[None, :])
    return weights / weights.sum()


def s_cells(
    inputs: jax.Array, excitation: jax.Array, inhibition: jax.Array, *, selectivity: float
) -> jax.Array:
    """The feature detectors.

    Args:
        inputs: [B, H, W, J], not negative.
        excitation: a, [field, field, J, K].
        inhibition: b, [K].
        selectivity: r.

    Returns:
        [B, H, W, K].
    """
    excited = _convolved(inputs, excitation)
    suppressed = 2 * selectivity / (1 + selectivity) * inhibition * v_cells(inputs, len(excitation))
    return selectivity * jax.nn.relu((1 + excited) / (1 + suppressed) - 1)


def v_cells(inputs: jax.Array, field: int) -> jax.Array:
    """The inhibitory cells, a weighted root mean square.

    Args:
        inputs: [B, H, W, J].
        field: side of the receptive field.

    Returns:
        [B, H, W, 1].
    """
    weights = jnp.repeat(fall_off(field)[..., None, None], inputs.shape[-1], 2)
    squares = _convolved(inputs**2, weights)
    # The root has no derivative at 0: there the cell is silent, and passes none.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def c_cells(
    inputs: jax.Array, weights: jax.Array, *, saturation: float = 0.5, stride: int = 1
) -> jax.Array:
    """The cells that forgive position, and compete with those of the other planes.

    Args:
        inputs: S-cells, [B, H, W, K].
        weights: d, [h, w].
        saturation: alpha.
        stride: between neighbours.

    Returns:
        [B, H / stride, W / stride, K] in [0, 1).
    """
    planes = inputs.shape[-1]
    kernel = jnp.repeat(weights[..., None, None], planes, -1)
    pooled = _convolved(inputs, kernel, stride, planes)
    contrast = jax.nn.relu((1 + pooled) / (1 + pooled.mean(-1, keepdims=True)) - 1)
    return contrast / (saturation + contrast)


def reinforced(
    excitation: jax.Array, inhibition: jax.Array, patch: jax.Array, plane: int, rate: float
) -> tuple[jax.Array, jax.Array]:
    """A step of learning: the cells of a plane come to like what a seed cell sees.

    Args:
        excitation: a, [field, field, J, K].
        inhibition: b, [K].
        patch: what the seed cell sees, [field, field, J].
        plane: the seed cell's.
        rate: q; 1 in the first stage of the paper, 16 in the others.

    Returns:
        Excitation and inhibition after the step.
    """
    weights = fall_off(patch.shape[0])[..., None]
    seen = jnp.sqrt(jnp.sum(weights * patch**2))
    return (
        excitation.at[..., plane].add(rate * weights * patch),
        inhibition.at[plane].add(rate * seen / 2),
    )


class Neocognitron(nnx.Module):
    """The network of `neocognitron`."""

    def __init__(self, num_planes, selectivity, field, saturation, dtypes, *, rngs):
        self.selectivity, self.saturation, (self.dtype, kind) = selectivity, saturation, dtypes
        self.excitation = nnx.List(
            nnx.Param(jax.random.uniform(rngs.params(), [field, field, j, k], kind, maxval=0.1))
            for j, k in zip((1, *num_planes[:-1]), num_planes, strict=True)
        )
        self.inhibition = nnx.List(nnx.Param(jnp.zeros([k], kind)) for k in num_planes)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, 1] -> responses [B, num_planes[-1]]."""
        chex.assert_shape(images, (None, None, None, 1), exception_type=ValueError)
        excitation, inhibition = (
            [param[...] for param in params] for params in (self.excitation, self.inhibition)
        )
        dtype = self.dtype or jnp.result_type(images, excitation[0])
        u = images.astype(dtype)
        for stage, r in enumerate(self.selectivity):
            a, b = excitation[stage].astype(dtype), inhibition[stage].astype(dtype)
            u = s_cells(u, a, b[None, None, None], selectivity=r)
            if stage + 1 < len(self.selectivity):
                u = c_cells(u, fall_off(len(a)), saturation=self.saturation, stride=2)
        everywhere = jnp.mean(u, (1, 2), keepdims=True)
        return c_cells(everywhere, jnp.ones([1, 1]), saturation=self.saturation)[:, 0, 0]


def _convolved(inputs, kernel, stride=1, groups=1):
    """Cross-correlation that keeps the size, or divides it by the stride."""
    return jax.lax.conv_general_dilated(
        inputs,
        kernel.astype(inputs.dtype),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
