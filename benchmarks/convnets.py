"""What does a training step of a convolutional network cost beside JAX by hand and beside PyTorch?

`python -m benchmarks.convnets [lenet resnet18 dcgan compile] [--rounds 20]`, in one process, blocks
alternating, float32 (bfloat16 on a GPU, where PyTorch is left out). A JSON line for each:

    lenet      LeNet-5, 128 images of 32 x 32, Adam
    resnet18   ResNet-18, 32 images of 32 x 32, stochastic gradients with momentum
    dcgan      a round of DCGAN's pair at 32 x 32, 64 images: with the library's transposed
               convolutions, and with nnx.ConvTranspose
    compile    seconds that the step of ResNet-50 takes XLA at 224 x 224, batch 32, with no cache

The twins by hand start from the same params and see the same batch; the losses of the first steps
must agree. `torch`, `torch channels last` and `torch compile` are the best that PyTorch can do
here. A ratio is a time over that of the library's step, so that 1.1 says that the other is slower.

Measured on two cores with nothing else running, jax 0.10.2, torch 2.13, float32: lenet 7.3 ms, by
hand 2.03 times that, PyTorch 0.75; resnet18 664 ms, by hand 1.33, PyTorch compiled, channels last,
0.63 (0.47 of the step by hand: half of that gap is closed, by convolving in parts of the batch);
dcgan 4.75 times faster than with Flax's layers; compile 7.2 s, after 2.6 s of tracing.

Wanted: jdl at most 1.03 of the hand-written step; LeNet no slower than the best PyTorch; dcgan 2.5
times faster than with Flax's layers on the CPU; compile under 30 s. Needs the extra `parity`.
"""

import argparse
import functools
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import steps
from benchmarks.torch_steps import torch_step
from jdl.functional import functional
from jdl.models.convnets.resnet import resnet18, resnet50
from jdl.models.gans.gan import discriminator_objective, gan_variables, generator_objective
from jdl.nn.transposed_convolution import ConvTranspose
from jdl.recipes.steps import STEPS
from jdl.train import classification, compare, descent, gradient, threaded
from jdl.train.game import Player, game

CHECKED = 2  # steps whose losses must agree; later ones part by rounding, multiplied
MOMENTUM, RATE = 0.9, 0.05
LATENT_DIM, GAN_BATCH = 100, 64
ON_CPU = jax.default_backend() == "cpu"
DTYPE = jnp.float32 if ON_CPU else jnp.bfloat16


def labelled(batch_size, shape):
    random = np.random.default_rng(0)
    images = random.normal(size=[batch_size, *shape]).astype(np.float32)
    return jnp.asarray(images), jnp.asarray(random.integers(0, 10, batch_size), jnp.int32)


# ---- ResNet-18


def resnet_step(model, batch):
    algorithm = descent(gradient(classification(model)), optax.sgd(RATE, MOMENTUM))
    state = algorithm.init(model.init(jax.random.key(0)))
    return algorithm.step, state, batch, jax.random.key(1)


def convolved(x, kernel, strides=1):
    pad, axes = kernel.shape[0] // 2, ("NHWC", "HWIO", "NHWC")
    around = [(pad, pad)] * 2
    return jax.lax.conv_general_dilated(x, kernel, (strides,) * 2, around, dimension_numbers=axes)


def normed(x, p, averages):
    mean = x.mean((0, 1, 2))
    variance = jnp.maximum((x * x).mean((0, 1, 2)) - mean * mean, 0)
    factor = p["scale"] * jax.lax.rsqrt(variance + 1e-5)
    seen = {
        "mean": 0.9 * averages["mean"] + 0.1 * mean,
        "var": 0.9 * averages["var"] + 0.1 * variance,
    }
    return x * factor[None, None, None] + (p["bias"] - mean * factor)[None, None, None], seen


