"""Fine-tuning: parts of a model that stay, learn more slowly, or begin to learn later.

    features   z = base(x) once for all, then a new head on z        `frozen_features`
    frozen     d loss / d params = 0 outside of what learns           `frozen`
    layerwise  rate_d = rate / decay^d                                `stagewise`
    gradual    stage d begins to learn at step  d * unfreeze_every    `stagewise`

d is the distance from the last stage, the head, whose d is 0. Parts are named by patterns of their
paths, `stages.3.*`, so that any Model can be fine-tuned.

A frozen layer of batch normalisation that goes on in training mode normalises by the new batches,
and its averages drift: the features are no longer those that were learnt. So `frozen` runs what is
frozen as in evaluation. Its batch statistics stay, and it drops nothing.

Source: Yosinski et al. 2014; Howard and Ruder 2018, section 3.2 for the layer-wise rates and their
decay of 2.6, section 3.3 for gradual unfreezing, a stage each epoch; 000 ch. 15; 002; 003; 004
section 4.4.1.
"""

import fnmatch
from collections.abc import Callable, Sequence

import jax
import numpy as np
import optax

from jdl.core import Model, Tree, Variables
from jdl.train.by_path import by_path
from jdl.train.schedules import Schedule

Patterns = str | Sequence[str]


def frozen_features(
    function: Callable[[jax.Array], Tree], inputs: np.ndarray, *, batch_size: int = 256
) -> Tree:
    """The outputs of a fixed network on a whole data set, computed once, batch by batch.

    What is trained on them costs no pass through the network. Where the inputs are changed at
    random in each step there is nothing to compute once: see `frozen`.

    Args:
        function: inputs [batch_size, ...] -> a tree of arrays [batch_size, ...], under jit; the
            network in evaluation.
        inputs: [N, ...], of NumPy if it is to stay on the host.
        batch_size: of each call; the last one is filled up, so that it compiles once.

    Returns:
        A tree of NumPy arrays [N, ...].

    Raises:
        ValueError: no inputs, or a batch size below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jdl.models.mlp import mlp
        >>> base = mlp([4, 8])
        >>> variables = base.init(jax.random.key(0))
        >>> function = jax.jit(lambda x: base.apply(variables, x)[0])
        >>> frozen_features(function, jnp.ones([5, 4]), batch_size=2).shape
        (5, 8)
    """
    if batch_size < 1 or not len(inputs):
        raise ValueError(
            f"expected inputs [N, ...] and batch_size >= 1; got N={len(inputs)}, {batch_size}"
        )
    found = []
    for start in range(0, len(inputs), batch_size):
        rows = np.arange(start, start + batch_size)
        outputs = function(inputs[np.minimum(rows, len(inputs) - 1)])
        found.append(jax.tree.map(lambda x: np.asarray(x), outputs))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(inputs)], *found)


def frozen(model: Model, learning: Patterns) -> Model:
    """The same Model, of which in training only some parts learn.

    The others get no gradient, which saves their backward pass, keep their buffers, and run as in
    evaluation. Give their optimizer `optax.set_to_zero()`, or by `stagewise` no stage that learns:
    it holds no moments for them then, and no decay moves them.

    Args:
        model: by `functional`. One of another library has to be told by its own means which of
            its modules run as in evaluation; the rest holds for it too.
        learning: shell patterns of the paths of what learns, "head.*". A module without params,
            such as a dropout, is in training if its path and a dot match.

    Returns:
        A Model of the same variables.

    Raises:
        ValueError: from `apply` in training, patterns that no parameter matches.

    Example:
        >>> import jax.numpy as jnp
        >>> from jdl.models.mlp import mlp
        >>> model = frozen(mlp([2, 4, 1]), "layers.1.*")
        >>> params = model.init(jax.random.key(0)).params
        >>> def loss(params):
        ...     return model.apply(Variables(params), jnp.ones([3, 2]), train=True)[0].sum()
        >>> found = jax.grad(loss)(params)["layers"]
        >>> float(abs(found["0"]["kernel"]).max()), float(found["1"]["bias"][0])
        (0.0, 3.0)
    """
    learning = _listed(learning)

    def apply(variables, *inputs, key=None, train=False, **options):
        if train:
            _check_used(learning, variables)
            params = jax.tree.map_with_path(
                lambda path, x: x if _matches(path, learning) else jax.lax.stop_gradient(x),
                variables.params,
            )
            variables = Variables(params, variables.buffers)
        return still.apply(variables, *inputs, key=key, train=train, **options)

    still = _partly_training(model, lambda name: _any(name, learning))
    return Model(model.init, apply)


def in_evaluation(model: Model, parts: Patterns) -> Model:
    """The same Model, of which some modules run as in evaluation even in training.

    Gradients pass: this is how batch statistics are kept while the params around them learn, as
    gradual unfreezing and small batches want it.

    Args:
        model: by `functional`; see `frozen`.
        parts: shell patterns of paths, "stages.*", or "*" for all.

    Returns:
        A Model of the same variables.
    """
    parts = _listed(parts)
    return _partly_training(model, lambda name: not _any(name, parts))


