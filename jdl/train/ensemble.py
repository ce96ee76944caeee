"""Several members at once, by vmap: deep ensembles, seeds side by side, bootstrap aggregation.

    step of the ensemble = vmap of step over (state_m, batch or batch_m, key_m)

Members differ in their initial parameters and their keys (Lakshminarayanan, Pritzel, Blundell
2017, who train all on the same data), or in their data too (bagging, Breiman 1996).
"""

import jax

from jdl.core import Algorithm, Model


def ensemble(algorithm: Algorithm, *, batch_axis: int | None = None) -> Algorithm:
    """The Algorithm that trains members side by side.

    Args:
        algorithm: of one member; an ensemble again, if members are ensembles.
        batch_axis: None gives every member the same batch; 0 gives member m entry m of a batch
            whose leaves are [members, B, ...].

    Returns:
        An Algorithm. `init` takes variables with a leading axis of members, as the Model of
        `members` draws them; the leaves of the state and the info are [members, ...].

    Raises:
        ValueError: from `init`, variables whose leaves have no common leading axis.

    Example:
        >>> import optax
        >>> from jdl.models.mlp import mlp
        >>> from jdl.train import descent, gradient, regression
        >>> model = mlp([2, 8, 1])
        >>> algorithm = ensemble(descent(gradient(regression(model)), optax.adam(1e-3)))
        >>> state = algorithm.init(members(model, 5).init(jax.random.key(0)))
        >>> batch = jax.numpy.ones([3, 2]), jax.numpy.ones([3, 1])
        >>> state, info = algorithm.step(state, batch, jax.random.key(1))
        >>> info["loss"].shape
        (5,)
    """

    def init(variables, key=None):
        size = _size(variables)
        keys = None if key is None else jax.random.split(key, size)
        return jax.vmap(algorithm.init, (0, None if keys is None else 0))(variables, keys)

    def step(state, batch, key):
        keys = jax.random.split(key, _size(state.variables))
        return jax.vmap(algorithm.step, (0, batch_axis, 0))(state, batch, keys)

    return Algorithm(init, step)


def members(model: Model, size: int) -> Model:
    """The Model of `size` independent copies of a model.

    Args:
        model: any.
        size: number of members.

    Returns:
        A Model: `init` draws every member for itself; `apply` gives the same inputs to all, and a
        noise of its own to each; params, buffers and outputs are [members, ...].

    Raises:
        ValueError: no members.
    """
    if size < 1:
        raise ValueError(f"an ensemble has at least one member; got size={size}")

    def init(key):
        return jax.vmap(model.init)(jax.random.split(key, size))

    def apply(variables, *inputs, key=None, train=False, **options):
        keys = None if key is None else jax.random.split(key, _size(variables))

        def member(variables, key):
            return model.apply(variables, *inputs, key=key, train=train, **options)

        return jax.vmap(member, (0, None if keys is None else 0))(variables, keys)

    return Model(init, apply)


def _size(variables):
    shapes = {
        jax.tree_util.keystr(path, simple=True, separator="."): x.shape
        for path, x in jax.tree.leaves_with_path(variables)
    }
    if len({shape[:1] for shape in shapes.values()}) != 1 or () in shapes.values():
        raise ValueError(
            "the variables of an ensemble have a leading axis of members on every leaf; got "
            f"{shapes}. Draw them with members(model, size).init(key)"
        )
    return next(iter(shapes.values()))[0]
