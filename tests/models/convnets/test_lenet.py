"""LeNet-5 against the counts of LeCun et al. 1998 and a NumPy forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from jdl.models import convnets


def test_parameter_counts_of_the_paper(key):
    params = jax.eval_shape(convnets.lenet5().init, key).params
    counts = {name: sum(x.size for x in jax.tree.leaves(layer)) for name, layer in params.items()}
    # LeCun 1998: C1 156, C5 48,120, F6 10,164. C3 is fully connected here: 16 * (6 * 25 + 1).
    assert counts == {"conv1": 156, "conv2": 2416, "dense1": 48120, "dense2": 10164, "head": 850}


def test_forward_pass_equals_numpy(key):
    model = convnets.lenet5()
    variables = model.init(key)
    images = jax.random.normal(jax.random.key(1), [2, 32, 32, 1])
    logits, _ = model.apply(variables, images)
    np.testing.assert_allclose(
        logits, _numpy_lenet(variables.params, np.asarray(images)), rtol=2e-4, atol=2e-5
    )


def test_dropout_masks_the_dense_layers_and_leaves_params_and_evaluation_alone(key):
    plain, dropping = convnets.lenet5(), convnets.lenet5(dropout_rate=0.5)
    variables = plain.init(key)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, variables, dropping.init(key)))
    images = jax.random.normal(jax.random.key(1), [2, 32, 32, 1])
    logits, _ = plain.apply(variables, images)
    np.testing.assert_array_equal(dropping.apply(variables, images)[0], logits)
    np.testing.assert_array_equal(plain.apply(variables, images, key=key, train=True)[0], logits)

    # With a head that passes on the 84 units, zeros are dropped units.
    wide = convnets.lenet5(84, dropout_rate=0.5)
    head = {"kernel": jnp.eye(84), "bias": jnp.zeros(84)}
    variables = variables._replace(params={**variables.params, "head": head})
    units, _ = wide.apply(variables, images, key=key, train=True)
    kept = np.asarray(units != 0)
    assert 50 < kept.sum() < 118  # of 168, half: 84, 5 deviations of 6.5
    others, _ = wide.apply(variables, images, key=jax.random.key(2), train=True)
    assert not np.array_equal(kept, np.asarray(others != 0))


def test_features_are_the_pooled_maps_and_classify_takes_the_last(key):
    model = convnets.lenet5()
    variables = model.init(key)
    images = jax.random.normal(jax.random.key(1), [2, 32, 32, 1])
    maps, _ = model.apply(variables, images, method="features")
    assert [x.shape for x in maps] == [(2, 14, 14, 6), (2, 5, 5, 16)]
    logits, _ = model.apply(variables, maps[-1], method="classify")
    np.testing.assert_allclose(logits, model.apply(variables, images)[0], rtol=1e-6, atol=1e-6)


def test_wrong_size_says_what_to_do():
    model = convnets.lenet5()
    with pytest.raises(ValueError, match="pad 28 x 28"):
        jax.eval_shape(model.apply, model.init(jax.random.key(0)), jnp.zeros([1, 28, 28, 1]))


def _numpy_lenet(p, x):
    def conv(x, w, b):
        return np.stack(
            [
                [
                    sum(correlate(im[..., c], w[..., c, o], "valid") for c in range(w.shape[2]))
                    + b[o]
                    for o in range(w.shape[3])
                ]
                for im in x
            ]
        ).transpose(0, 2, 3, 1)

    def pool(x):
        return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))

    p = jax.tree.map(np.asarray, p)
    x = pool(np.tanh(conv(x, p["conv1"]["kernel"], p["conv1"]["bias"])))
    x = pool(np.tanh(conv(x, p["conv2"]["kernel"], p["conv2"]["bias"]))).reshape(x.shape[0], -1)
    for name in ["dense1", "dense2"]:
        x = np.tanh(x @ p[name]["kernel"] + p[name]["bias"])
    return x @ p["head"]["kernel"] + p["head"]["bias"]
