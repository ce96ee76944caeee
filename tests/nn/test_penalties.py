import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.penalties import elastic_net, l1, squared_l2

PARAMS = {
    "layers": {"0": {"kernel": jnp.array([[1.0, -2.0], [0.0, 3.0]]), "bias": jnp.full(2, 9.0)}},
    "norm": {"scale": jnp.full(2, 9.0)},
}


def test_weights_alone_are_summed():
    assert float(squared_l2(PARAMS)) == 14.0
    assert float(l1(PARAMS)) == 6.0
    assert float(elastic_net(PARAMS, 0.5, 2.0)) == 31.0
    assert float(l1(PARAMS, lambda path, leaf: True)) == 42.0


def test_the_gradient_with_a_half_is_lambda_w_and_without_it_twice_that():
    kernel = np.asarray(PARAMS["layers"]["0"]["kernel"])
    for half, factor in ((0.5, 1.0), (1.0, 2.0)):
        slope = jax.grad(lambda p, half=half: half * 0.1 * squared_l2(p))(PARAMS)
        np.testing.assert_allclose(slope["layers"]["0"]["kernel"], factor * 0.1 * kernel)
        assert not slope["layers"]["0"]["bias"].any() and not slope["norm"]["scale"].any()


def test_the_slope_of_l1_is_the_sign_and_zero_at_zero():
    slope = jax.grad(l1)(PARAMS)["layers"]["0"]["kernel"]
    assert slope.tolist() == [[1.0, -1.0], [0.0, 1.0]]


def test_a_step_of_001_shrinks_the_weights_by_one_minus_rate_times_strength():
    kernel = np.asarray(PARAMS["layers"]["0"]["kernel"])
    slope = jax.grad(lambda p: 0.5 * 0.3 * squared_l2(p))(PARAMS)["layers"]["0"]["kernel"]
    np.testing.assert_allclose(kernel - 0.1 * slope, (1 - 0.1 * 0.3) * kernel, rtol=1e-6)


def test_a_penalty_of_nothing_is_refused():
    with pytest.raises(ValueError, match="refused all of"):
        squared_l2({"bias": jnp.ones(2)})


def test_half_precision_is_summed_in_single():
    total = squared_l2({"kernel": jnp.full(4096, 1.0, jnp.bfloat16)})
    assert total.dtype == jnp.float32 and float(total) == 4096
