from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import Player, descent, game, gradient, regression
from jdl.train.accumulate import accumulate
from jdl.train.averaging import ema, with_average, with_target
from jdl.train.ensemble import ensemble, members
from jdl.train.parallel import average_over, data_mesh, pmapped, sharded
from jdl.train.rules import hebb, perceptron, widrow_hoff
from tests.conformance.case import AlgorithmCase, ModelCase

_random = np.random.default_rng(0)
INPUTS = _random.normal(size=[8, 3]).astype(np.float32)
TARGETS = _random.normal(size=[8, 2]).astype(np.float32)
LABELS = _random.integers(0, 2, size=[8]).astype(np.float32)
MODEL = mlp([3, 4, 2], dropout_rate=0.5)
NEURON = mlp([3, 1])
BATCH = (INPUTS, TARGETS)


def _descent():
    return descent(gradient(regression(MODEL)), optax.adam(0.1))


def _of(algorithm, model=MODEL):
    return algorithm, model.init(jax.random.key(1))


def _rule(rule):
    return AlgorithmCase(
        lambda: _of(descent(rule(NEURON), optax.sgd(0.1)), NEURON), (INPUTS, LABELS)
    )


def _game(repeats):
    def critic(params, buffers, batch, key):
        noise = jax.random.normal(key, batch.shape)
        loss = jnp.mean((params["critic"][None] * batch - params["actor"][None] + noise) ** 2)
        return loss, (buffers, {"size": jnp.abs(params["critic"]).mean()})

    def actor(params, buffers, batch, key):
        return jnp.mean((params["actor"] - params["critic"]) ** 2), (buffers, {})

    return AlgorithmCase(
        lambda: (
            game(
                {
                    "critic": Player(critic, optax.adam(0.1), repeats),
                    "actor": Player(actor, optax.sgd(0.1)),
                }
            ),
            Variables({"critic": jnp.ones(3), "actor": jnp.zeros(3)}),
        ),
        INPUTS if repeats == 1 else np.stack([INPUTS] * repeats),
        rows=0 if repeats == 1 else 1,
    )


def _towards_target(params, buffers, batch, key):
    loss = jnp.mean((params["w"] - 0.9 * buffers["target"]["w"] - batch.mean(0)) ** 2)
    return loss, (buffers, {})


MODELS = {
    "jdl.train.ensemble.members": ModelCase(partial(members, MODEL, 2), (INPUTS,)),
}

ALGORITHMS = {
    "jdl.train.descent.gradient": AlgorithmCase(lambda: _of(_descent()), BATCH),
    "jdl.train.descent.descent": AlgorithmCase(
        lambda: _of(descent(gradient(regression(MODEL)), optax.lbfgs(linesearch=None))), BATCH
    ),
    "jdl.train.game.game": _game(1),
    "jdl.train.game.game [three moves]": _game(3),
    "jdl.train.ensemble.ensemble": AlgorithmCase(
        lambda: _of(ensemble(_descent()), members(MODEL, 3)), BATCH, info_shape=(3,)
    ),
    "jdl.train.accumulate.accumulate": AlgorithmCase(
        lambda: _of(descent(accumulate(gradient(regression(MODEL)), 2), optax.adam(0.1))), BATCH
    ),
    "jdl.train.averaging.with_average": AlgorithmCase(
        lambda: _of(with_average(_descent(), ema(0.9))), BATCH
    ),
    "jdl.train.averaging.with_target": AlgorithmCase(
        lambda: (
            with_target(descent(gradient(_towards_target), optax.sgd(0.1)), ema(0.9)),
            Variables({"w": jnp.ones(3)}),
        ),
        INPUTS,
    ),
    "jdl.train.rules.perceptron": _rule(perceptron),
    "jdl.train.rules.widrow_hoff": _rule(widrow_hoff),
    "jdl.train.rules.hebb": _rule(hebb),
    "jdl.train.parallel.sharded": AlgorithmCase(
        lambda: _of(sharded(_descent(), data_mesh())), BATCH
    ),
    "jdl.train.parallel.pmapped": AlgorithmCase(
        lambda: _of(
            pmapped(
                lambda axis: descent(
                    gradient(regression(mlp([3, 4, 2]))),
                    optax.chain(average_over(axis), optax.adam(0.1)),
                )
            ),
            mlp([3, 4, 2]),
        ),
        BATCH,
        vmaps=False,  # a pmap inside of a vmap is not JAX's
        traces=2,  # the first step takes a state that lies on one device, the others on all
    ),
}
