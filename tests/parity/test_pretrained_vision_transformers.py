"""Vision Transformers of transformers and PyTorch, saved to files, read here: the same outputs.

As in `test_pretrained_convnets`: weights of standard deviation 0.1, double precision, and wrong
settings that are far off. What timm keeps in one array is joined from what transformers saves.
"""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from jdl.models.pretrained.maps.vit import (
    HYBRID_VIT_TIMM,
    VIT_HF,
    VIT_TIMM,
    VIT_TORCHVISION,
)
from jdl.models.transformers.hybrid_vit import hybrid_vit
from jdl.models.transformers.vit import at_resolution, vit
from tests.parity.test_pretrained_convnets import CLASSES, error, hf, save

pytestmark = pytest.mark.parity
TOLERANCE = 2e-7  # attention's softmax is in single precision
SIZES = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "image_size": 16,
    "patch_size": 4,
}
SMALL = partial(vit, 4, 12, 2, 3, feed_forward_dim=20, image_size=16)
TANH_GELU = {"activation": partial(jax.nn.gelu, approximate=True)}


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=[4, 16, 16, 3])


def redrawn(torch, network):
    """The network in evaluation, in double precision, with weights unlike those of any default."""
    torch.manual_seed(0)
    network.double().eval()
    norms = torch.nn.LayerNorm | torch.nn.GroupNorm
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.1)
        for module in network.modules():
            if isinstance(module, norms):
                module.weight.add_(1.0)
    return network


def outputs_of(torch, network, images):
    """The network redrawn, and its logits or the pooled features of a body."""
    with torch.no_grad():
        found = redrawn(torch, network)(torch.tensor(images.transpose(0, 3, 1, 2)))
    found = getattr(found, "logits", getattr(found, "pooler_output", found))
    return np.asarray(found)


def check(make, folder, key_map, images, expected, wrong):
    """The same outputs; those of wrong settings are far off."""
    assert error(make, folder, key_map, images, expected) < TOLERANCE
    for setting in wrong:
        found = error(partial(make, **setting), folder, key_map, images, expected)
        assert found > 20 * TOLERANCE, (setting, found)


