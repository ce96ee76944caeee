"""The 1-5-1 network of 004, example 9.3.2, in function space: our chains against a long NUTS run.

The reference is NumPyro's NUTS, target 0.9, 8 chains of 1,000 + 2,000 draws (323 s, busy machine):
R-hat of these values at most 1.036, 353 to 8,694 effective draws, from which the standard errors
are. There is none for the 5x10 network: NUTS has R-hat 1.45 after 234 s (`benchmarks/bayes.py`).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist

from jdl.bayes import UNIT, adaptive_hmc, adaptive_mclmc, bulk_ess, posterior, sample
from jdl.bayes.likelihoods import gaussian
from jdl.core import Variables
from jdl.models.column_mlp import column_mlp
from jdl.recipes.bnn_regression import LEFT, RIGHT, observed

GRID = np.linspace(-0.5, 1.2, 18)
MEAN = np.array(
    [-0.0039, -0.2258, -0.4863, -0.6572, -0.5223, 0.0193, 0.5438, 0.7397, 0.7835]
    + [0.8098, 0.8358, 0.7952, 0.6014, 0.3569, 0.4267, 0.9511, 1.7356, 2.5370]
)
STD = np.array(
    [1.2024, 0.8002, 0.3709, 0.0675, 0.0275, 0.0243, 0.0247, 0.0438, 0.1122]
    + [0.1410, 0.0964, 0.0397, 0.0234, 0.0243, 0.0253, 0.0534, 0.2740, 0.6671]
)
SIZES = np.array(
    [404, 375, 353, 530, 1073, 1917, 2003, 1049, 727, 889, 1338, 3869, 4370, 4631, 8694, 7055]
    + [2066, 1757]
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler",
    [
        partial(adaptive_hmc, num_steps=1000, mass=UNIT),
        partial(adaptive_mclmc, steps_per_draw=500),
    ],
    ids=["hmc", "mclmc"],
)
def test_function_values_have_the_means_and_deviations_of_nuts(sampler):
    keys = jax.random.split(jax.random.key(0))
    parts = [observed(key, side, 500, 0.3) for key, side in zip(keys, (LEFT, RIGHT), strict=True)]
    x, y = (jnp.concatenate(pair)[None] for pair in zip(*parts, strict=True))
    goal = posterior(
        column_mlp([1, 5, 1], jnp.tanh), dist.Normal(0.0, 10**0.5), gaussian(0.3), (x, y)
    )
    sampled = sample(goal, sampler, jax.random.key(1), warmup=500, draws=500)
    model, grid = column_mlp([1, 5, 1], jnp.tanh), jnp.asarray(GRID, jnp.float32)[None]
    values = jax.jit(jax.vmap(jax.vmap(lambda p: model.apply(Variables(p), grid)[0][0])))
    found = np.asarray(values(jax.tree.map(jnp.asarray, sampled.draws)))
    sizes = bulk_ess(found)
    assert sizes.min() > 100
    errors = np.sqrt(STD**2 / SIZES + found.var((0, 1)) / sizes)
    assert np.abs((found.mean((0, 1)) - MEAN) / errors).max() < 4.5
    # The relative standard error of a deviation is 1 / sqrt(2 n) where values are normal; their
    # tails are heavier here: three times that.
    errors = 3 * np.sqrt(1 / (2 * SIZES) + 1 / (2 * sizes))
    assert np.abs(np.log(found.std((0, 1)) / STD) / errors).max() < 4.5
    # A likelihood of half the noise has other deviations.
    assert np.abs(np.log(found.std((0, 1)) / (STD / 2)) / errors).max() > 4.5
