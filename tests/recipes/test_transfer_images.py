"""Transfer of images: a tiny base, what the frozen way computes once, and the whole report."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.pretrained import Preprocessing, preprocess
from jdl.recipes import transfer_images

SHORT = transfer_images.Settings(
    width=0.1, depth=0.1, hidden=(8,), ways=("frozen",), views=1, epochs=1
)


def test_a_report_of_the_frozen_way_counts_its_images():
    report = transfer_images.run(SHORT, jax.random.key(0))
    assert report.metrics["test_images"] == 130
    counts = [int(text.get_text()) for text in report.figures["frozen"].axes[0].texts]
    assert sum(counts) == 130
    assert 0 <= report.metrics["frozen_accuracy"] <= 1
    assert set(report.figures) == {"frozen", "learning"}


def test_a_batch_is_prepared_as_the_checkpoint_says_of_one_image():
    wanted = Preprocessing(8, None, "bicubic", (103.9, 116.8, 123.7), (1.0,) * 3, "BGR", 255.0)
    images = np.random.default_rng(0).uniform(size=[2, 8, 8, 3]).astype(np.float32)
    found = transfer_images.fitted_to(8, wanted, jnp.asarray(images))
    for one, image in zip(found, images, strict=True):
        np.testing.assert_allclose(one, preprocess(wanted, image), rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_features_of_a_base_that_learnt_nothing_tell_most_tiles_apart():
    settings = transfer_images.Settings(ways=("frozen",))
    assert transfer_images.run(settings, jax.random.key(0)).metrics["frozen_accuracy"] > 0.8
