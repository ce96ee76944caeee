"""Walking on a grid, with walls, pits, a goal and a floor that slips.

    S start   G goal   P pit   # wall   . floor

An action goes where it says with probability 1 - slip, and to each side with slip/2; who would walk
into a wall or off the grid stays. Goal and pit end the episode. Source: Russell and Norvig,
Artificial Intelligence, 3rd edition, section 17.1, whose 4 x 3 world is `FOUR_BY_THREE`;
`DYNA_MAZE` is Sutton and Barto 2018, figure 8.2.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jdl.rl.tabular import DecisionProcess

FOUR_BY_THREE = ("...G", ".#.P", "S...")
DYNA_MAZE = (
    ".......#G",
    "..#....#.",
    "S.#....#.",
    "..#......",
    ".....#...",
    ".........",
)
MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])  # up, right, down, left: (row, column)


def gridworld(
    layout: Sequence[str],
    *,
    slip: float = 0.2,
    step_reward: float = -0.04,
    goal_reward: float = 1.0,
    pit_reward: float = -1.0,
) -> DecisionProcess:
    """The tables of a grid; state = row * columns + column, actions are up, right, down, left.

    Args:
        layout: rows of equal length of the letters above; several S are equally likely.
        slip: probability of going to one of the two sides.
        step_reward: of each step.
        goal_reward: on top, for the step to G.
        pit_reward: on top, for the step to P.

    Returns:
        A DecisionProcess of rows * columns states and 4 actions. Walls are terminal states that
        nobody enters.

    Raises:
        ValueError: rows of unequal length, other letters, or no start.

    Example:
        >>> from jdl.rl.tabular import value_iteration
        >>> process = gridworld(FOUR_BY_THREE)
        >>> values = value_iteration(process).reshape(3, 4)
        >>> round(float(values[2, 0]), 3)  # the book: 0.705
        0.705
    """
    cells = _cells(layout)
    rows, columns = cells.shape
    states = rows * columns
    flat = cells.ravel()
    transitions = np.zeros([states, 4, states], np.float32)
    for state in range(states):
        for action in range(4):
            for turn, probability in [(0, 1 - slip), (1, slip / 2), (3, slip / 2)]:
                place = np.array(divmod(state, columns)) + MOVES[(action + turn) % 4]
                free = np.all((0 <= place) & (place < cells.shape)) and cells[tuple(place)] != "#"
                after = place[0] * columns + place[1] if free else state
                transitions[state, action, after] += probability
    entering = step_reward + goal_reward * (flat == "G") + pit_reward * (flat == "P")
    rewards = np.broadcast_to(entering.astype(np.float32), transitions.shape)
    terminal = np.isin(flat, ["G", "P", "#"]).astype(np.float32)
    start = (flat == "S") / np.sum(flat == "S")
    return DecisionProcess(*map(jnp.asarray, (transitions, rewards, terminal, np.float32(start))))


def _cells(layout):
    letters = set("".join(layout))
    if len({len(row) for row in layout}) != 1 or letters - set("SGP#.") or "S" not in letters:
        raise ValueError(
            "a grid is rows of one length with the letters S (start, at least one), G, P, # and . "
            f"(floor); got {list(layout)}"
        )
    return np.array([list(row) for row in layout])
