import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.historical.neocognitron import (
    c_cells,
    fall_off,
    neocognitron,
    reinforced,
    s_cells,
    v_cells,
)


@pytest.fixture(scope="module")
def patches():
    """Three patterns [5, 5, 2], the field of one S-cell."""
    return jax.random.uniform(jax.random.key(0), [3, 5, 5, 2])


def test_an_s_cell_computes_the_formula(patches):
    a, b = jax.random.uniform(jax.random.key(1), [5, 5, 2, 4]), jnp.array([0.0, 1, 2, 3])
    r = 1.5
    ours = s_cells(patches, a, b[None, None, None], selectivity=r)[:, 2, 2]
    c = np.asarray(fall_off(5))
    for x, cells in zip(np.asarray(patches), ours, strict=True):
        v = np.sqrt(sum(c[i, j] * x[i, j, k] ** 2 for i in range(5) for j in range(5)
                        for k in range(2)))  # fmt: skip
        e = np.einsum("ijk,ijkp->p", x, np.asarray(a))
        expected = r * np.maximum((1 + e) / (1 + 2 * r / (1 + r) * np.asarray(b) * v) - 1, 0)
        np.testing.assert_allclose(cells, expected, rtol=1e-4)


@pytest.mark.parametrize("selectivity", [1.0, 4.0])
def test_after_much_learning_a_cell_answers_by_the_cosine_with_what_it_learned(
    patches, selectivity
):
    learned = patches[0]
    a, b = reinforced(jnp.zeros([5, 5, 2, 3]), jnp.zeros(3), learned, 1, 1e5)
    answers = s_cells(patches, a, b[None, None, None], selectivity=selectivity)[:, 2, 2]
    c = fall_off(5)[..., None]
    for x, answer in zip(patches, answers, strict=True):
        cosine = jnp.sum(c * x * learned) / jnp.sqrt(jnp.sum(c * x**2) * jnp.sum(c * learned**2))
        expected = max(0.0, float((1 + selectivity) * cosine - selectivity))
        assert float(answer[1]) == pytest.approx(expected, abs=1e-3)
    assert float(answers[0, 1]) == pytest.approx(1, abs=1e-3)
    assert not answers[:, [0, 2]].any(), "the other planes learned nothing"


def test_a_c_cell_is_the_contrast_with_the_mean_of_the_planes():
    u = jax.random.uniform(jax.random.key(1), [1, 5, 5, 3])
    pooled = np.einsum("ij,ijk->k", fall_off(5), u[0])
    contrast = np.maximum((1 + pooled) / (1 + pooled.mean()) - 1, 0)
    cells = c_cells(u, fall_off(5), saturation=0.5)[0, 2, 2]
    np.testing.assert_allclose(cells, contrast / (0.5 + contrast), atol=1e-5)
    assert c_cells(u, fall_off(5), stride=2).shape == (1, 3, 3, 3)


def test_a_c_cell_answers_as_well_when_its_feature_moves_by_one():
    feature = jnp.zeros([1, 9, 9, 2]).at[0, 4, 4, 0].set(1.0)
    moved = jnp.roll(feature, 1, 2)
    before, after = (float(c_cells(u, fall_off(5))[0, 4, 4, 0]) for u in (feature, moved))
    assert 0.85 * before < after < before


def test_responses_keep_under_a_shift_of_the_stride_of_all_stages():
    """Away from the border: 4 pixels for two stages of half the size."""
    model = neocognitron([4, 3], selectivity=[4.0, 1.5], field=3)
    variables = model.init(jax.random.key(0))
    image = jnp.zeros([1, 32, 32, 1]).at[0, 12:17, 12:17, 0].set(
        jax.random.uniform(jax.random.key(1), [5, 5])
    )  # fmt: skip
    responses, shifted = (model.apply(variables, jnp.roll(image, by, (1, 2)))[0] for by in (0, 4))
    np.testing.assert_allclose(responses, shifted, atol=1e-6)
    assert responses.max() > 0


def test_a_blank_image_gives_no_response_and_a_finite_gradient(key):
    model = neocognitron([4, 3], selectivity=[4.0, 1.5])
    variables = model.init(key)
    assert not v_cells(jnp.zeros([1, 5, 5, 1]), 5).any()
    blank = jnp.zeros([1, 8, 8, 1])
    gradient = jax.grad(lambda x: model.apply(variables, x)[0].sum())(blank)
    assert jnp.isfinite(gradient).all()
    with pytest.raises(ValueError, match="one selectivity a stage"):
        neocognitron([4, 3])
