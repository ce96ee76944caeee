"""Reinforcement learning: environments as pure functions, agents as algorithms."""

from jdl.rl.agents import PolicyAndValue as PolicyAndValue
from jdl.rl.agents import policy_and_value as policy_and_value
from jdl.rl.environment import Environment as Environment
from jdl.rl.environment import Episode as Episode
from jdl.rl.environment import rollout as rollout
from jdl.rl.gridworld import gridworld as gridworld
from jdl.rl.reinforce import reinforce as reinforce
from jdl.rl.reinforce import reinforce_with_baseline as reinforce_with_baseline
from jdl.rl.tabular import DecisionProcess as DecisionProcess
from jdl.rl.tabular import policy_values as policy_values
from jdl.rl.tabular import value_iteration as value_iteration
