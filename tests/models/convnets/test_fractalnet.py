"""FractalNet against its recursion, counts by hand, and what drop-path may leave."""

import jax
import numpy as np
import pytest

from jdl.models.convnets.fractalnet import FRACTALNETS, NARROW, WIDTHS, fractalnet
from tests.models.convnets.test_resnet import randomized, shapes, total
from tests.nn.test_convolution import normal, quick
from tests.nn.test_residual import conv, norm, relu


def by_hand(columns, widths, classes):
    """Each column begins with a unit of the maps before; the others keep their number."""
    channels, weights = 3, 0
    for maps in widths:
        units = 2**columns - 1
        weights += columns * 9 * channels * maps + (units - columns) * 9 * maps * maps
        weights += units * 2 * maps
        channels = maps
    return weights + channels * classes + classes


def test_the_counts_are_those_by_hand():
    assert total(FRACTALNETS["fractalnet20"]()) == by_hand(3, WIDTHS, 10) == 33_724_618
    assert total(fractalnet(2, NARROW)) == by_hand(2, NARROW, 10)
    published = [0.3, 0.8, 2.1, 4.8, 10.2, 21.1]  # millions, 5 to 160 layers, CIFAR-100: table 3
    assert [round(by_hand(c, NARROW, 100) / 1e6, 1) for c in range(1, 7)] == published
    assert by_hand(4, NARROW, 10) == 4_767_210


def test_each_block_halves_the_size():
    found = shapes(fractalnet(3, (2, 4, 6, 8, 8)), 1, 32, 32, 3)
    assert [s[1:] for s in found] == [(16, 16, 2), (8, 8, 4), (4, 4, 6), (2, 2, 8), (1, 1, 8)]


def unit(p, x):
    return relu(norm(p["norm"], conv(p["conv"], x)))


def pooled(x):
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max((2, 4))


def classify(p, x):
    linear = p["head"]["linear"]
    return pooled(x).mean((1, 2)) @ linear["kernel"] + linear["bias"]


def inputs_of_mean(columns, x):
    """f_C by its recursion: what is averaged at last. `columns` are iterators of params."""
    first, *deeper = columns
    found = [unit(next(first), x)]
    if deeper:
        half = np.mean(inputs_of_mean(deeper, x), 0)
        found += inputs_of_mean(deeper, half)
    return found


MODEL = fractalnet(3, (4,), num_classes=3)
IMAGES = normal(2, 4, 4, 3)


@pytest.fixture(scope="module")
def variables():
    return randomized(MODEL)


def test_a_block_is_its_recursion(variables):
    columns = variables.params["blocks"]["0"]["columns"]
    columns = [iter(columns[c].values()) for c in "012"]
    expected = classify(variables.params, np.mean(inputs_of_mean(columns, IMAGES), 0))
    found = quick(lambda v: MODEL.apply(v, IMAGES)[0], variables)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_column_alone_is_a_plain_network(variables):
    x = IMAGES
    for p in variables.params["blocks"]["0"]["columns"]["2"].values():
        x = unit(p, x)
    found = quick(lambda v: MODEL.apply(v, IMAGES, column=3)[0], variables)
    np.testing.assert_allclose(found, classify(variables.params, x), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="1 to 3; got 4"):
        MODEL.apply(variables, IMAGES, column=4)


def trained(drop_path_rate, global_rate, draws):
    """Logits of training passes with several keys, and of each column, of two blocks of two."""
    model = fractalnet(
        2, (2, 3), drop_path_rate=drop_path_rate, global_rate=global_rate, num_classes=3
    )
    variables = randomized(model)

    def logits(keys):
        drawn = jax.vmap(lambda key: model.apply(variables, IMAGES, key=key, train=True)[0])(keys)
        options = {"key": keys[0], "train": True}
        return drawn, [model.apply(variables, IMAGES, column=c, **options)[0] for c in (1, 2)]

    return jax.tree.map(np.asarray, quick(logits, jax.random.split(jax.random.key(0), draws)))


def test_global_drop_path_leaves_one_column_of_the_whole_network():
    draws, alone = trained(0.5, 1.0, 24)
    which = [[np.allclose(x, y, atol=1e-4) for y in alone] for x in draws]
    assert all(sum(row) == 1 for row in which)
    assert 4 < sum(row[0] for row in which) < 20  # half: 12, 3.3 deviations of 2.4


def test_local_drop_path_leaves_one_input_of_each_mean_or_both():
    draws, alone = trained(0.5, 0.0, 64)
    kinds = {tuple(np.round(x, 3).ravel().tolist()) for x in draws}
    assert len(kinds) == 9  # column 1, 2 or both, in each of two blocks
    assert all(any(np.allclose(x, y, atol=1e-4) for x in draws) for y in alone)


def test_drop_path_is_of_training_and_needs_a_key(variables):
    with pytest.raises(ValueError, match="drop_path"):
        jax.eval_shape(lambda: MODEL.apply(variables, IMAGES, train=True))
    with pytest.raises(ValueError, match="a dropout rate for each of 2 blocks"):
        fractalnet(2, (2, 3), block_dropout_rates=(0.1,))
