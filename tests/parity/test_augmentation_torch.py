"""Readings between pixels and affine maps against PyTorch's grid_sample and affine_grid."""

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.warps import affine, affine_matrix, warped

pytestmark = pytest.mark.parity
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=[2, 8, 8, 3]).astype(np.float32)


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


def sampled(torch, images, grid, order, mode):
    found = torch.nn.functional.grid_sample(
        torch.tensor(np.moveaxis(images, -1, 1)),
        torch.tensor(np.asarray(grid, np.float32)),
        mode="bilinear" if order else "nearest",
        padding_mode=mode,
        align_corners=True,
    )
    return np.moveaxis(found.numpy(), 1, -1)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("constant", "zeros"), ("edge", "border"), ("reflect", "reflection")]
)
@pytest.mark.parametrize("order", [0, 1])
def test_grid_sample(torch, order, ours, theirs):
    rows, columns = RNG.uniform(-5, 12, [2, 2, 6, 5]).astype(np.float32)
    grid = np.stack([columns / 3.5 - 1, rows / 3.5 - 1], -1)  # from -1, first, to 1, last
    found = warped(IMAGES, rows, columns, order=order, mode=ours)
    expected = sampled(torch, IMAGES, grid, order, theirs)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_affine_grid(torch):
    matrices = affine_matrix(
        jnp.array([40.0, -15.0]), zoom=(1.2, 0.7), shear=(0.2, 0.1), shift=(1.0, -2.0)
    )
    whole = np.tile(np.eye(3), (2, 1, 1))
    whole[:, :2] = matrices
    inverse = np.linalg.inv(whole)[:, :2]
    theta = inverse[:, ::-1][:, :, [1, 0, 2]].copy()  # PyTorch's x comes first
    theta[..., 2] /= 3.5
    grid = torch.nn.functional.affine_grid(
        torch.tensor(theta, dtype=torch.float32), [2, 3, 8, 8], align_corners=True
    )
    expected = sampled(torch, IMAGES, grid.numpy(), 1, "zeros")
    np.testing.assert_allclose(affine(IMAGES, matrices), expected, atol=2e-5)
