"""Frames: each as the network of images sees it alone, and their order for a network behind."""

import jax
import numpy as np
import pytest

from jdl.models.convnets.backbone import with_head
from jdl.models.convnets.frames import each_frame
from jdl.models.convnets.small_cnns import small_cnn
from jdl.models.recurrent.rnn import recurrent_network
from tests.nn.test_convolution import normal, quick

IMAGES = small_cnn((3,), image_size=8, in_channels=2, num_classes=None)
FRAMES = normal(2, 4, 8, 8, 2)


def test_a_frame_has_the_features_of_its_image():
    variables = IMAGES.init(jax.random.key(0))
    found, _ = quick(each_frame(IMAGES).apply, variables, FRAMES)
    for film, outputs in zip(FRAMES, found, strict=True):
        np.testing.assert_allclose(outputs, quick(IMAGES.apply, variables, film)[0], atol=1e-6)


def test_films_are_classified_by_their_frames_in_order():
    network = recurrent_network(27, 5, 3)
    model = with_head(each_frame(IMAGES), network)
    variables = model.init(jax.random.key(1))
    logits, _ = quick(model.apply, variables, FRAMES)
    features, _ = quick(
        each_frame(IMAGES).apply, variables._replace(params=variables.params["backbone"]), FRAMES
    )
    head = variables._replace(params=variables.params["head"], buffers=variables.buffers["head"])
    np.testing.assert_allclose(logits, quick(network.apply, head, features)[0], atol=1e-5)
    backwards, _ = quick(model.apply, variables, FRAMES[:, ::-1])
    assert np.abs(logits - backwards).max() > 1e-3


def test_images_without_frames_are_refused():
    with pytest.raises(ValueError, match=r"\[B, T, H, W, C\]; got \[4, 8, 8, 2\]"):
        each_frame(IMAGES).apply(None, FRAMES[0])
