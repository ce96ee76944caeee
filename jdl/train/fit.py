"""Run any algorithm over any data: progress, history, evaluation, stopping, checkpoints, resume.

    for step in 0 .. steps - 1:
        state, info = algorithm.step(state, batch(step), fold_in(key, step))

Many steps go into one dispatch (`jdl.train.dispatch`), and where a run was cut by an evaluation, a
checkpoint, an interrupt or a kill changes no bit of its result.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Algorithm, Key, Tree, Variables
from jdl.train.checkpoints import Checkpoints, latest_step, writable_folder
from jdl.train.dispatch import dispatcher, losses_of
from jdl.train.feed import feed
from jdl.train.pace import Pace, bar, interrupts
from jdl.train.records import Progress, flat, resumed_run, save_run, stacked
from jdl.train.stopping import EarlyStopping, best_evaluation, out_of_patience


class Fitted(NamedTuple):
    """What `fit` returns.

    Attributes:
        state: of the algorithm after the last step.
        best: variables of the best evaluation if `stop` was given, else those of the last step.
        history: by name, the info of every step, arrays [steps, ...]; names of nested entries are
            joined by dots, `critic.loss`.
        evaluations: by name, the results of every evaluation, arrays [E]; "step" says after how
            many steps each was made.
        reason: why it ended, in words.
    """

    state: Any
    best: Variables
    history: dict[str, np.ndarray]
    evaluations: dict[str, np.ndarray]
    reason: str


class Diverged(FloatingPointError):
    """The loss is not finite.

    Attributes:
        fitted: what there is: the state after the step that failed, the best variables before it,
            the history up to it.
    """

    def __init__(self, message: str, fitted: Fitted):
        super().__init__(message)
        self.fitted = fitted


def fit(
    algorithm: Algorithm,
    state: Any,
    data: Tree | Callable[[int], Tree] | Iterable[Tree] | None,
    key: Key,
    *,
    steps: int,
    batch_size: int | None = None,
    evaluate: Callable[[Variables], dict[str, jax.Array]] | None = None,
    evaluate_every: int | None = None,
    stop: EarlyStopping | None = None,
    view: Callable[[Any], Variables] = operator.attrgetter("variables"),
    checkpoints: Checkpoints | None = None,
    steps_per_dispatch: int = 100,
    progress: bool | None = None,
) -> Fitted:
    """Runs an algorithm for a number of steps, or until it no longer improves.

    Args:
        algorithm: what to run.
        state: where it starts, of `algorithm.init`; it stays valid.
        data: a tree of arrays [N, ...], of NumPy if it is to stay on the host; None if the
            objective holds its data; a function of the step that returns a batch; or an iterator
            of batches (a list of them would be a tree), which a resumed run reads again from its
            beginning.
        key: of the steps and of the order of the data.
        steps: number of steps in all, those of an earlier run that is resumed included.
        batch_size: examples in a batch, drawn without replacement in each epoch; None takes all.
        evaluate: variables -> scalars by name, on data held out; jitted here.
        evaluate_every: steps between evaluations, the last step always; None evaluates only then.
        stop: when to stop before `steps`, and which variables are the best.
        view: state -> the variables to evaluate and to call the best; `averaged` for a run with
            averaged weights.
        checkpoints: where to save. If the folder holds a run already, it is resumed: the result is
            bit for bit that of a run without a break.
        steps_per_dispatch: the most steps in one dispatch. Fewer are taken where they would last
            longer than half a second.
        progress: whether to show a bar; None shows it in a terminal and in a notebook.

    Returns:
        What was reached. After Ctrl-C too: the state is saved, and `reason` says so.

    Raises:
        ValueError: arguments that do not fit together, empty data, batches larger than the data,
            or a checkpoint of another model, algorithm, key or batch size.
        OSError: the folder of the checkpoints cannot be written.
        TypeError: a state that is not an algorithm's.
        Diverged: a `loss` is not finite (of an ensemble: in no member). The message names the step
            and the parameters, `fitted` holds the run so far; no checkpoint is written of it.

    Example:
        >>> import optax
        >>> from jdl.train import descent, gradient
        >>> def objective(params, buffers, batch, key):
        ...     return jnp.mean((params - batch) ** 2), (buffers, {})
        >>> algorithm = descent(gradient(objective), optax.sgd(0.1))
        >>> state = algorithm.init(Variables(jnp.zeros(())))
        >>> fitted = fit(algorithm, state, jnp.ones(10), jax.random.key(0), steps=50, batch_size=5)
        >>> round(float(fitted.best.params), 3), fitted.history["loss"].shape
        (1.0, (50,))
    """
    if not hasattr(state, "variables"):
        raise TypeError(
            "fit takes the state of `algorithm.init`, which has a field `variables`; "
            f"got {type(state).__name__}"
        )
    _check_arguments(steps, steps_per_dispatch, evaluate, evaluate_every, stop, checkpoints)
    identity = {"key": key, "batch_size": np.int32(batch_size or 0)}
    order_key, step_key = jax.random.split(key)
    progressed = Progress(jax.tree.map(jnp.copy, state), None, 0, [], [])
    if checkpoints and latest_step(writable_folder(checkpoints.folder)) is not None:
        progressed = resumed_run(checkpoints.folder, progressed, view, identity)
    source = feed(data, order_key, batch_size, progressed.step, steps_per_dispatch)
    dispatch = dispatcher(algorithm, source)
    evaluate = evaluate and jax.jit(evaluate)
    periods = [evaluate and evaluate_every, checkpoints and checkpoints.every]
    pace = Pace(source.capacity)
    reason = _exhausted(progressed, stop, steps)
    with interrupts() as interrupted, bar(progress, steps, progressed.step) as shown:
        while not reason:
            count = min(pace.steps(), _to_boundary(progressed.step, steps, periods))
            rows, count = source.rows(progressed.step, count)
            if count:
                with pace.timing(count):
                    *after, finite = dispatch(
                        progressed.state, rows, step_key, progressed.step, count
                    )
                progressed = progressed.after(*after)
                _show(shown, progressed)
                if not finite:
                    raise Diverged(_diagnosis(progressed), _fitted(progressed, view, "diverged"))
            reason = "" if count else f"the data ended after {progressed.step} batches"
            last = reason or progressed.step == steps
            if evaluate and (last or _due(progressed.step, evaluate_every)):
                progressed = _evaluated(progressed, view, evaluate, stop)
            reason = reason or _exhausted(progressed, stop, steps)
            if interrupted and not reason:
                reason = f"interrupted after step {progressed.step} of {steps}"
            if checkpoints and (reason or _due(progressed.step, checkpoints.every)):
                save_run(checkpoints, progressed, identity)
    return _fitted(progressed, view, reason)


def _check_arguments(steps, steps_per_dispatch, evaluate, evaluate_every, stop, checkpoints):
    counts = {"steps": steps, "steps_per_dispatch": steps_per_dispatch}
    if evaluate_every is not None:
        counts["evaluate_every"] = evaluate_every
    if checkpoints is not None:
        counts["checkpoints.every"] = checkpoints.every
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is a number of steps, at least 1; got {count}")
    if (stop or evaluate_every) and evaluate is None:
        raise ValueError(
            "`stop` and `evaluate_every` speak of evaluations; got evaluate=None. "
            "Give evaluate=lambda variables: {'loss': ...} on data held out"
        )


def _diagnosis(progressed):
    losses = {name: x[-1] for name, x in losses_of(progressed.history[-1]).items()}
    culprits = [
        f"{name} ({int(jnp.sum(~jnp.isfinite(x)))} of {x.size})"
        for name, x in flat(progressed.state.variables).items()
        if jnp.issubdtype(x.dtype, jnp.inexact) and not jnp.isfinite(x).all()
    ]
    return (
        f"step {progressed.step - 1}, counted from 0: "
        f"{', '.join(f'{name} is {x}' for name, x in losses.items())}. Not finite after it: "
        f"{', '.join(culprits) or 'none of the variables'}. The run up to it is in `.fitted`; "
        "try a lower learning rate, or optax.clip_by_global_norm"
    )


def _evaluated(progressed, view, evaluate, stop):
    if progressed.evaluations and progressed.evaluations[-1]["step"] == progressed.step:
        return progressed
    values = {name: np.asarray(x) for name, x in flat(evaluate(view(progressed.state))).items()}
    if stop and np.shape(values.get(stop.metric)) != () or stop and stop.metric not in values:
        came = {name: x.shape for name, x in values.items()}
        raise ValueError(f"`stop` needs a scalar {stop.metric!r} of `evaluate`; it gave {came}")
    evaluations = [*progressed.evaluations, {"step": np.int32(progressed.step), **values}]
    best = progressed.best
    if (
        stop
        and best_evaluation(stop, [e[stop.metric] for e in evaluations]) == len(evaluations) - 1
    ):
        best = jax.tree.map(jnp.copy, view(progressed.state))
    return progressed._replace(best=best, evaluations=evaluations)


def _exhausted(progressed, stop, steps):
    """Why the run is over, or nothing."""
    if progressed.step >= steps:
        return f"all {steps} steps are done"
    if stop and out_of_patience(stop, [e[stop.metric] for e in progressed.evaluations]):
        return f"{stop.metric} has not improved in {stop.patience} evaluations"
    return ""


def _due(step, every):
    return bool(every) and step % every == 0


def _to_boundary(step, steps, periods):
    """Steps to the next evaluation, checkpoint, or the end."""
    return min([steps - step, *(period - step % period for period in periods if period)])


def _fitted(progressed, view, reason):
    best = view(progressed.state) if progressed.best is None else progressed.best
    return Fitted(
        progressed.state,
        best,
        stacked(progressed.history, np.concatenate),
        stacked(progressed.evaluations, np.stack),
        reason,
    )


def _show(bar, progressed):
    if not bar.disable:
        losses = losses_of(progressed.history[-1])
        bar.set_postfix(
            {name: f"{np.mean(x[-1]):.4g}" for name, x in losses.items()}, refresh=False
        )
        bar.update(progressed.step - bar.n)
