import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.historical.hmax import c1_cells, gabors, hmax, s1_cells, s2_cells, with_prototypes

MODEL = hmax(3, num_prototypes=5, patch_sizes=[2, 4], num_bands=2)
# Serre, Wolf and Poggio 2005, table 1: sigma and lambda of the 16 filters.
SIGMAS = [2.8, 3.6, 4.5, 5.4, 6.3, 7.3, 8.2, 9.2, 10.2, 11.3, 12.3, 13.4, 14.6, 15.8, 17.0, 18.2]
LAMBDAS = [3.5, 4.6, 5.6, 6.8, 7.9, 9.1, 10.3, 11.5, 12.7, 14.1, 15.4, 16.8, 18.2, 19.7, 21.2, 22.8]


@pytest.fixture(scope="module")
def variables():
    return jax.jit(MODEL.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def features():
    return jax.jit(lambda variables, images: MODEL.apply(variables, images, method="c2")[0])


def _wave(size, angle, sigma, wavelength):
    """The formula of the docstring, a pixel at a time."""
    out = np.zeros([size, size])
    half = size // 2
    for v in range(-half, half + 1):
        for u in range(-half, half + 1):
            u0 = u * np.cos(angle) + v * np.sin(angle)
            v0 = -u * np.sin(angle) + v * np.cos(angle)
            if u * u + v * v <= (size / 2) ** 2:
                out[v + half, u + half] = np.exp(-(u0**2 + 0.09 * v0**2) / (2 * sigma**2)) * np.cos(
                    2 * np.pi * u0 / wavelength
                )
    out -= out.mean()
    return out / np.linalg.norm(out)


@pytest.mark.parametrize("size", [7, 9, 13])
def test_the_filters_are_the_formula_in_double_precision(size):
    wavelength = size * 2 / (4 - 0.05 * (size - 7) / 2)
    expected = [_wave(size, o * np.pi / 4, 0.8 * wavelength, wavelength) for o in range(4)]
    np.testing.assert_allclose(gabors(size), np.stack(expected, -1), rtol=0, atol=1e-14)


def test_the_rule_for_the_wavelengths_gives_back_the_published_table():
    """Within its rounding: the filters of the table's constants are the library's, nearly."""
    for i, (sigma, wavelength) in enumerate(zip(SIGMAS, LAMBDAS, strict=True)):
        ours = gabors(7 + 2 * i)[..., 0]
        assert (ours * _wave(7 + 2 * i, 0, sigma, wavelength)).sum() > 0.999
        assert (ours * _wave(7 + 2 * i, 0, sigma, wavelength * 1.2)).sum() < 0.99


@pytest.mark.parametrize(("orientation", "bar"), list(enumerate(["|", "/", "-", "\\"])))
def test_a_bar_excites_the_filter_of_its_orientation_most(orientation, bar):
    cells = np.arange(21)
    rows, columns = {
        "|": (cells, 0 * cells + 10),
        "/": (cells, 20 - cells),
        "-": (0 * cells + 10, cells),
        "\\": (cells, cells),
    }[bar]
    image = jnp.zeros([1, 21, 21, 1]).at[0, rows, columns, 0].set(0.5)
    answers = s1_cells(image, jnp.asarray(gabors(7), jnp.float32))[0, 10, 10]
    assert int(answers.argmax()) == orientation
    assert answers[orientation] > 2 * jnp.delete(answers, orientation).max()


def test_an_s1_cell_is_the_cosine_with_its_filter_whatever_the_contrast():
    image = jax.random.uniform(jax.random.key(0), [1, 9, 9, 1])
    filters = jnp.asarray(gabors(7), jnp.float32)
    cells, dim = s1_cells(image, filters), s1_cells(0.1 * image, filters)
    for row, column in [(3, 3), (4, 5)]:
        x = np.asarray(image)[0, row - 3 : row + 4, column - 3 : column + 4, 0]
        cosine = np.abs((x[..., None] * filters).sum((0, 1))) / np.linalg.norm(x)
        np.testing.assert_allclose(cells[0, row, column], cosine, atol=1e-6)
    np.testing.assert_allclose(cells, dim, atol=1e-6)


def test_a_c1_cell_is_the_maximum_over_positions_and_two_scales():
    s1 = np.random.default_rng(0).uniform(size=[2, 1, 25, 25, 4]).astype(np.float32)
    cells = c1_cells(jnp.asarray(s1[0]), jnp.asarray(s1[1]), 1)
    assert cells.shape == (1, 4, 4, 4)
    for i in range(4):
        for j in range(4):
            seen = s1[:, 0, 5 * i : 5 * i + 10, 5 * j : 5 * j + 10]
            assert (np.asarray(cells)[0, i, j] == seen.max((0, 1, 2))).all()


@pytest.mark.parametrize("size", [2, 4])
def test_an_s2_cell_is_a_gaussian_of_the_distance_to_its_prototype(size):
    random = np.random.default_rng(0)
    maps = random.uniform(size=[2, 5, 6, 4]).astype(np.float32)
    prototypes = random.uniform(size=[size, size, 4, 3]).astype(np.float32)
    cells = np.asarray(s2_cells(jnp.asarray(maps), jnp.asarray(prototypes), sigma=1.5))
    assert cells.shape == (2, 6 - size, 7 - size, 3)
    width = 1.5 * size / 4
    for (b, i, j, p), cell in np.ndenumerate(cells):
        distance = ((maps[b, i : i + size, j : j + size] - prototypes[..., p]) ** 2).sum()
        assert cell == pytest.approx(np.exp(-distance / (2 * width**2)), rel=1e-4, abs=1e-7)


def test_c2_features_keep_under_a_shift_of_the_steps_of_all_bands(variables, features):
    """Steps of 4 and 5 pixels: 20. Every patch that sees the object stays inside."""
    thing = jax.random.uniform(jax.random.key(1), [6, 6])
    image = jnp.zeros([1, 96, 96, 1]).at[0, 32:38, 32:38, 0].set(thing)
    learned = with_prototypes(MODEL, variables, image, jax.random.key(6))
    here = features(learned, image)
    for shift in [(20, 20), (0, 20), (20, 0)]:
        np.testing.assert_allclose(
            features(learned, jnp.roll(image, shift, (1, 2))), here, atol=1e-6
        )
    # Not at random: prototypes other than the object's are matched less.
    assert features(variables, image).max() < 0.9
    near = features(learned, jnp.roll(image, 2, 1))
    assert 1e-4 < jnp.abs(near - here).max() < 0.5


def test_prototypes_are_patches_of_c1_and_their_images_match_them(variables, features):
    images = jax.random.uniform(jax.random.key(2), [2, 32, 32, 1])
    learned = with_prototypes(MODEL, variables, images, jax.random.key(3))
    c1 = np.asarray(MODEL.apply(variables, images, method="c1")[0][0])
    assert c1.shape == (2, 7, 7, 4)
    for size, prototypes in zip([2, 4], learned.buffers["prototypes"].values(), strict=True):
        patches = np.lib.stride_tricks.sliding_window_view(c1, (size, size), (1, 2))
        patches = np.moveaxis(patches, 3, -1).reshape(-1, size, size, 4)
        for prototype in np.moveaxis(np.asarray(prototypes), -1, 0):
            assert (patches == prototype).all((1, 2, 3)).any()
    np.testing.assert_allclose(features(learned, images).max(0), 1, atol=1e-4)
    assert features(variables, images).max() < 0.9
    other = with_prototypes(MODEL, variables, images, jax.random.key(4))
    assert (other.buffers["prototypes"]["0"] != learned.buffers["prototypes"]["0"]).any()


def test_a_blank_image_gives_finite_gradients(variables):
    head = jax.tree.map(jnp.ones_like, variables.params)
    blank = jnp.zeros([1, 20, 20, 1])
    loss = jax.jit(jax.grad(lambda x: MODEL.apply(variables._replace(params=head), x)[0].sum()))
    assert jnp.isfinite(loss(blank)).all()


def test_images_that_are_too_small_or_coloured_are_refused(variables):
    with pytest.raises(ValueError, match="20 x 20"):
        MODEL.apply(variables, jnp.ones([1, 19, 28, 1]))
    with pytest.raises(ValueError, match="grey"):
        MODEL.apply(variables, jnp.ones([1, 28, 28, 3]))
    with pytest.raises(ValueError, match="larger than the map"):
        with_prototypes(MODEL, variables, jnp.ones([1, 20, 20, 1]), jax.random.key(0), band=1)
    with pytest.raises(ValueError, match="positive"):
        hmax(2, num_prototypes=0)
