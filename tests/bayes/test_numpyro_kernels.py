"""NumPyro's kernels as algorithms: the moments of a known Gaussian, and the other chain's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer import HMC, NUTS

from jdl.bayes.numpyro_kernels import from_numpyro
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick

COVARIANCE = np.array([[1.0, 0.8], [0.8, 2.0]])
PRECISION = jnp.asarray(np.linalg.inv(COVARIANCE), jnp.float32)


def potential(params):
    return 0.5 * params["x"] @ PRECISION @ params["x"]


@pytest.mark.parametrize(
    "kernel",
    [NUTS(potential_fn=potential), HMC(potential_fn=potential, trajectory_length=2.0)],
    ids=["NUTS", "HMC"],
)
def test_moments_of_a_correlated_gaussian_by_vmapped_chains(kernel, key):
    chain = from_numpyro(kernel, num_warmup=200)

    def one(key):
        key_init, key_run = jax.random.split(key)
        state = chain.init(Variables({"x": jnp.zeros(2)}, {"kept": jnp.ones(1)}), key_init)
        return run(
            chain,
            state,
            None,
            key_run,
            length=800,
            keep=lambda state, info: (state.variables, info),
        )[1]

    variables, info = quick(jax.vmap(one))(jax.random.split(key, 16))
    draws = np.asarray(variables.params["x"][:, 200:])
    np.testing.assert_allclose(np.cov(draws.reshape(-1, 2).T), COVARIANCE, rtol=0.12)
    assert np.abs(draws.mean((0, 1))).max() < 0.15
    assert variables.buffers["kept"].min() == 1
    assert info["diverged"][:, 200:].sum() == 0
    assert 0.6 < info["acceptance"][:, 200:].mean() <= 1


def test_our_leapfrog_makes_the_same_trajectory_as_numpyros():
    from numpyro.infer.hmc_util import velocity_verlet

    from jdl.bayes.hmc import kinetic_energy, leapfrog

    inverse_mass = jnp.array([0.5, 2.0])
    start = {"x": jnp.array([0.3, -0.4])}
    momentum = {"x": jnp.array([1.0, 2.0])}
    init, update = velocity_verlet(potential, lambda m, r: kinetic_energy(r, {"x": m}))
    state = init(start, momentum)
    for _ in range(7):
        state = update(0.1, inverse_mass, state)
    flow = jax.value_and_grad(lambda x: -potential(x))
    q, p, value, _ = leapfrog(flow, start, momentum, 0.1, 7, {"x": inverse_mass})
    np.testing.assert_allclose(q["x"], state.z["x"], rtol=1e-5)
    np.testing.assert_allclose(p["x"], state.r["x"], rtol=1e-5)
    np.testing.assert_allclose(-value, state.potential_energy, rtol=1e-5)


def test_it_starts_with_a_key():
    with pytest.raises(ValueError, match=r"init\(variables, key\)"):
        from_numpyro(NUTS(potential_fn=potential), 10).init(Variables({"x": jnp.zeros(2)}))
