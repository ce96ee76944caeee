import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.models.historical.cortex import cortex, wired
from jdl.train import descent, perceptron, run

MODEL = cortex()


@pytest.fixture(scope="module")
def variables():
    return MODEL.init(jax.random.key(0))


def test_every_unit_has_its_numbers_of_exciting_and_inhibiting_wires(variables):
    projections, associations = (variables.buffers[k] for k in ("projections", "associations"))
    assert projections.shape == (400, 256)
    assert associations.shape == (256, 512)
    for wires in (projections, associations):
        assert ((wires == 1).sum(0) == 6).all()
        assert ((wires == -1).sum(0) == 4).all()
        assert ((wires == 0).sum(0) == len(wires) - 10).all()


def test_origin_points_are_drawn_by_the_density_and_signs_without_regard_to_it():
    """Two wires, +1 and -1, of three points: all six outcomes by enumeration."""
    density, count = np.array([0.6, 0.3, 0.1]), 20_000
    logs = jnp.tile(jnp.log(jnp.asarray(density, jnp.float32))[:, None], [1, count])
    wires = np.asarray(wired(jax.random.key(0), logs, 1, 1))
    for plus in range(3):
        for minus in set(range(3)) - {plus}:
            p, q = density[plus], density[minus]
            expected = (p * q / (1 - p) + q * p / (1 - q)) / 2
            share = ((wires[plus] == 1) & (wires[minus] == -1)).mean()
            assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / count))


def test_projection_units_see_a_neighbourhood_and_association_units_all(variables):
    points = np.stack(np.mgrid[:20, :20], -1).reshape(-1, 2)
    centres = np.asarray(variables.buffers["centres"])
    distance = np.linalg.norm(points[:, None] - centres[None], axis=-1)

    def reach(wires):
        return distance[np.asarray(wires) != 0].mean()

    # In the plane the mean distance under exp(-d / spread) is 2 spread = 4.
    assert 3 < reach(variables.buffers["projections"]) < 5
    wide = cortex(spread=1e6).init(jax.random.key(0)).buffers["projections"]
    assert reach(wide) > 9
    tight = cortex(spread=0.1).init(jax.random.key(0)).buffers["projections"]
    interior = ((centres > 3) & (centres < 16)).all(1)
    assert (distance * (np.asarray(tight) != 0))[:, interior].max() < 3
    often = np.abs(variables.buffers["associations"]).sum(1)
    assert abs(often - 20).max() < 5 * np.sqrt(20)


def test_units_fire_when_the_sum_reaches_their_threshold_by_hand():
    """Three points, two projection units, two association units."""
    model = cortex(
        retina=(1, 3),
        num_projections=2,
        num_associations=2,
        num_excitatory=1,
        num_inhibitory=1,
        thresholds=(1.0, 0.0),
    )
    variables = model.init(jax.random.key(0))._replace(
        params={"responses": {"kernel": jnp.array([[10.0], [1.0]])}}
    )
    variables.buffers.update(
        projections=jnp.array([[1.0, 0], [-1, 1], [0, -1]]),
        associations=jnp.array([[1.0, -1], [-1, 1]]),
    )
    images = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1]])[:, None, :, None]
    projection, _ = model.apply(variables, images, method="projection")
    # Sums (0, 0), (1, 0), (-1, 1), (0, 1), (-1, 0) against 1.
    assert projection.tolist() == [[0, 0], [1, 0], [0, 1], [0, 1], [0, 0]]
    association, _ = model.apply(variables, images, method="association")
    # Sums (0, 0), (1, -1), (-1, 1), (-1, 1), (0, 0) against 0.
    assert association.tolist() == [[1, 1], [1, 0], [0, 1], [0, 1], [1, 1]]
    assert model.apply(variables, images)[0][:, 0].tolist() == [11, 10, 1, 1, 11]


def test_the_perceptron_rule_learns_any_labels_of_ten_images_and_leaves_the_wires(variables):
    images = jax.random.bernoulli(jax.random.key(1), 0.5, [10, 20, 20, 1]).astype(jnp.float32)
    labels = jax.random.bernoulli(jax.random.key(2), 0.5, [10]).astype(jnp.float32)
    assert 0 < labels.sum() < 10
    algorithm = descent(perceptron(MODEL), optax.sgd(1.0))
    epochs = jax.tree.map(lambda x: jnp.concatenate([x] * 20)[:, None], (images, labels))
    program = jax.jit(lambda *args: run(algorithm, *args))
    state, info = program(algorithm.init(variables), epochs, jax.random.key(0))
    assert info["mistakes"][:10].sum() > 0
    assert info["mistakes"][-10:].sum() == 0
    answers = MODEL.apply(state.variables, images)[0][:, 0] > 0
    assert (answers == labels).all()
    assert jax.tree.all(
        jax.tree.map(lambda a, b: (a == b).all(), state.variables.buffers, variables.buffers)
    )
    _, flipped = program(algorithm.init(variables), (epochs[0], 1 - epochs[1]), jax.random.key(0))
    assert flipped["mistakes"][-10:].sum() == 0


def test_too_many_wires_no_spread_and_another_retina_are_refused(variables):
    with pytest.raises(ValueError, match="num_excitatory=300"):
        cortex(num_excitatory=300)
    with pytest.raises(ValueError, match="num_inhibitory=-1"):
        cortex(num_inhibitory=-1)
    with pytest.raises(ValueError, match="spread=0"):
        cortex(spread=0)
    with pytest.raises(ValueError, match="20 x 20"):
        MODEL.apply(variables, jnp.ones([1, 28, 28, 1]))
