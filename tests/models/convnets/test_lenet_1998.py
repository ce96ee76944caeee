"""LeNet-5 of 1998 against the paper's counts and table, by loops, and eq. 9 by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model
from jdl.models.convnets import lenet_1998
from jdl.models.convnets.lenet_1998 import CONNECTIONS, lenet5_1998, map_criterion, random_codes
from tests.conformance.case import quick
from tests.models.convnets.abstract import abstract, map_shapes, output, random_variables
from tests.nn.test_convolution import normal
from tests.nn.test_residual import conv

# Table I, a row for each map of S2, a column for each map of C3.
TABLE = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
""".split()


def test_counts_of_the_paper():
    params = abstract(lenet5_1998()).params
    counts = {name: sum(x.size for x in jax.tree.leaves(layer)) for name, layer in params.items()}
    expected = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert counts == expected and sum(counts.values()) == 60_000


def test_the_connections_are_those_of_table_1():
    found = ["".join("X" if row in inputs else "." for inputs in CONNECTIONS) for row in range(6)]
    assert found == TABLE
    assert map_shapes(lenet5_1998(), 32, 32, 1) == [(14, 14, 6), (5, 5, 16), (1, 1, 120)]


def test_the_network_is_its_formula():
    """Each map of C3 by itself, from the maps of its column."""
    model = lenet5_1998()
    variables = random_variables(model, 0.2)
    p, images = variables.params, normal(2, 32, 32, 1)

    def f(a):
        return 1.7159 * np.tanh(2 * a / 3)

    def subsampled(layer, x):
        size = x.shape[1] // 2
        sums = x.reshape(2, size, 2, size, 2, -1).sum((2, 4))
        return f(layer["coefficient"] * sums + layer["bias"])

    def valid(x, kernel):
        return conv({"kernel": kernel}, x)[:, 2:-2, 2:-2]

    x = subsampled(p["s2"], f(valid(images, p["c1"]["kernel"]) + p["c1"]["bias"]))
    maps, used = [], 0
    for column, bias in zip(zip(*TABLE, strict=True), p["c3"]["bias"], strict=True):
        seen = [i for i, mark in enumerate(column) if mark == "X"]
        kernel = p["c3"]["kernel"][:, :, used : used + len(seen), None]
        maps.append(valid(x[..., seen], kernel) + bias)
        used += len(seen)
    x = subsampled(p["s4"], f(np.concatenate(maps, -1)))
    x = f(np.einsum("bhwc,hwcd->bd", x, p["c5"]["kernel"]) + p["c5"]["bias"])
    x = f(x @ p["f6"]["kernel"] + p["f6"]["bias"])
    expected = -((x[:, None] - random_codes()) ** 2).sum(-1)
    logits = quick(lambda v, x: model.apply(v, x)[0])(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-2)


def test_the_sigmoid_is_one_at_one():
    np.testing.assert_allclose(lenet_1998.scaled_tanh(jnp.array([-1.0, 1.0])), [-1, 1], atol=1e-4)


def test_codes_are_signs_of_84_and_others_may_come():
    codes = random_codes()
    assert codes.shape == (10, 84) and set(np.unique(codes)) == {-1, 1}
    assert np.array_equal(codes, random_codes()) and not np.array_equal(codes, random_codes(seed=1))
    assert (
        output(lenet5_1998(np.ones([3, 84]), dtype=jnp.bfloat16), 32, 32, 1).dtype == jnp.bfloat16
    )
    with pytest.raises(ValueError, match="84"):
        lenet5_1998(np.ones([10, 83]))
    with pytest.raises(ValueError, match="pad 28 x 28"):
        output(lenet5_1998(), 28, 28, 1)


def test_weights_start_within_the_fan_in():
    params = lenet5_1998().init(jax.random.key(0)).params
    most = {name: np.abs(params[name]["kernel"]).max() for name in ("c1", "c5", "f6")}
    for name, fan_in in [("c1", 25), ("c5", 400), ("f6", 120)]:
        assert 0.9 < most[name] * fan_in / 2.4 <= 1
    last = np.abs(params["c3"]["kernel"][:, :, -6:]).max()  # of the map that sees six
    assert 0.9 < last * 150 / 2.4 <= 1


def test_the_criterion_is_eq_9(key):
    penalties, labels, j = np.abs(normal(4, 3)), np.array([0, 2, 1, 1]), 0.7
    model = Model(None, lambda v, x, **_: (-penalties, v.buffers))
    loss, _ = map_criterion(model, j)((), (), (None, labels), key)
    competing = np.log(np.exp(-j) + np.exp(-penalties).sum(1))
    expected = (penalties[np.arange(4), labels] + competing).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
