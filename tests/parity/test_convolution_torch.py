"""Convolutions, poolings and a residual block against PyTorch, values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.nn.convolution import correlate, relaid
from jdl.nn.pooling import avg_pool, max_pool
from jdl.nn.residual import ResidualBlock
from jdl.nn.transposed_convolution import adjoint, conv_transpose, torch_padding

pytestmark = pytest.mark.parity
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


def channels_first(x):
    return np.moveaxis(np.asarray(x), -1, 1)


def both(torch, ours, theirs, x, weight=None):
    """Values and gradients by the inputs and the weights, whose layout stays PyTorch's."""
    inputs = [x] if weight is None else [x, weight]
    tensors = [torch.tensor(channels_first(x), requires_grad=True)]
    tensors += [torch.tensor(w, requires_grad=True) for w in inputs[1:]]
    expected = theirs(*tensors)
    errors = normal(*expected.shape)
    expected.backward(torch.tensor(errors))
    found, pull = jax.vjp(ours, *inputs)
    slopes = pull(jnp.moveaxis(errors, 1, -1))
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(channels_first(found), expected.detach(), **close)
    np.testing.assert_allclose(channels_first(slopes[0]), tensors[0].grad, **close)
    for slope, tensor in zip(slopes[1:], tensors[1:], strict=True):
        np.testing.assert_allclose(slope, tensor.grad, **close)


@pytest.mark.parametrize(
    ("strides", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4)]
)
def test_convolution(torch, strides, padding, dilation, groups):
    options = {"padding": padding, "dilation": dilation, "groups": groups}
    both(
        torch,
        lambda x, w: correlate(x, relaid(w, "OIHW"), strides=strides, **options),
        lambda x, w: torch.nn.functional.conv2d(x, w, stride=strides, **options),
        normal(2, 7, 6, 4),
        normal(8, 4 // groups, 3, 3),
    )


@pytest.mark.parametrize(
    ("strides", "padding", "extra", "dilation"), [(2, 1, 0, 1), (2, 1, 1, 1), (3, 0, 2, 2)]
)
def test_transposed_convolution_in_pytorch_s_convention(torch, strides, padding, extra, dilation):
    taps = 3
    pads = torch_padding(taps, padding, dilation=dilation, extra=extra)
    both(
        torch,
        lambda x, w: conv_transpose(
            x, adjoint(relaid(w, "OIHW")), strides, pads, dilation=dilation
        ),
        lambda x, w: torch.nn.functional.conv_transpose2d(
            x, w, None, strides, padding, extra, dilation=dilation
        ),
        normal(2, 4, 5, 3),
        normal(3, 2, taps, taps),
    )


@pytest.mark.parametrize(("window", "strides", "padding"), [(2, 2, 0), (3, 2, 1)])
def test_pooling_with_ties(torch, window, strides, padding):
    tied = np.maximum(RNG.integers(-3, 3, size=(2, 7, 6, 3)), 0).astype(np.float32)
    for ours, theirs in [
        (max_pool, torch.nn.functional.max_pool2d),
        (avg_pool, torch.nn.functional.avg_pool2d),
    ]:
        both(
            torch,
            lambda x, ours=ours: ours(x, window, strides, padding),
            lambda x, theirs=theirs: theirs(x, window, strides, padding),
            tied,
        )
    inside = functools.partial(torch.nn.functional.avg_pool2d, count_include_pad=False)
    both(
        torch,
        lambda x: avg_pool(x, window, strides, padding, count_padding=False),
        lambda x: inside(x, window, strides, padding),
        tied,
    )


def test_a_residual_block_in_training(torch):
    """As torchvision's BasicBlock of another number of maps, with the same statistics."""
    layers = torch.nn
    convs = [layers.Conv2d(4, 6, 3, 2, 1, bias=False), layers.Conv2d(6, 6, 3, 1, 1, bias=False)]
    past, norms = layers.Conv2d(4, 6, 1, 2, bias=False), [layers.BatchNorm2d(6) for _ in range(3)]

    def theirs(x):
        y = norms[1](convs[1](torch.relu(norms[0](convs[0](x)))))
        return torch.relu(y + norms[2](past(x)))

    model = functional(lambda rngs: ResidualBlock(4, 6, 2, rngs=rngs))
    variables = model.init(jax.random.key(0))
    params = variables.params
    for i in "01":
        weight = convs[int(i)].weight.detach().numpy()
        params["convs"][i]["kernel"] = relaid(weight, "OIHW")
    kernel = relaid(past.weight.detach().numpy(), "OIHW")
    params["shortcut"]["layers"]["0"]["kernel"] = kernel

    def ours(x):
        return model.apply(variables, x, train=True)[0]

    x = normal(4, 6, 6, 4)
    both(torch, ours, theirs, x)
    _, buffers = model.apply(variables, x, train=True)
    np.testing.assert_allclose(
        buffers["norms"]["0"]["mean"], norms[0].running_mean, rtol=1e-4, atol=1e-6
    )
    places = 4 * 3 * 3  # PyTorch's running variance is that of 1 / (N - 1)
    unbiased = 0.9 + (np.asarray(buffers["norms"]["0"]["var"]) - 0.9) * places / (places - 1)
    np.testing.assert_allclose(unbiased, norms[0].running_var, rtol=1e-4)


def test_squeeze_of_linear_layers_is_that_of_1x1_convolutions(torch):
    x, weight = normal(2, 1, 1, 4), normal(3, 4)
    linear = functional(lambda rngs: nnx.Linear(4, 3, use_bias=False, rngs=rngs))
    params = {"kernel": weight.T}
    variables = linear.init(jax.random.key(0))._replace(params=params)
    found = linear.apply(variables, x[:, 0, 0])[0]
    maps = torch.nn.functional.conv2d(
        torch.tensor(channels_first(x)), torch.tensor(weight[..., None, None])
    )
    np.testing.assert_allclose(found, maps[:, :, 0, 0], rtol=1e-5, atol=1e-5)