def stagewise(
    optimizer: Callable[[float | Schedule], optax.GradientTransformation],
    stages: Sequence[Patterns],
    rate: float | Schedule,
    *,
    decay: float = 2.6,
    last: int | None = None,
    unfreeze_every: int | None = None,
) -> optax.GradientTransformation:
    """An optimizer for each stage: its rate falls with the distance from the head.

    What a stage begins with does not depend on when it begins: its moments, bias corrections and
    schedule count its own steps. A schedule that all stages follow goes behind, in a chain, as
    `optax.scale_by_schedule`.

    Args:
        optimizer: rate -> an Optax transform, `optax.adam`.
        stages: patterns of the params of each, from the input to the head; the last stage that
            matches has a parameter, so that the first may be "*".
        rate: of the last stage, a number or a schedule.
        decay: factor from a stage to the one below; 1 gives all the same rate.
        last: how many stages learn, counted from the head; None is all. The others are frozen.
        unfreeze_every: steps until one more stage learns, an epoch in the paper; the head learns
            from the first. None lets all begin at once.

    Returns:
        An Optax transform. The step count is a part of its state, so that unfreezing recompiles
        nothing.

    Raises:
        ValueError: a decay of 0 or less, stages that are not there, an `unfreeze_every` below 1;
            from `init`, patterns that fit no parameter, or parameters that fit no pattern.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> optimizer = stagewise(optax.sgd, ["*", "layers.1.*"], 2.6)
        >>> params = mlp([1, 1, 1]).init(jax.random.key(0)).params
        >>> slopes = jax.tree.map(lambda x: x * 0 + 1, params)
        >>> updates, _ = optimizer.update(slopes, optimizer.init(params), params)
        >>> [round(float(updates["layers"][i]["bias"][0]), 4) for i in "01"]
        [-1.0, -2.6]
    """
    last = len(stages) if last is None else last
    if decay <= 0 or not 1 <= last <= len(stages) or (unfreeze_every or 1) < 1:
        raise ValueError(
            "expected decay > 0, 1 <= last <= the number of stages, and unfreeze_every >= 1; "
            f"got {decay}, {last} of {len(stages)}, and {unfreeze_every}"
        )

    def of_stage(distance):
        if distance >= last:
            return optax.set_to_zero()
        inner = optimizer(_divided(rate, decay**distance))
        if unfreeze_every is None or distance == 0:
            return inner
        return optax.conditionally_mask(inner, lambda step: step >= distance * unfreeze_every)

    return by_path(
        {
            pattern: of_stage(distance)
            for distance, patterns in enumerate(reversed(stages))
            for pattern in _listed(patterns)
        }
    )


def with_new_head(pretrained: Variables, fresh: Variables, head: Patterns) -> Variables:
    """Pretrained variables with the head of a fresh model.

    Args:
        pretrained: of the model that was trained; its own head is left out, if it has one.
        fresh: of the model to be trained, which says what there is.
        head: shell patterns of the paths of the head, "head.*".

    Returns:
        Variables like `fresh`: what matches is its, the rest comes from `pretrained`.

    Raises:
        ValueError: no parameter is of the head, or the rest differs in names or shapes.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> old = mlp([2, 4, 10]).init(jax.random.key(0))
        >>> new = with_new_head(old, mlp([2, 4, 3]).init(jax.random.key(1)), "layers.1.*")
        >>> new.params["layers"]["1"]["kernel"].shape
        (4, 3)
    """
    head = _listed(head)
    _check_used(head, fresh)
    old = {_name(path): x for path, x in jax.tree.leaves_with_path(tuple(pretrained))}
    rest = {name: x for name, x in old.items() if not _any(name.partition(".")[2], head)}
    wanted = [
        _name(path)
        for path, _ in jax.tree.leaves_with_path(tuple(fresh))
        if not _matches(path[1:], head)
    ]
    if missing := sorted(set(wanted) - rest.keys()):
        raise ValueError(f"the pretrained variables lack {_shown(missing)}; are they of the head?")
    if surplus := sorted(rest.keys() - set(wanted)):
        raise ValueError(
            f"the fresh model has no {_shown(surplus)}; name what is left out in `head`"
        )

    def merged(path, new):
        if _matches(path[1:], head):
            return new
        found = rest[_name(path)]
        if found.shape != new.shape:
            raise ValueError(
                f"{_shown([_name(path)])} has shape {found.shape} in the pretrained variables "
                f"and {new.shape} in the fresh ones; is it of the head?"
            )
        return found

    return Variables(*jax.tree.map_with_path(merged, tuple(fresh)))


def _partly_training(model, trains):
    def apply(variables, *inputs, key=None, train=False, **options):
        if not train:
            return model.apply(variables, *inputs, key=key, train=False, **options)
        outputs, buffers = model.apply(
            variables, *inputs, key=key, train=lambda path: trains(f"{path}."), **options
        )
        kept = jax.tree.map_with_path(
            lambda path, new, old: new if trains(_name(path)) else old, buffers, variables.buffers
        )
        return outputs, kept

    return Model(model.init, apply)


def _check_used(patterns, variables):
    names = [_name(path) for tree in variables for path, _ in jax.tree.leaves_with_path(tree)]
    if not any(_any(name, patterns) for name in names):
        raise ValueError(f"no parameter matches {patterns}; they are {_shown(names)}")


def _shown(names):
    """The first few of them, without the number of the tree that they are in."""
    plain = [name.removeprefix("0.").removeprefix("1.") for name in names]
    return ", ".join(plain[:6]) + (f" and {len(plain) - 6} more" if len(plain) > 6 else "")


def _divided(rate, factor):
    return (lambda step: rate(step) / factor) if callable(rate) else rate / factor


def _listed(patterns):
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _name(path):
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _matches(path, patterns):
    return _any(_name(path), patterns)


def _any(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
