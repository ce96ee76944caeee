"""CLIP and the vision encoder-decoder of transformers, saved to files, read here: the same logits.

Weights of standard deviation 0.1 and double precision, as in `test_pretrained_vision_transformers`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.multimodal.captioner import captioner
from jdl.models.multimodal.clip import clip
from jdl.models.pretrained import load_variables
from jdl.models.pretrained.maps.captioner import CAPTIONER_HF
from jdl.models.pretrained.maps.clip import CLIP_HF
from jdl.models.transformers.vit import ViTConfig
from tests.conformance.case import quick
from tests.parity.test_pretrained_vision_transformers import SIZES, TOLERANCE, redrawn

pytestmark = pytest.mark.parity
TOKENS = np.array([[7, 1, 2, 8, 0, 0], [7, 3, 8, 8, 8, 8], [1, 2, 3, 4, 5, 8]])


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=[3, 16, 16, 3])


def error(make, folder, key_map, images, expected):
    """Largest difference of the logits of images and TOKENS, relative to the largest logit."""
    with jax.enable_x64(True):
        model = make(param_dtype=jnp.float64)
        variables = load_variables(model, folder, key_map)
        found = quick(lambda v, *x: model.apply(v, *x)[0])(variables, images, TOKENS)
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def check(make, folder, key_map, images, expected, wrong):
    """The same logits; those of wrong settings are far off."""
    assert error(make, folder, key_map, images, expected) < TOLERANCE
    for setting in wrong:
        found = error(partial(make, **setting), folder, key_map, images, expected)
        assert found > 20 * TOLERANCE, (setting, found)


def test_clip(torch, oracle, images, tmp_path):
    transformers = oracle("transformers")
    tower = {k: SIZES[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    text = {
        **tower,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 9,
        "max_position_embeddings": 6,
        "bos_token_id": 7,
        "eos_token_id": 8,
    }
    vision = {**SIZES, "intermediate_size": 48}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=5)
    network = redrawn(torch, transformers.CLIPModel(config))
    with torch.no_grad():
        found = network(
            pixel_values=torch.tensor(images.transpose(0, 3, 1, 2)), input_ids=torch.tensor(TOKENS)
        )
    network.save_pretrained(tmp_path)
    make = partial(
        clip,
        *(4, 12, 2, 3),
        image_size=16,
        vocab_size=9,
        context=6,
        text_hidden_dim=8,
        text_num_layers=2,
        text_num_heads=2,
        embedding_dim=5,
    )
    wrong = [{"activation": partial(jax.nn.gelu, approximate=False)}, {"epsilon": 1e-4}]
    check(make, tmp_path, CLIP_HF, images, found.logits_per_image.numpy(), wrong)


def test_a_vision_encoder_and_a_decoder(torch, oracle, images, tmp_path):
    transformers = oracle("transformers")
    encoder = transformers.ViTConfig(**SIZES)
    decoder = transformers.GPT2Config(
        vocab_size=9,
        n_positions=6,
        n_embd=12,
        n_layer=2,
        n_head=2,
        bos_token_id=7,
        eos_token_id=8,
        add_cross_attention=True,
        is_decoder=True,
    )
    made = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    network = redrawn(torch, transformers.VisionEncoderDecoderModel(made))
    with torch.no_grad():
        found = network(
            pixel_values=torch.tensor(images.transpose(0, 3, 1, 2)),
            decoder_input_ids=torch.tensor(TOKENS),
        )
    network.save_pretrained(tmp_path)
    images_config = ViTConfig(4, 12, 2, 3, feed_forward_dim=20, image_size=16, epsilon=1e-12)
    make = partial(captioner, 9, 6, 12, 2, 2, encoder=images_config)
    wrong = [{"encoder": images_config._replace(epsilon=1e-4)}]
    check(make, tmp_path, CAPTIONER_HF, images, found.logits.numpy(), wrong)