def resnet_loss(params, buffers, batch):
    """ResNet-18 for small images, over the trees of the library's params and buffers."""
    x, labels = batch
    x, seen = normed(convolved(x, params["conv1"]["kernel"]), params["norm1"], buffers["norm1"])
    x, stages = jax.nn.relu(x), {}
    for s, blocks in params["stages"].items():
        stages[s] = {}
        for b, p in blocks.items():
            averages = buffers["stages"][s][b]
            strides = 2 if s != "0" and b == "0" else 1
            y = convolved(x, p["convs"]["0"]["kernel"], strides)
            y, first = normed(y, p["norms"]["0"], averages["norms"]["0"])
            y = convolved(jax.nn.relu(y), p["convs"]["1"]["kernel"])
            y, second = normed(y, p["norms"]["1"], averages["norms"]["1"])
            stages[s][b] = {"norms": {"0": first, "1": second}}
            if p.get("shortcut"):
                layers = p["shortcut"]["layers"]
                x = convolved(x, layers["0"]["kernel"], strides)
                x, third = normed(x, layers["1"], averages["shortcut"]["layers"]["1"])
                stages[s][b]["shortcut"] = {"layers": {"1": third}}
            x = jax.nn.relu(x + y)
    logits = steps.dense(x.mean((1, 2)), params["head"]["linear"])
    return steps.cross_entropy(logits, labels), {"norm1": seen, "stages": stages}


def momentum_step(state, batch, key):
    params, trace, buffers = state
    loss = functools.partial(resnet_loss, batch=batch)
    (value, buffers), slope = jax.value_and_grad(loss, has_aux=True)(params, buffers)
    trace = jax.tree.map(lambda t, g: MOMENTUM * t + g, trace, slope)
    params = jax.tree.map(lambda p, t: p - RATE * t, params, trace)
    return (params, trace, buffers), {"loss": value}


def resnet_thunks():
    batch = labelled(32, [32, 32, 3])
    model = resnet18(num_classes=10, small_images=True, dtype=DTYPE)
    step, state, batch, key = resnet_step(model, batch)
    params, buffers = state.variables
    thunks = {"jdl": threaded(jax.jit(step, donate_argnums=0), state, batch, key)}
    if ON_CPU:
        start = params, jax.tree.map(jnp.zeros_like, params), buffers
        by_hand = jax.jit(momentum_step, donate_argnums=0)
        thunks["hand"] = threaded(by_hand, start, batch, key)
        thunks |= torch_thunks(torch_resnet, batch, "sgd")
    return thunks


def lenet_thunks():
    thunks = steps.twins("lenet5")
    if ON_CPU:
        thunks |= torch_thunks(torch_lenet, STEPS["lenet5"]().batch, "adam")
    return thunks


# ---- the same networks in PyTorch


def torch_lenet():
    import torch.nn as nn

    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh()),
        nn.Linear(84, 10),
    )


def torch_resnet():
    import torch.nn as nn

    def conv(inputs, outputs, size, stride=1):
        return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.branch = nn.Sequential(
                *(conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs), nn.ReLU()),
                *(conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)),
            )
            self.shortcut = nn.Identity()
            if inputs != outputs:
                norm = nn.BatchNorm2d(outputs)
                self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), norm)
            self.activation = nn.ReLU()

        def forward(self, x):
            return self.activation(self.shortcut(x) + self.branch(x))

    layers, inputs = [conv(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU()], 64
    for width, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        layers += [Block(inputs, width, stride), Block(width, width, 1)]
        inputs = width
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)
    return nn.Sequential(*layers, *head)


def torch_thunks(build, batch, optimizer):
    """The step in eager PyTorch, in its layouts, and compiled."""
    import torch
    import torch.nn.functional as F

    images, labels = (torch.from_numpy(np.array(x)) for x in batch)
    images, labels = images.permute(0, 3, 1, 2).contiguous(), labels.long()

    def thunk(memory_format, compiled):
        torch.manual_seed(0)
        network = build().to(memory_format=memory_format)
        x = images.contiguous(memory_format=memory_format)

        def loss(call):
            return F.cross_entropy(call(x), labels)

        return torch_step(network, loss, optimizer, compiled=compiled)

    return {
        "torch": thunk(torch.contiguous_format, False),
        "torch channels last": thunk(torch.channels_last, False),
        "torch compile": thunk(torch.channels_last, True),
    }


# ---- DCGAN


class Generator(nnx.Module):
    """Noise [B, 100] -> images [B, 32, 32, 3], Radford et al. 2016 at half their size."""

    def __init__(self, transpose, *, rngs):
        widths = [256, 128, 64, 3]
        sizes = list(zip(widths[:-1], widths[1:], strict=True))
        self.dense = nnx.Linear(LATENT_DIM, 4 * 4 * widths[0], use_bias=False, rngs=rngs)
        self.norms = nnx.List(nnx.BatchNorm(width, rngs=rngs) for width in widths[:-1])
        self.layers = nnx.List(
            transpose(*size, (4, 4), (2, 2), padding="SAME", use_bias=False, rngs=rngs)
            for size in sizes
        )

    def __call__(self, noise):
        x = self.dense(noise).reshape(-1, 4, 4, 256)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(jax.nn.relu(norm(x)))
        return jnp.tanh(x)


