from functools import partial

import jax
import numpy as np
import optax

from jdl.models.mlp import mlp
from jdl.rl.agents import policy_and_value
from jdl.rl.gridworld import gridworld
from jdl.rl.reinforce import reinforce, reinforce_with_baseline
from jdl.rl.tabular import environment
from jdl.train import descent
from tests.conformance.case import AlgorithmCase, ModelCase

WALK = environment(gridworld(("S.G",)))
POLICY, VALUE = mlp([3, 4]), mlp([3, 1])
AGENT = policy_and_value(POLICY, VALUE)
SETTINGS = {"episodes": 4, "length": 5, "discount": 0.9}
OBSERVATIONS = np.random.default_rng(0).normal(size=[3, 3]).astype(np.float32)


def _learner(estimator, model):
    # No examples to divide over devices: an agent makes its own.
    return AlgorithmCase(
        lambda: (descent(estimator, optax.sgd(0.1)), model.init(jax.random.key(0))),
        None,
        rows=None,
        keys_followed=False,  # episodes side by side split their keys under a vmap
    )


MODELS = {
    "jdl.rl.agents.policy_and_value": ModelCase(
        partial(policy_and_value, POLICY, VALUE), (OBSERVATIONS,)
    )
}

ALGORITHMS = {
    "jdl.rl.reinforce.reinforce": _learner(reinforce(WALK, POLICY, **SETTINGS), POLICY),
    "jdl.rl.reinforce.reinforce_with_baseline": _learner(
        reinforce_with_baseline(WALK, AGENT, **SETTINGS), AGENT
    ),
}
