"""The shapes that every system of the library has.

    Variables   parameters, and the buffers a forward pass rewrites
    Model       two pure functions: init, apply
    Objective   (params, buffers, batch, key) -> (loss, (buffers, info))
    Estimator   (params, buffers, batch, key) -> (direction, buffers, info)
    Algorithm   two pure functions: init, step

`gradient(objective)` is an Estimator; so are contrastive divergence, the perceptron rule and
REINFORCE. `descent(estimator, optimizer)` is an Algorithm; so are a game of several players, a
replay-based learner and a Markov chain. Draws from a posterior are params with a leading axis and
need no type.

Order of arguments, everywhere: what changes, the data, the key.
"""

from typing import Any, NamedTuple, Protocol

import jax

Tree = Any  # a pytree of arrays
Key = jax.Array  # typed PRNG key, shape []
Info = dict[str, Any]  # scalars to report, dicts may nest; the same entries at every step


class Variables(NamedTuple):
    """What a model computes with.

    Attributes:
        params: what an algorithm changes.
        buffers: what a forward pass reads and rewrites without being differentiated: batch
            statistics, a recurrent carry.
    """

    params: Tree
    buffers: Tree = ()


class Init(Protocol):
    """Draws the variables of a model."""

    def __call__(self, key: Key) -> Variables:
        """Returns fresh variables; the same for the same key."""


class Apply(Protocol):
    """Computes a model. With `train=False` it is deterministic and leaves the buffers alone."""

    def __call__(
        self, variables: Variables, *inputs, key: Key | None = None, train: bool = False
    ) -> tuple[Tree, Tree]:
        """Returns the outputs and the buffers after the pass."""


class Model(NamedTuple):
    """A network: `init(key) -> Variables` and `apply(variables, *inputs, key=None, train=False)`.

    `apply` returns the outputs and the buffers after the pass.
    """

    init: Init
    apply: Apply


class Objective(Protocol):
    """A loss to be lowered, a mean over the batch."""

    def __call__(
        self, params: Tree, buffers: Tree, batch: Tree, key: Key
    ) -> tuple[jax.Array, tuple[Tree, Info]]:
        """Returns the loss [], and (the buffers after the pass, scalars to report)."""


class Estimator(Protocol):
    """A direction to be descended: it has the sign of the gradient of a loss."""

    def __call__(
        self, params: Tree, buffers: Tree, batch: Tree, key: Key
    ) -> tuple[Tree, Tree, Info]:
        """Returns the direction, a tree like params; the buffers; scalars to report."""


class Start(Protocol):
    """Makes the state that an algorithm starts from."""

    def __call__(self, variables: Variables, key: Key | None = None) -> Any:
        """Returns a state whose field `variables` is what the algorithm changes."""


class Step(Protocol):
    """Makes one step. Structure, shapes and dtypes of the state stay as they are."""

    def __call__(self, state: Any, batch: Tree, key: Key) -> tuple[Any, Info]:
        """Returns the state after the step, and scalars to report."""


class Algorithm(NamedTuple):
    """Something that learns or samples.

    `init(variables, key=None) -> state`, whose field `variables` is what the algorithm changes, and
    `step(state, batch, key) -> (state, info)`.
    """

    init: Start
    step: Step
