import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.landscapes import LANDSCAPES, beale, beale_of_004, himmelblau, rosenbrock


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_minimum_is_where_and_what_it_is_said_to_be(name):
    function, minimum, least, _ = LANDSCAPES[name]
    point = jnp.array(minimum)
    assert float(function(point)) == pytest.approx(least, abs=1e-6)
    np.testing.assert_allclose(jax.grad(function)(point), [0, 0], atol=2e-5)
    assert np.linalg.eigvalsh(jax.hessian(function)(point)).min() > 0


def test_beales_curvature_at_its_two_minima():
    """Of spec/practical-004-ch1-2-4.md."""
    for function, minimum, expected in [
        (beale, [3.0, 0.5], [0.30, 48.98]),
        (beale_of_004, [2.4507382, 0.3631139], [0.855, 23.95]),
    ]:
        found = np.linalg.eigvalsh(jax.hessian(function)(jnp.array(minimum)))
        np.testing.assert_allclose(found, expected, rtol=0.02)


def test_beale_at_the_start_of_004_section_9_3():
    point = jnp.array([1.2, 2.0])
    assert float(beale_of_004(point)) == pytest.approx(155.2014063, rel=1e-6)
    assert float(beale(point)) == pytest.approx(163.063125, rel=1e-6)
    np.testing.assert_allclose(jax.grad(beale_of_004)(point), [189.775, 369.72], rtol=1e-5)
    hessian = [[118.0, 540.9], [540.9, 798.84]]
    np.testing.assert_allclose(jax.hessian(beale_of_004)(point), hessian, rtol=1e-4)


def test_what_004_calls_the_minimum_is_none():
    assert float(beale_of_004(jnp.array([2.5, 1.5]))) == pytest.approx(103.69, abs=0.01)


def test_rosenbrock_in_more_dimensions():
    assert float(rosenbrock(jnp.ones(5))) == 0
    assert float(rosenbrock(jnp.array([-1.2, 1.0]))) == pytest.approx(24.2, rel=1e-5)


def test_himmelblaus_other_minima():
    for point in ([-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]):
        assert float(himmelblau(jnp.array(point))) < 1e-8
