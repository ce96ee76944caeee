"""Networks of PyTorch and transformers, saved to safetensors, read here: the same logits.

Fresh weights hide mistakes, so theirs are drawn anew with standard deviation 0.1, and their batch
statistics moved by passes in training. All is computed in double precision: in single, rounding
alone moves the logits of fifty layers by 1e-4. A wrong epsilon, padding or layout is seen.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.models.convnets.bit import bit
from jdl.models.convnets.efficientnet import efficientnet
from jdl.models.convnets.mobilenet import mobilenet_v1, mobilenet_v2
from jdl.models.convnets.resnet import resnet
from jdl.models.convnets.vgg import vgg
from jdl.models.pretrained import export, load_variables
from jdl.models.pretrained.maps.efficientnet import EFFICIENTNET_HF
from jdl.models.pretrained.maps.mobilenet import MOBILENET_V1_HF, MOBILENET_V2_HF
from jdl.models.pretrained.maps.preact_resnet import BIT_HF
from jdl.models.pretrained.maps.resnet import RESNET_HF, RESNET_TORCH
from jdl.models.pretrained.maps.vgg import VGG_TORCHVISION
from jdl.nn.residual import BATCH_NORM
from tests.conformance.case import quick

pytestmark = pytest.mark.parity
CLASSES, TOLERANCE = 7, 1e-9


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=[4, 32, 32, 3])


def stirred(torch, network, images):
    """The network in evaluation, with weights and statistics unlike those of any default."""
    torch.manual_seed(0)
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.1)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.GroupNorm):
                module.weight.add_(1.0)
        network.train()
        for _ in range(3):
            network(images)
        for statistics in network.buffers():  # Flax's are always in single precision
            statistics.copy_(statistics.float())
    return network.eval()


def logits_of(torch, network, images):
    """Theirs [B, K], after stirring."""
    x = torch.tensor(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        found = stirred(torch, network, x)(x)
    return np.asarray(getattr(found, "logits", found))


def save(network, folder):
    from safetensors.torch import save_file

    save_file(network.state_dict(), folder / "model.safetensors")


def error(make, folder, key_map, images, expected):
    """Largest difference of the logits, relative to the largest logit."""
    with jax.enable_x64(True):
        model = make(param_dtype=jnp.float64)
        variables = load_variables(model, folder, key_map)
        found = np.asarray(quick(lambda v, x: model.apply(v, x)[0])(variables, images))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def hf(oracle, name, **config):
    transformers = oracle("transformers")
    config = getattr(transformers, f"{name}Config")(num_labels=CLASSES, **config)
    return getattr(transformers, f"{name}ForImageClassification")(config)


WRONG_EPSILON = partial(nnx.BatchNorm, momentum=0.9, epsilon=1.001e-3)


def check(torch, network, folder, key_map, images, make, wrong):
    """The same logits; those of wrong settings are far off."""
    expected = logits_of(torch, network, images)
    if hasattr(network, "save_pretrained"):
        network.save_pretrained(folder)
    else:
        save(network, folder)
    make = partial(make, num_classes=CLASSES)
    assert error(make, folder, key_map, images, expected) < TOLERANCE
    for setting in wrong:
        found = error(partial(make, **setting), folder, key_map, images, expected)
        assert found > 1e4 * TOLERANCE, setting


def test_resnet_of_transformers(torch, oracle, images, tmp_path):
    config = {"embedding_size": 4, "hidden_sizes": [16, 32], "depths": [2, 1]}
    network = hf(oracle, "ResNet", **config)
    make = partial(resnet, (2, 1), widths=(4, 8))
    check(torch, network, tmp_path, RESNET_HF, images, make, [{"stride_first": True}])


def test_efficientnet_of_transformers(torch, oracle, images, tmp_path):
    network = hf(
        oracle,
        "EfficientNet",
        width_coefficient=0.5,
        depth_coefficient=1.0,
        kernel_sizes=[3, 5],
        in_channels=[32, 16],
        out_channels=[16, 24],
        strides=[1, 2],
        num_block_repeats=[1, 2],
        expand_ratios=[1, 6],
        hidden_dim=640,
        image_size=32,
        depthwise_padding=[],
    )
    make = partial(efficientnet, 0.5, stages=((1, 3, 1, 16, 1), (6, 5, 2, 24, 2)))
    wrong = [{"padding": "symmetric"}, {"norm": BATCH_NORM}]
    check(torch, network, tmp_path, EFFICIENTNET_HF, images, make, wrong)


def test_bit_of_transformers(torch, oracle, images, tmp_path):
    config = {"embedding_size": 32, "hidden_sizes": [128, 256], "depths": [2, 1]}
    network = hf(oracle, "Bit", **config)
    make = partial(bit, (2, 1), widths=(32, 64))
    wrong = [{"eps": 1e-3}, {"norm": partial(nnx.GroupNorm, num_groups=32, epsilon=1.001e-3)}]
    check(torch, network, tmp_path, BIT_HF, images, make, wrong)


def test_mobilenet_v1_of_transformers(torch, oracle, images, tmp_path):
    network = hf(oracle, "MobileNetV1", depth_multiplier=0.25)
    wrong = [{"padding": "symmetric"}, {"activation": jax.nn.relu}, {"norm": BATCH_NORM}]
    make = partial(mobilenet_v1, 0.25)
    check(torch, network, tmp_path, MOBILENET_V1_HF, images, make, wrong)


def test_mobilenet_v2_of_transformers(torch, oracle, images, tmp_path):
    network = hf(oracle, "MobileNetV2", depth_multiplier=0.35, finegrained_output=True)
    make = partial(mobilenet_v2, 0.35)
    wrong = [{"padding": "symmetric"}]
    check(torch, network, tmp_path, MOBILENET_V2_HF, images, make, wrong)


def torchvision_resnet(torch, widths=(4, 8), expansion=4):
    """Bottlenecks under torchvision's names: one a stage."""
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, expansion * width, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(expansion * width)
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, expansion * width, 1, stride, bias=False),
                nn.BatchNorm2d(expansion * width),
            )

        def forward(self, x):
            y = self.bn1(self.conv1(x)).relu()
            y = self.bn2(self.conv2(y)).relu()
            return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
            self.bn1, self.pool = nn.BatchNorm2d(widths[0]), nn.MaxPool2d(3, 2, 1)
            self.layer1 = nn.Sequential(Bottleneck(widths[0], widths[0], 1))
            self.layer2 = nn.Sequential(Bottleneck(expansion * widths[0], widths[1], 2))
            self.fc = nn.Linear(expansion * widths[1], CLASSES)

        def forward(self, x):
            x = self.pool(self.bn1(self.conv1(x)).relu())
            return self.fc(self.layer2(self.layer1(x)).mean((2, 3)))

    return ResNet()


