"""Learns to walk through a maze with a slippery floor by REINFORCE (000, chapter 16).

The maze is Sutton and Barto's (2018, figure 8.2) with two pits, its floor Russell and Norvig's: one
step in five slips to a side, a step costs 0.04, the goal pays 1 and a pit takes 1. The policy is a
softmax of one logit for each cell and action, the baseline one value for each cell. Because the
tables of the maze are known, value iteration gives the best return there is, and the return of what
was learned is computed, not sampled. The book has the rule alone, no task and no numbers; what it
prints is biased (see `jdl.rl.reinforce`).

Seeds 0, 1, 2 took 24 to 32 s on two busy cores, most of it compilation, for 10 million steps in the
maze: returns of 0.104, 0.105, 0.104, where the best is 0.138 and a random walk has -6.648; 98, 98,
96 % of episodes end at the goal. The rest is a local optimum: the best policy takes the lower way,
the learned one the upper, which is as short but passes a pit. Before step 200 the curve rests at
-1.5, where a walk into a pit ends the cost of walking; with a pit near the start, `P` in the upper
left corner, it stays there for good.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.models.mlp import mlp
from jdl.plot.curves import learning_curves
from jdl.plot.gridworld import grid_policies
from jdl.recipes.report import Report
from jdl.rl import (
    gridworld,
    policy_and_value,
    policy_values,
    reinforce_with_baseline,
    value_iteration,
)
from jdl.rl.tabular import action_values, environment, expected_visits
from jdl.train import descent, fit


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    layout: tuple[str, ...] = (
        ".......#G",
        "..#....#.",
        "S.#....#.",
        "..#..P...",
        ".....#..P",
        ".........",
    )
    """Rows of the maze: S start, G goal, P pit, # wall, . floor."""
    slip: float = 0.2
    """Probability of going to a side."""
    step_reward: float = -0.04
    """Reward of each step."""
    steps: int = 800
    """Updates."""
    episodes: int = 128
    """Episodes for an update."""
    length: int = 100
    """Steps at which an episode is cut off."""
    learning_rate: float = 0.1
    """Of Adam, for the policy and the value; it falls to 0."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Learns, and compares with the best policy there is."""
    process = gridworld(settings.layout, slip=settings.slip, step_reward=settings.step_reward)
    cells = len(process.terminal)

    zeros = {"kernel_init": jax.nn.initializers.zeros}
    agent = policy_and_value(mlp([cells, 4], **zeros), mlp([cells, 1], **zeros))

    estimator = reinforce_with_baseline(
        environment(process), agent, episodes=settings.episodes, length=settings.length
    )
    rate = optax.linear_schedule(settings.learning_rate, 0.0, settings.steps)
    learner = descent(estimator, optax.adam(rate))

    def policy_of(variables):
        return jax.nn.softmax(agent.apply(variables, jnp.eye(cells))[0].logits)

    def exact(variables):
        return {"return": process.start @ policy_values(process, policy_of(variables))}

    key_init, key_fit = jax.random.split(key)
    fitted = fit(
        learner,
        learner.init(agent.init(key_init)),
        None,
        key_fit,
        steps=settings.steps,
        evaluate=exact,
        evaluate_every=max(1, settings.steps // 50),
    )

    values = value_iteration(process)
    policies = {
        "learned by REINFORCE": policy_of(fitted.state.variables),
        "best, by value iteration": jax.nn.one_hot(action_values(process, values).argmax(-1), 4),
    }
    visits = [expected_visits(process, policy) for policy in policies.values()]
    metrics = {
        "return_uniform": float(process.start @ policy_values(process, jnp.full([cells, 4], 0.25))),
        "return_learned": float(fitted.evaluations["return"][-1]),
        "return_best": float(process.start @ values),
        "length_learned": float(visits[0] @ (1 - process.terminal)),
        "length_best": float(visits[1] @ (1 - process.terminal)),
    } | goals(settings.layout, *visits)
    grids = grid_policies(
        settings.layout,
        {title: np.asarray(policy) for title, policy in policies.items()},
        dict(zip(policies, map(np.asarray, visits), strict=True)),
    )
    ends = np.array([0, settings.steps])
    curves = {
        "episodes as sampled": (np.arange(settings.steps), fitted.history["return"]),
        "exact, of the policy": (fitted.evaluations["step"], fitted.evaluations["return"]),
        "best there is": (ends, np.full(2, metrics["return_best"])),
    }
    figures = {"policies": grids, "learning": learning_curves({"return of an episode": curves})}
    return Report(metrics, figures, table(metrics))


def goals(layout: tuple[str, ...], learned: jax.Array, best: jax.Array) -> dict[str, float]:
    """The probability of ending at the goal, from the expected visits of the cells."""
    at_goal = np.array([letter == "G" for letter in "".join(layout)])
    return {
        "goal_learned": float(np.asarray(learned)[at_goal].sum()),
        "goal_best": float(np.asarray(best)[at_goal].sum()),
    }


def table(metrics: dict[str, float]) -> str:
    """The metrics as text."""
    lines = ["policy     return of an episode    steps    ends at the goal"]
    for name in ["learned", "best"]:
        lines.append(
            f"{name:8s}{metrics[f'return_{name}']:23.3f}{metrics[f'length_{name}']:9.1f}"
            f"{metrics[f'goal_{name}']:20.1%}"
        )
    return "\n".join([*lines, f"uniform {metrics['return_uniform']:23.3f}"])
