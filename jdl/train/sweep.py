"""Hyper-parameters side by side: a grid, or random settings, trained at once by vmap.

    step of the sweep = vmap of build(setting_g).step over (setting_g, state_g)

What differs between settings is a number that the step computes with: a rate, a decay, a
penalty. What changes a shape (the width, the batch size) is a loop around.

Source: Bergstra and Bengio 2012 for random against grid; 003; 004 ch. 3 and 4.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Key, Tree

Settings = dict[str, jax.Array]


def grid(axes: Mapping[str, Sequence[float]]) -> Settings:
    """All combinations of some values.

    Args:
        axes: name -> its values.

    Returns:
        Name -> [G], G the product of the numbers of values; the last name changes fastest.

    Raises:
        ValueError: no names, or a name without values.

    Example:
        >>> {name: x.tolist() for name, x in grid({"a": [1.0, 2.0], "b": [3.0, 4.0]}).items()}
        {'a': [1.0, 1.0, 2.0, 2.0], 'b': [3.0, 4.0, 3.0, 4.0]}
    """
    if not axes or not all(map(len, axes.values())):
        raise ValueError(f"a grid has names, each with values; got {dict(axes)}")
    crossed = jnp.meshgrid(*map(jnp.asarray, axes.values()), indexing="ij")
    return {name: x.ravel() for name, x in zip(axes, crossed, strict=True)}


def log_uniform(low: float, high: float) -> Callable[[Key, tuple[int, ...]], jax.Array]:
    """Draws whose logarithms are uniform, for rates and penalties.

    Args:
        low: above 0.
        high: above `low`.

    Returns:
        (key, shape) -> draws.
    """
    if not 0 < low < high:
        raise ValueError(f"expected 0 < low < high; got {low} and {high}")

    def draw(key, shape):
        return jnp.exp(jax.random.uniform(key, shape, minval=math.log(low), maxval=math.log(high)))

    return draw


def random_settings(
    draws: Mapping[str, Callable[[Key, tuple[int, ...]], jax.Array]], size: int, key: Key
) -> Settings:
    """Settings drawn independently.

    Args:
        draws: name -> (key, shape) -> draws, such as `log_uniform(1e-4, 1.0)`.
        size: number of settings, G.
        key: of the draws.

    Returns:
        Name -> [G].
    """
    keys = jax.random.split(key, len(draws))
    return {name: draw(k, (size,)) for (name, draw), k in zip(draws.items(), keys, strict=True)}


def sweep(build: Callable[[Settings], Algorithm], settings: Settings) -> Algorithm:
    """The Algorithm that trains one member for each setting, on the same batches and keys.

    Args:
        build: a setting, name -> [] -> the algorithm of it; traced once.
        settings: name -> [G].

    Returns:
        An Algorithm. `init` takes the variables of one model, from which all members start; the
        leaves of the state and the info are [G, ...]. `member(state.variables, g)` is one's.

    Raises:
        ValueError: settings of different lengths.

    Example:
        >>> import optax
        >>> from jdl.core import Variables
        >>> from jdl.train.descent import descent, gradient
        >>> def square(params, buffers, batch, key):
        ...     return params**2, (buffers, {})
        >>> algorithm = sweep(
        ...     lambda setting: descent(gradient(square), optax.sgd(setting["learning_rate"])),
        ...     grid({"learning_rate": [0.1, 0.5, 1.0]}),
        ... )
        >>> state = algorithm.init(Variables(jnp.array(4.0)))
        >>> state, info = algorithm.step(state, None, jax.random.key(0))
        >>> state.variables.params.tolist()  # (1 - 2 mu) 4
        [3.200000047683716, 0.0, -4.0]
    """
    sizes = {name: jnp.shape(x) for name, x in settings.items()}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise ValueError(f"the settings of a sweep are [G], with one G; got {sizes}")

    def init(variables, key=None):
        return jax.vmap(lambda setting: build(setting).init(variables, key))(settings)

    def step(state, batch, key):
        return jax.vmap(lambda setting, state: build(setting).step(state, batch, key))(
            settings, state
        )

    return Algorithm(init, step)


def member(tree: Tree, index: int | jax.Array) -> Tree:
    """One member of a sweep or an ensemble.

    Args:
        tree: of leaves [G, ...].
        index: which.
    """
    return jax.tree.map(lambda x: x[index], tree)


def best_index(losses: jax.Array) -> jax.Array:
    """Which member has the least loss, of a sweep or of random restarts (an ensemble).

    Args:
        losses: [G]; nan, of a member that diverged, is never the least.

    Returns:
        [], an integer: `member(state.variables, best_index(losses))`.

    Raises:
        ValueError: losses of another rank.

    Example:
        >>> int(best_index(jnp.array([jnp.nan, 2.0, 1.0])))
        2
    """
    if losses.ndim != 1:
        raise ValueError(f"losses are [G], one a member; got {list(losses.shape)}")
    return jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))