def test_resnet_under_the_names_of_torchvision(torch, images, tmp_path):
    make = partial(resnet, (1, 1), widths=(4, 8))
    wrong = [{"stride_first": True}, {"norm": WRONG_EPSILON}]
    network = torchvision_resnet(torch)
    check(torch, network, tmp_path, RESNET_TORCH, images, make, wrong)


def test_vgg_under_the_names_of_torchvision(torch, images, tmp_path):
    nn = torch.nn

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            layers = []
            for inputs, maps in ((3, 4), (4, 6)):
                layers += [nn.Conv2d(inputs, maps, 3, padding=1), nn.BatchNorm2d(maps), nn.ReLU()]
                layers += [nn.MaxPool2d(2)]
            self.features = nn.Sequential(*layers)
            dense = (nn.Linear(6 * 8 * 8, 9), nn.Linear(9, 9), nn.Linear(9, CLASSES))
            pause = nn.ReLU(), nn.Dropout(0.0)
            self.classifier = nn.Sequential(dense[0], *pause, dense[1], *pause, dense[2])

        def forward(self, x):
            return self.classifier(self.features(x).flatten(1))

    make = partial(vgg, ((3,), (3,)), (4, 6), hidden_dim=9, grid=8, norm=BATCH_NORM)
    network, key_map = VGG(), VGG_TORCHVISION
    check(torch, network, tmp_path, key_map, images, make, [{"norm": WRONG_EPSILON}])


def test_what_is_exported_is_read_by_pytorch(torch, images, tmp_path):
    from safetensors.torch import load_file

    model = resnet((1, 1), widths=(4, 8), num_classes=CLASSES)
    variables = model.init(jax.random.key(0))
    export(variables, RESNET_TORCH, tmp_path / "model.safetensors")
    network = torchvision_resnet(torch).eval()
    network.load_state_dict(load_file(tmp_path / "model.safetensors"))
    with torch.no_grad():
        expected = network(torch.tensor(images.transpose(0, 3, 1, 2)).float()).numpy()
    found = quick(lambda v, x: model.apply(v, x)[0])(variables, images.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
