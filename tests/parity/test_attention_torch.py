"""Attention, blocks, stacks and resized positions against PyTorch's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.attention import attention, causal_mask, padding_mask
from jdl.nn.multi_head_attention import MultiHeadAttention
from jdl.nn.positions import resized_grid
from jdl.nn.transformer_block import TransformerBlock

pytestmark = pytest.mark.parity
RNG = np.random.default_rng(0)
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


def drawn(torch, module):
    """PyTorch's module with parameters of variance 1 / 4, so that no part of a formula can hide."""
    module.eval()
    for parameter in module.parameters():
        parameter.data = torch.tensor(0.5 * normal(*parameter.shape))
    return module


def linear(weight, bias):
    return {"kernel": weight.detach().numpy().T, "bias": bias.detach().numpy()}


def norm(layer):
    return {"scale": layer.weight.detach().numpy(), "bias": layer.bias.detach().numpy()}


def attends(layer):
    names = ("query", "key", "value")
    parts = zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True)
    params = {name: linear(*part) for name, part in zip(names, parts, strict=True)}
    return params | {"project": linear(layer.out_proj.weight, layer.out_proj.bias)}


def perceives(layer):
    return {
        "expand": linear(layer.linear1.weight, layer.linear1.bias),
        "project": linear(layer.linear2.weight, layer.linear2.bias),
    }


def applied(build, params, *inputs, **options):
    model = functional(lambda rngs: build(rngs=rngs))
    return jax.jit(lambda p, *x: model.apply(Variables(p), *x, **options)[0])(params, *inputs)


def test_scaled_dot_product_attention_with_a_mask_and_a_bias(torch):
    query, key, value = normal(2, 4, 2, 3), normal(2, 5, 2, 3), normal(2, 5, 2, 3)
    bias, mask = normal(2, 2, 4, 5), RNG.random([2, 1, 4, 5]) < 0.6
    mask[..., 0] = True
    found = attention(query, key, value, bias=bias, mask=mask)
    heads = (torch.tensor(x).transpose(1, 2) for x in (query, key, value))
    added = torch.tensor(np.where(mask, bias, -np.inf).astype(np.float32))
    expected = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=added)
    np.testing.assert_allclose(found, expected.transpose(1, 2), **CLOSE)


def test_multi_head_attention_and_its_averaged_weights(torch):
    """000's listing: 4 features, 2 heads, three sequences of 5."""
    theirs = drawn(torch, torch.nn.MultiheadAttention(4, 2, batch_first=True))
    x, memory = normal(1, 5, 4), normal(1, 6, 4)
    is_token = np.arange(6)[None] < 4
    tensors = (torch.tensor(a) for a in (x, memory, memory))
    expected, shares = theirs(*tensors, key_padding_mask=torch.tensor(~is_token))
    found, weights = applied(
        functools.partial(MultiHeadAttention, 4, 2),
        attends(theirs),
        x,
        memory,
        mask=padding_mask(is_token),
        return_weights=True,
    )
    np.testing.assert_allclose(found, expected.detach(), **CLOSE)
    np.testing.assert_allclose(weights.mean(1), shares.detach(), **CLOSE)


@pytest.mark.parametrize("placement", ["post", "pre"])
def test_an_encoders_layer(torch, placement):
    theirs = drawn(
        torch,
        torch.nn.TransformerEncoderLayer(
            8, 2, 16, batch_first=True, norm_first=placement == "pre", activation="gelu"
        ),
    )
    params = {
        "attention": attends(theirs.self_attn),
        "attention_norm": norm(theirs.norm1),
        "feed_forward": perceives(theirs),
        "feed_forward_norm": norm(theirs.norm2),
    }
    gelu = functools.partial(jax.nn.gelu, approximate=False)
    build = functools.partial(TransformerBlock, 8, 2, 16, norm_placement=placement, activation=gelu)
    x = normal(2, 5, 8)
    expected = theirs(torch.tensor(x))
    np.testing.assert_allclose(applied(build, params, x), expected.detach(), **CLOSE)


@pytest.mark.parametrize("placement", ["post", "pre"])
def test_a_decoders_layer(torch, placement):
    theirs = drawn(
        torch,
        torch.nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, norm_first=placement == "pre"),
    )
    params = {
        "attention": attends(theirs.self_attn),
        "attention_norm": norm(theirs.norm1),
        "cross_attention": attends(theirs.multihead_attn),
        "cross_attention_norm": norm(theirs.norm2),
        "feed_forward": perceives(theirs),
        "feed_forward_norm": norm(theirs.norm3),
    }
    build = functools.partial(
        TransformerBlock, 8, 2, 16, cross_attention=True, norm_placement=placement
    )
    x, memory = normal(2, 5, 8), normal(2, 6, 8)
    is_token = np.arange(6)[None] < np.array([[6], [4]])
    expected = theirs(
        torch.tensor(x),
        torch.tensor(memory),
        tgt_mask=torch.tensor(~np.asarray(causal_mask(5, 5)[0, 0])),
        memory_key_padding_mask=torch.tensor(~is_token),
    )
    found = applied(build, params, x, memory, memory_mask=padding_mask(is_token), is_causal=True)
    np.testing.assert_allclose(found, expected.detach(), **CLOSE)


@pytest.mark.parametrize(("encoder", "count"), [(2, 31_531_008), (6, 44_140_544)])
def test_the_stacks_have_as_many_parameters(torch, encoder, count):
    theirs = torch.nn.Transformer(
        512, 8, num_encoder_layers=encoder, batch_first=True, device="meta"
    )
    assert sum(p.numel() for p in theirs.parameters()) == count


@pytest.mark.parametrize(("method", "mode"), [("cubic", "bicubic"), ("linear", "bilinear")])
@pytest.mark.parametrize("size", [(7, 9), (2, 3)], ids=["larger", "smaller"])
def test_resized_positions(torch, method, mode, size):
    table = normal(1 + 4 * 5, 3)
    found = resized_grid(jnp.asarray(table), (4, 5), size, method=method)
    image = torch.tensor(table[1:].reshape(4, 5, 3)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(image, size=size, mode=mode, antialias=True)
    np.testing.assert_allclose(
        found[1:], expected[0].permute(1, 2, 0).reshape(-1, 3), rtol=1e-3, atol=1e-4
    )
