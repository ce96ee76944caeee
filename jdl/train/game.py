"""Several players, each descending its own objective over its own part of the parameters.

    for each player in turn, `repeats` times:
        direction    = d objective_player(params of all) / d params[player]
        params[player] = params[player] + optimizer_player(direction)

A later player sees what the earlier ones have become. Generative adversarial networks are games
of two (Goodfellow et al. 2014, algorithm 1: the discriminator moves k times, the generator once).
"""

from typing import Any, NamedTuple

import jax
import optax

from jdl.core import Algorithm, Objective, Variables


class Player(NamedTuple):
    """One side of a game.

    Attributes:
        objective: (params of all players, buffers, batch, key) -> (loss, (buffers, info)).
        optimizer: an Optax transform, including its learning rate.
        repeats: moves in a round. If any player of the game has more than one, the batch has a
            leading axis of the largest `repeats`, and each move takes the next entry.
    """

    objective: Objective
    optimizer: optax.GradientTransformation
    repeats: int = 1


class GameState(NamedTuple):
    """The variables of all players and the states of their optimizers, by name."""

    variables: Variables
    optimizers: dict[str, Any]


def game(players: dict[str, Player]) -> Algorithm:
    """The Algorithm whose step is one round of a game.

    Args:
        players: by name, in the order in which they move. `params` is a dict with these names.

    Returns:
        An Algorithm. Info: under each player's name its info and `loss`, at its last move.

    Raises:
        ValueError: no players, `repeats` below 1, params of other names, or a batch that lacks
            the axis of moves.
    """
    if not players or min(player.repeats for player in players.values()) < 1:
        raise ValueError(f"a game needs players with repeats >= 1; got {players}")
    rounds = max(player.repeats for player in players.values())

    def init(variables, key=None):
        if set(variables.params) != set(players):
            raise ValueError(
                f"the params of a game are a dict by player, {sorted(players)}; "
                f"got {sorted(variables.params)}"
            )
        return GameState(
            variables,
            {
                name: player.optimizer.init(variables.params[name])
                for name, player in players.items()
            },
        )

    def move(name, state, batch, key):
        player, (params, buffers) = players[name], state.variables

        def objective(own):
            return player.objective({**params, name: own}, buffers, batch, key)

        (loss, (buffers, info)), direction = jax.value_and_grad(objective, has_aux=True)(
            params[name]
        )
        updates, memory = player.optimizer.update(direction, state.optimizers[name], params[name])
        params = {**params, name: optax.apply_updates(params[name], updates)}
        state = GameState(Variables(params, buffers), {**state.optimizers, name: memory})
        return state, {"loss": loss, **info}

    def step(state, batch, key):
        for leaf in jax.tree.leaves(batch):
            if rounds > 1 and leaf.shape[:1] != (rounds,):
                raise ValueError(
                    f"a round has {rounds} moves, so batch leaves are [{rounds}, B, ...];"
                    f" got {leaf.shape}"
                )
        info = {}
        for (name, player), own in zip(
            players.items(), jax.random.split(key, len(players)), strict=True
        ):
            if rounds == 1:
                state, info[name] = move(name, state, batch, own)
                continue
            state, infos = jax.lax.scan(
                lambda state, inputs, name=name: move(name, state, *inputs),
                state,
                (
                    jax.tree.map(lambda x, n=player.repeats: x[:n], batch),
                    jax.random.split(own, player.repeats),
                ),
            )
            info[name] = jax.tree.map(lambda x: x[-1], infos)
        return state, info

    return Algorithm(init, step)
