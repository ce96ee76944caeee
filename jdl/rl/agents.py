"""What acts: a policy, or a policy with an estimate of the value."""

from typing import NamedTuple

import jax

from jdl.core import Model, Variables


class PolicyAndValue(NamedTuple):
    """Outputs of an agent.

    Attributes:
        logits: [..., num_actions], of the policy.
        value: [...], estimate of the return from here.
    """

    logits: jax.Array
    value: jax.Array


def policy_and_value(policy: Model, value: Model) -> Model:
    """Two models side by side as one agent.

    Args:
        policy: observation -> logits [..., num_actions].
        value: observation -> [..., 1].

    Returns:
        A Model: observation -> PolicyAndValue; params and buffers are dicts of `policy` and
        `value`, so `optax.partition` gives each its own rate.
    """

    def init(key):
        parts = policy.init(jax.random.fold_in(key, 0)), value.init(jax.random.fold_in(key, 1))
        params, buffers = zip(*parts, strict=True)
        names = ("policy", "value")
        return Variables(
            dict(zip(names, params, strict=True)), dict(zip(names, buffers, strict=True))
        )

    def apply(variables, observation, *, key=None, train=False):
        params, buffers = variables
        logits, policy_buffers = policy.apply(
            Variables(params["policy"], buffers["policy"]), observation, key=key, train=train
        )
        values, value_buffers = value.apply(
            Variables(params["value"], buffers["value"]), observation, key=key, train=train
        )
        outputs = PolicyAndValue(logits, values[..., 0])
        return outputs, {"policy": policy_buffers, "value": value_buffers}

    return Model(init, apply)