class Discriminator(nnx.Module):
    """Images [B, 32, 32, 3] -> logits [B]."""

    def __init__(self, *, rngs):
        sizes = [(3, 64), (64, 128), (128, 256)]
        self.layers = nnx.List(
            nnx.Conv(*size, (4, 4), (2, 2), padding="SAME", use_bias=False, rngs=rngs)
            for size in sizes
        )
        self.norms = nnx.List(nnx.BatchNorm(width, rngs=rngs) for _, width in sizes[1:])
        self.dense = nnx.Linear(4 * 4 * 256, 1, rngs=rngs)

    def __call__(self, images):
        x = jax.nn.leaky_relu(self.layers[0](images), 0.2)
        for norm, layer in zip(self.norms, self.layers[1:], strict=True):
            x = jax.nn.leaky_relu(norm(layer(x)), 0.2)
        return self.dense(x.reshape(len(x), -1))[:, 0]


def gan_thunk(transpose):
    """One move of each player, Adam with rate 2e-4 and b1 0.5 (Radford et al., section 4)."""
    generator = functional(lambda rngs: Generator(transpose, rngs=rngs))
    discriminator = functional(lambda rngs: Discriminator(rngs=rngs))
    objectives = {
        "discriminator": discriminator_objective(generator, discriminator, LATENT_DIM),
        "generator": generator_objective(generator, discriminator, LATENT_DIM),
    }
    players = {
        name: Player(objective, optax.adam(2e-4, b1=0.5)) for name, objective in objectives.items()
    }
    algorithm = game(players)
    state = algorithm.init(gan_variables(generator, discriminator, jax.random.key(0)))
    images, _ = labelled(GAN_BATCH, [32, 32, 3])
    step = jax.jit(algorithm.step, donate_argnums=0)
    return threaded(step, state, jnp.tanh(images), jax.random.key(1))


def dcgan_thunks():
    return {"jdl": gan_thunk(ConvTranspose), "flax": gan_thunk(nnx.ConvTranspose)}


# ---- what is printed


def losses(thunk):
    """The first losses, of each player if there are several."""
    infos = [thunk()[1] for _ in range(CHECKED)]
    return [
        [float(value) for path, value in jax.tree.leaves_with_path(info) if path[-1].key == "loss"]
        for info in infos
    ]


def compile_seconds():
    """Of the step of ResNet-50, from its shapes alone."""
    model = resnet50(dtype=DTYPE)
    algorithm = descent(gradient(classification(model)), optax.sgd(RATE, MOMENTUM))
    state = jax.eval_shape(lambda key: algorithm.init(model.init(key)), jax.random.key(0))
    batch = (
        jax.ShapeDtypeStruct([32, 224, 224, 3], jnp.float32),
        jax.ShapeDtypeStruct([32], jnp.int32),
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    jax.config.update("jax_enable_compilation_cache", False)
    begin = time.perf_counter()
    lowered = jax.jit(algorithm.step, donate_argnums=0).lower(state, batch, key)
    traced = time.perf_counter()
    lowered.compile()
    compiled = time.perf_counter()
    return {"trace_s": round(traced - begin, 1), "compile_s": round(compiled - traced, 1)}


THUNKS = {"lenet": lenet_thunks, "resnet18": resnet_thunks, "dcgan": dcgan_thunks}


def measure(name, rounds):
    if name == "compile":
        return compile_seconds()
    thunks = THUNKS[name]()
    for twin in {"hand", "flax"} & thunks.keys():
        np.testing.assert_allclose(losses(thunks[twin]), losses(thunks["jdl"]), rtol=1e-3)
    found = compare({"jdl": thunks.pop("jdl"), **thunks}, rounds=rounds, block_seconds=0.5)
    ratios = {k: [round(x, 3) for x in found.ratios[k]] for k in thunks}
    milliseconds = {k: round(1e3 * x, 2) for k, x in found.seconds.items()}
    return {"ms": milliseconds, "over_jdl": ratios, "rounds": found.rounds}


def main(names, rounds):
    for name in names:
        record = {"name": f"convnets.{name}", "device": jax.devices()[0].device_kind}
        record |= {"jax": jax.__version__, "dtype": jnp.dtype(DTYPE).name}
        print(json.dumps(record | measure(name, rounds)), flush=True)


if __name__ == "__main__":
    choices = [*THUNKS, "compile"]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(choices)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    main(arguments.names or choices, arguments.rounds)
