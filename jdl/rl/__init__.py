"""Reinforcement learning: environments as pure functions, agents as algorithms."""
