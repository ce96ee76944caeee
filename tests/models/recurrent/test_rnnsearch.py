"""RNNsearch against its appendix in NumPy, step by step, and with padding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import beam_search, bound
from jdl.models.recurrent.rnnsearch import rnnsearch
from tests.conformance.case import quick

SOURCE, TARGET = np.array([[3, 4, 5], [6, 3, 0]]), np.array([[1, 4], [1, 3]])
small = functools.partial(rnnsearch, 8, 7, 3, 4, alignment_dim=5, maxout_dim=6)


@pytest.fixture(scope="module")
def variables():
    variables = small().init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(variables.params)
    random = np.random.default_rng(1)
    drawn = [random.normal(size=x.shape).astype(np.float32) for x in leaves]
    return variables._replace(params=jax.tree.unflatten(structure, drawn))


def test_params_are_those_of_the_published_sizes():
    params = jax.eval_shape(rnnsearch().init, jax.random.key(0)).params
    assert sum(x.size for x in jax.tree.leaves(params)) == 80_442_000
    assert params["maxout"]["pieces"]["kernel"].shape == (1000 + 620 + 2000, 500, 2)


@pytest.mark.parametrize("readout", ["before", "after"])
def test_logits_and_weights_are_the_appendixs(variables, readout):
    model = small(readout=readout)
    inputs = SOURCE[:1], TARGET[:1]
    run = quick(
        lambda v: (model.apply(v, *inputs)[0], model.apply(v, *inputs, method="attention_maps")[0])
    )
    logits, weights = run(variables)
    p = jax.tree.map(np.float64, variables.params)
    layer = p["encoder"]["layers"]["0"]
    there, s = [], np.zeros(4)
    for word in SOURCE[0]:
        s = _gru(layer["forward"]["cell"], s, p["source_embed"]["embedding"][word])
        there.append(s)
    back, s = [], np.zeros(4)
    for word in SOURCE[0][::-1]:
        s = _gru(layer["backward"]["cell"], s, p["source_embed"]["embedding"][word])
        back.insert(0, s)
    h = np.concatenate([there, back], -1)
    s, attention = np.tanh(_affine(p["enter"], back[0])), p["attention"]
    for t, word in enumerate(TARGET[0]):
        hidden = np.tanh(s @ attention["query"]["kernel"] + h @ attention["key"]["kernel"])
        a = np.exp(hidden @ attention["score"]["kernel"][:, 0])
        a /= a.sum()
        y, c = p["target_embed"]["embedding"][word], a @ h
        after = _gru(p["cell"], s, np.concatenate([y, c]))
        read = np.concatenate([s if readout == "before" else after, y, c])
        pieces = np.einsum("d,dlk->lk", read, p["maxout"]["pieces"]["kernel"])
        maxed = (pieces + p["maxout"]["pieces"]["bias"]).max(-1)
        np.testing.assert_allclose(weights[0, t], a, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(logits[0, t], _affine(p["head"], maxed), rtol=1e-3, atol=1e-3)
        s = after


def _affine(layer, x):
    return x @ layer["kernel"] + layer["bias"]


def _gru(p, h, x):
    gates = x @ p["kernel"] + h @ p["recurrent_kernel"] + p["bias"]
    r, z = np.split(1 / (1 + np.exp(-gates)), 2)
    n = x @ p["candidate_kernel"] + (r * h) @ p["candidate_recurrent_kernel"]
    return (1 - z) * h + z * np.tanh(n + p["candidate_bias"])


def test_steps_are_the_whole_and_padding_has_no_say(variables):
    model, padded = small(), np.pad(SOURCE, ((0, 0), (1, 2)))

    @quick
    def found(variables):
        step, logits = bound(model, variables), []
        carry, _ = model.apply(variables, padded, method="start")
        for t in range(2):
            each, carry = step(carry, TARGET[:, t])
            logits.append(each)
        maps = model.apply(variables, padded, TARGET, method="attention_maps")[0]
        return model.apply(variables, SOURCE, TARGET)[0], jnp.stack(logits, 1), maps

    whole, steps, maps = found(variables)
    np.testing.assert_allclose(steps, whole, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    assert (np.asarray(maps)[np.broadcast_to((padded == 0)[:, None], maps.shape)] == 0).all()


def test_it_writes_by_beams_and_names_mistakes(variables):
    def searched(variables):
        carry, _ = small().apply(variables, SOURCE, method="start")
        start = jnp.ones([2, 1], int)
        return beam_search(bound(small(), variables), carry, start, width=3, length=5, end_token=2)

    assert jax.eval_shape(searched, variables).tokens.shape == (2, 3, 5)
    with pytest.raises(ValueError, match="'before' or 'after'"):
        small(readout="never")
