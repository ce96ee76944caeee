"""Bilinear enlargement against PyTorch."""

import numpy as np
import pytest

from jdl.models.convnets.fcn import enlarged

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("shape", [(24, 40), (17, 9), (3, 5)])
def test_enlarged_maps_are_those_of_pytorch(oracle, shape):
    torch = oracle("torch")
    x = np.random.default_rng(0).normal(size=[2, 3, 5, 4]).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.tensor(x.transpose(0, 3, 1, 2)), size=shape, mode="bilinear", align_corners=False
    )
    found = enlarged(x, shape)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-5)