@pytest.fixture(scope="module")
def hugging_face(torch, oracle, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    network = hf(oracle, "ViT", **SIZES)
    expected = outputs_of(torch, network, images)
    network.save_pretrained(folder)
    return folder, expected


def test_a_classifier_of_transformers(hugging_face, images):
    folder, expected = hugging_face
    make = partial(SMALL, num_classes=CLASSES, epsilon=1e-12)
    check(make, folder, VIT_HF, images, expected, [TANH_GELU, {"epsilon": 1e-5}])


def test_a_body_of_transformers_pools(torch, oracle, images, tmp_path):
    transformers = oracle("transformers")
    network = transformers.ViTModel(transformers.ViTConfig(**SIZES))
    expected = outputs_of(torch, network, images)
    network.save_pretrained(tmp_path)
    make = partial(SMALL, num_classes=None, pooler=True, epsilon=1e-12)
    check(make, tmp_path, VIT_HF, images, expected, [])
    plain = partial(SMALL, num_classes=None, epsilon=1e-12)  # the file's pooler is left unread
    assert error(plain, tmp_path, VIT_HF, images, expected) > 0.1


def test_queries_keys_and_values_in_one_array_as_timm_has_them(hugging_face, images, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder, expected = hugging_face
    theirs = load_file(folder / "model.safetensors")
    named, parts = {}, {}
    renamed = (
        ("vit.embeddings.cls_token", "cls_token"),
        ("vit.embeddings.position_embeddings", "pos_embed"),
        ("vit.embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("vit.encoder.layer", "blocks"),
        ("vit.layernorm", "norm"),
        ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"),
        ("attention.output.dense", "attn.proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
        ("classifier", "head"),
    )
    for key, array in theirs.items():
        for old, new in renamed:
            key = key.replace(old, new)
        head, found, tail = key.partition("attention.attention.")
        if found:
            name, leaf = tail.split(".")
            parts.setdefault(f"{head}attn.qkv.{leaf}", {})[name] = array
        else:
            named[key] = array
    for key, found in parts.items():
        named[key] = np.concatenate([found[name] for name in ("query", "key", "value")])
    save_file(named, tmp_path / "model.safetensors")
    make = partial(SMALL, num_classes=CLASSES, epsilon=1e-12)
    check(make, tmp_path, VIT_TIMM, images, expected, [TANH_GELU])


def torchvision_vit(torch, size=12, hidden=20, patch=4, places=16):
    """Two blocks under torchvision's names."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = (nn.LayerNorm(size, eps=1e-6) for _ in range(2))
            self.self_attention = nn.MultiheadAttention(size, 3, batch_first=True)
            pause = nn.GELU(), nn.Dropout(0.0)
            self.mlp = nn.Sequential(nn.Linear(size, hidden), *pause, nn.Linear(hidden, size))

        def forward(self, x):
            y = self.ln_1(x)
            x = x + self.self_attention(y, y, y, need_weights=False)[0]
            return x + self.mlp(self.ln_2(x))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos_embedding = nn.Parameter(torch.zeros(1, 1 + places, size))
            layers = {f"encoder_layer_{i}": Layer() for i in range(2)}
            self.layers, self.ln = nn.Sequential(), nn.LayerNorm(size, eps=1e-6)
            for name, layer in layers.items():
                self.layers.add_module(name, layer)

        def forward(self, x):
            return self.ln(self.layers(x + self.pos_embedding))

    class ViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_proj = nn.Conv2d(3, size, patch, patch)
            self.class_token = nn.Parameter(torch.zeros(1, 1, size))
            self.encoder, self.heads = Encoder(), nn.Sequential()
            self.heads.add_module("head", nn.Linear(size, CLASSES))

        def forward(self, images):
            x = self.conv_proj(images).flatten(2).transpose(1, 2)
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1)
            return self.heads(self.encoder(x)[:, 0])

    return ViT()


def test_under_the_names_of_torchvision(torch, images, tmp_path):
    network = torchvision_vit(torch)
    expected = outputs_of(torch, network, images)
    save(network, tmp_path)
    make = partial(SMALL, num_classes=CLASSES)
    wrong = [TANH_GELU, {"epsilon": 1e-5}]
    check(make, tmp_path, VIT_TORCHVISION, images, expected, wrong)


def timm_hybrid(torch, size=12, groups=2):
    """A ResNet of two stages under timm's names, and what follows it but for the blocks."""
    nn = torch.nn

    class StdConvSame(nn.Conv2d):
        def forward(self, x):
            size, stride = self.kernel_size[0], self.stride[0]
            sides = []
            for places in (x.shape[3], x.shape[2]):
                more = max((-(-places // stride) - 1) * stride + size - places, 0)
                sides += [more // 2, more - more // 2]
            flat = self.weight.flatten(1)
            centred = flat - flat.mean(1, keepdim=True)
            flat = centred / (flat.var(1, unbiased=False, keepdim=True) + 1e-8).sqrt()
            kernel = flat.reshape(self.weight.shape)
            return nn.functional.conv2d(nn.functional.pad(x, sides), kernel, stride=stride)

    def conv(inputs, outputs, kernel, stride=1):
        return StdConvSame(inputs, outputs, kernel, stride, bias=False)

    class Block(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            outputs = 4 * width
            self.downsample = nn.ModuleDict(
                {"conv": conv(inputs, outputs, 1, stride), "norm": nn.GroupNorm(groups, outputs)}
            )
            self.conv1, self.norm1 = conv(inputs, width, 1), nn.GroupNorm(groups, width)
            self.conv2, self.norm2 = conv(width, width, 3, stride), nn.GroupNorm(groups, width)
            self.conv3, self.norm3 = conv(width, outputs, 1), nn.GroupNorm(groups, outputs)

        def forward(self, x):
            y = self.norm1(self.conv1(x)).relu()
            y = self.norm3(self.conv3(self.norm2(self.conv2(y)).relu()))
            return (y + self.downsample["norm"](self.downsample["conv"](x))).relu()

    def stage(*sizes):
        return nn.ModuleDict({"blocks": nn.Sequential(Block(*sizes))})

    class Hybrid(nn.Module):
        def __init__(self):
            super().__init__()
            stem = nn.ModuleDict({"conv": conv(3, 4, 7, 2), "norm": nn.GroupNorm(groups, 4)})
            stages = nn.ModuleList([stage(4, 4, 1), stage(16, 6, 2)])
            backbone = nn.ModuleDict({"stem": stem, "stages": stages})
            proj = nn.Conv2d(24, size, 1)
            self.patch_embed = nn.ModuleDict({"backbone": backbone, "proj": proj})
            self.cls_token = nn.Parameter(torch.zeros(1, 1, size))
            self.pos_embed = nn.Parameter(torch.zeros(1, 1 + 4, size))
            self.norm, self.head = nn.LayerNorm(size, eps=1e-6), nn.Linear(size, CLASSES)

        def forward(self, images):
            backbone = self.patch_embed["backbone"]
            x = backbone["stem"]["norm"](backbone["stem"]["conv"](images)).relu()
            x = nn.functional.max_pool2d(
                nn.functional.pad(x, (0, 1, 0, 1)), 3, 2
            )  # of no negatives
            for part in backbone["stages"]:
                x = part["blocks"](x)
            x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
            return self.head(self.norm(x).mean(1))

    return Hybrid()


def test_the_resnet_before_a_hybrid_under_the_names_of_timm(torch, images, tmp_path):
    """Without blocks, whose names are those of the plain one; read by the mean of all tokens."""
    network = timm_hybrid(torch)
    expected = outputs_of(torch, network, images)
    save(network, tmp_path)

    def make(groups=2, eps=1e-8, **options):
        norm = partial(nnx.GroupNorm, num_groups=groups, epsilon=1e-5)
        model = hybrid_vit(
            *((1, 1), 12, 0, 3),
            widths=(4, 6),
            norm=norm,
            eps=eps,
            image_size=16,
            num_classes=CLASSES,
            **options,
        )

        def mean_read(variables, x):
            tokens, buffers = model.apply(variables, x, method="encode")
            means = tokens.mean(1, keepdims=True)
            return model.apply(variables, means, method="classify")[0], buffers

        return model._replace(apply=mean_read)

    check(make, tmp_path, HYBRID_VIT_TIMM, images, expected, [{"groups": 1}, {"eps": 1e-4}])


@pytest.mark.parametrize("grid", [(6, 9), (2, 2)])
def test_positions_are_interpolated_as_timm_does(torch, grid):
    """timm's resample_abs_pos_embed: bicubic with antialias, the class token kept."""
    positions = np.random.default_rng(1).normal(size=[1 + 4 * 4, 5]).astype(np.float32)
    image = torch.tensor(positions[1:].reshape(1, 4, 4, 5).transpose(0, 3, 1, 2))
    resized = torch.nn.functional.interpolate(image, grid, mode="bicubic", antialias=True)
    expected = resized.numpy()[0].transpose(1, 2, 0).reshape(-1, 5)
    found = at_resolution({"positions": positions}, grid)["positions"]
    np.testing.assert_allclose(found[1:], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[0], positions[0])
