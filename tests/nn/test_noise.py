import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.functional import functional
from jdl.nn.noise import Noise, gaussian_noise, masking, salt_and_pepper

X, KEY = jnp.full([200, 200], 0.4), jax.random.key(0)


def test_gaussian_noise_has_its_standard_deviation():
    noise = np.asarray(gaussian_noise(X, KEY, 0.2) - X)
    assert abs(noise.mean()) < 0.004 and abs(noise.std() - 0.2) < 0.003


def test_salt_and_pepper_fall_evenly_and_leave_the_rest():
    values, counts = np.unique(salt_and_pepper(X, KEY, 0.3, -1.0, 2.0), return_counts=True)
    np.testing.assert_allclose(values, [-1.0, 0.4, 2.0], rtol=1e-6)
    np.testing.assert_allclose(counts / X.size, [0.15, 0.7, 0.15], atol=0.01)


def test_masking_sets_to_zero_and_rescales_nothing():
    values, counts = np.unique(masking(X, KEY, 0.25), return_counts=True)
    np.testing.assert_allclose(values, [0.0, 0.4], rtol=1e-6)
    assert abs(counts[0] / X.size - 0.25) < 0.01


def test_the_layer_disturbs_in_training_alone():
    model = functional(lambda rngs: Noise(lambda x, key: gaussian_noise(x, key, 0.2)))
    variables = model.init(KEY)
    trained, again = (model.apply(variables, X, key=KEY, train=True)[0] for _ in range(2))
    np.testing.assert_array_equal(trained, again)
    assert abs(float((trained - X).std()) - 0.2) < 0.003
    np.testing.assert_array_equal(model.apply(variables, X)[0], X)


@pytest.mark.parametrize("noise", [masking, salt_and_pepper])
def test_a_rate_is_a_probability(noise):
    with pytest.raises(ValueError, match="got 1.5"):
        noise(X, KEY, 1.5)
