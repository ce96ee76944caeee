import itertools
import os
import random
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Algorithm, Variables
from jdl.data import minibatches
from jdl.train import (
    Checkpoints,
    DescentState,
    Diverged,
    EarlyStopping,
    descent,
    fit,
    gradient,
    latest_step,
)
from tests.train import fit_case as case


def assert_equal(one, other):
    """Bit for bit: states, best variables, histories and evaluations."""
    left, right = (
        {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(fitted[:4])}
        for fitted in (one, other)
    )
    assert left.keys() == right.keys()
    for name, x in left.items():
        np.testing.assert_array_equal(x, right[name], err_msg=name)


@pytest.fixture(scope="module")
def whole():
    return case.run()


def test_fit_is_the_plain_loop_of_its_docstring():
    x, y = case.data()
    fitted = case.run(steps=3, data=(x, y), batch_size=None, evaluate_every=None, stop=None)
    _, key = jax.random.split(jax.random.key(case.KEY))
    state, step = case.start(), jax.jit(case.algorithm.step)
    for i in range(3):
        state, info = step(state, (jnp.asarray(x), jnp.asarray(y)), jax.random.fold_in(key, i))
        np.testing.assert_allclose(fitted.history["loss"][i], info["loss"], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), fitted.state, state
    )


def test_each_epoch_sees_each_example_once_in_an_order_of_its_own():
    def objective(params, buffers, batch, key):
        return jnp.sum(params), (buffers, {"seen": batch})

    algorithm = descent(gradient(objective), optax.sgd(0.0))
    start = algorithm.init(Variables(jnp.zeros(1)))
    for data in [np.arange(11), jnp.arange(11)]:
        fitted = fit(algorithm, start, data, jax.random.key(0), steps=6, batch_size=5)
        first, second, third = fitted.history["seen"].reshape(3, 10)
        for epoch in (first, second, third):
            assert len(set(epoch.tolist())) == 10
        assert first.tolist() != second.tolist() != third.tolist()


def test_data_on_the_host_and_on_the_device_give_the_same_bits(whole):
    on_device = case.run(data=jax.tree.map(jnp.asarray, case.data()))
    assert_equal(whole, on_device)


@pytest.mark.parametrize("steps_per_dispatch", [1, 7])
def test_how_many_steps_go_into_a_dispatch_changes_nothing(whole, steps_per_dispatch):
    assert_equal(whole, case.run(steps_per_dispatch=steps_per_dispatch))


def test_a_function_of_the_step_and_an_iterable_are_data_too():
    batches = jax.device_get(minibatches(case.data(), jax.random.key(0), 8))
    batch_at = lambda step: jax.tree.map(lambda x: x[step % 6], batches)  # noqa: E731
    one = case.run(steps=20, data=batch_at, batch_size=None)
    other = case.run(steps=20, data=(batch_at(i) for i in itertools.count()), batch_size=None)
    assert_equal(one, other)


def test_an_iterable_that_ends_ends_the_run():
    batches = iter([tuple(x[:8] for x in case.data())] * 7)
    fitted = case.run(data=batches, batch_size=None)
    assert fitted.reason == "the data ended after 7 batches"
    assert fitted.history["loss"].shape == (7,)
    assert fitted.evaluations["step"].tolist() == [7]


def test_the_objective_may_hold_its_data():
    def square(params, buffers, batch, key):
        assert batch is None
        return jnp.sum((params - 3.0) ** 2), (buffers, {})

    algorithm = descent(gradient(square), optax.sgd(0.25))
    start = algorithm.init(Variables(jnp.zeros(2)))
    fitted = fit(algorithm, start, None, jax.random.key(0), steps=4)
    np.testing.assert_allclose(fitted.state.variables.params, 3 - 3 * 0.5**4)
    np.testing.assert_allclose(fitted.history["loss"], [18 * 0.25**i for i in range(4)], rtol=1e-6)


def test_an_algorithm_may_report_nothing():
    algorithm = Algorithm(lambda v, key=None: DescentState(v, ()), lambda s, b, k: (s, {}))
    fitted = fit(
        algorithm, algorithm.init(Variables(jnp.ones(2))), None, jax.random.key(0), steps=3
    )
    assert fitted.history == {}


def test_the_state_that_came_stays_valid():
    start = case.start()
    fit(case.algorithm, start, case.data(), jax.random.key(0), steps=2, batch_size=8)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(start))


def test_the_step_is_traced_once_however_many_dispatches_there_are():
    traces = []

    def objective(params, buffers, batch, key):
        traces.append(1)
        return jnp.mean((params - batch) ** 2), (buffers, {})

    algorithm = descent(gradient(objective), optax.sgd(0.1))
    start = algorithm.init(Variables(jnp.zeros(())))
    fit(
        algorithm,
        start,
        np.ones(30),
        jax.random.key(0),
        steps=50,
        batch_size=5,
        steps_per_dispatch=7,
    )
    assert len(traces) == 1


def test_best_is_the_evaluation_with_the_lowest_loss(whole):
    losses = whole.evaluations["loss"]
    assert whole.evaluations["step"].tolist() == [9, 18, 27, 36, 45, 54, 60]
    assert float(case.evaluate(whole.best)["loss"]) == pytest.approx(losses.min(), rel=1e-5)
    last = float(case.evaluate(whole.state.variables)["loss"])
    assert last == pytest.approx(losses[-1], rel=1e-5)


def counting(losses):
    """An algorithm whose params count its steps, and an evaluation that looks its loss up."""

    def step(state, batch, key):
        variables = Variables(state.variables.params + 1)
        return state._replace(variables=variables), {"loss": jnp.float32(0)}

    algorithm = Algorithm(lambda variables, key=None: DescentState(variables, ()), step)
    return algorithm, lambda variables: {"loss": jnp.array(losses)[variables.params - 1]}


def test_early_stopping_stops_where_000_does_and_returns_the_first_of_equal_bests():
    losses = [1.0, 0.9, 0.8, 0.8, 0.81, 0.82, 0.83, 0.84, 0.5]
    algorithm, evaluate = counting(losses)
    fitted = fit(
        algorithm,
        algorithm.init(Variables(jnp.int32(0))),
        None,
        jax.random.key(0),
        steps=9,
        evaluate=evaluate,
        evaluate_every=1,
        stop=EarlyStopping("loss", patience=5),
    )
    assert int(fitted.state.variables.params) == 8
    assert int(fitted.best.params) == 3
    assert fitted.reason == "loss has not improved in 5 evaluations"


def exploding(at):
    def objective(params, buffers, batch, key):
        bad = jnp.where(params["count"][0] >= at, jnp.nan, 1.0)
        loss = jnp.sum(params["a"] ** 2) * bad + 0 * jnp.sum(params["fine"]) - params["count"][0]
        return loss, (buffers, {})

    algorithm = descent(gradient(objective), optax.sgd(1.0))
    params = {"a": jnp.ones(3), "fine": jnp.ones(2), "count": jnp.zeros(1)}
    return algorithm, algorithm.init(Variables(params))


def test_a_loss_that_is_nan_stops_the_run_and_names_the_step_and_the_culprit(tmp_path):
    algorithm, start = exploding(at=37)
    with pytest.raises(Diverged, match=r"step 37, .*loss is nan.*params.a \(3 of 3\)") as caught:
        fit(
            algorithm,
            start,
            None,
            jax.random.key(0),
            steps=100,
            checkpoints=Checkpoints(tmp_path, every=10),
        )
    assert "params.fine" not in str(caught.value)
    assert caught.value.fitted.history["loss"].shape == (38,)
    assert latest_step(tmp_path) == 30


def test_members_of_an_ensemble_may_diverge_alone():
    step = lambda s, b, k: (s, {"loss": jnp.array([jnp.nan, 1.0])})  # noqa: E731
    algorithm = Algorithm(lambda variables, key=None: DescentState(variables, ()), step)
    start = algorithm.init(Variables(jnp.zeros(2)))
    fitted = fit(algorithm, start, None, jax.random.key(0), steps=5)
    assert fitted.history["loss"].shape == (5, 2)


@pytest.mark.parametrize("at", [3, 20, 41])
def test_ctrl_c_saves_and_returns_and_the_run_goes_on_from_there(whole, tmp_path, at):
    x, y = case.data()

    class Interrupting(np.ndarray):
        """Data in whose rows somebody presses Ctrl-C."""

        reads = 0

        def __getitem__(self, index):
            if isinstance(index, np.ndarray):
                type(self).reads += 1
                if type(self).reads == at:
                    signal.raise_signal(signal.SIGINT)
            return np.asarray(self).__getitem__(index)

    Interrupting.reads = 0
    checkpoints = Checkpoints(tmp_path, every=1000)
    partial = case.run(data=(x.view(Interrupting), y), checkpoints=checkpoints)
    assert partial.reason.startswith("interrupted after step")
    steps = len(partial.history["loss"])
    assert at - 8 <= steps < 60
    assert latest_step(tmp_path) == steps
    assert_equal(whole, case.run(checkpoints=checkpoints))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("broken_at", [9, 10, 31, 59])
def test_a_resumed_run_is_bit_for_bit_the_unbroken_one(whole, tmp_path, broken_at):
    checkpoints = Checkpoints(tmp_path, every=7)
    case.run(steps=broken_at, checkpoints=checkpoints)
    resumed = case.run(checkpoints=checkpoints)
    jax.tree.map(np.testing.assert_array_equal, resumed.state, whole.state)
    jax.tree.map(np.testing.assert_array_equal, resumed.history, whole.history)
    # The broken run evaluated at its own end too; the evaluations at the same steps are the same.
    same = np.isin(resumed.evaluations["step"], whole.evaluations["step"])
    np.testing.assert_array_equal(resumed.evaluations["loss"][same], whole.evaluations["loss"])


def test_a_finished_run_is_returned_as_it_was(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=20)
    first = case.run(steps=30, checkpoints=checkpoints)
    assert_equal(first, case.run(steps=30, checkpoints=checkpoints))


@pytest.mark.parametrize(
    ("other", "named"), [({"key": 2}, "key"), ({"batch_size": 9}, "batch_size")]
)
def test_the_folder_of_another_run_is_refused(tmp_path, other, named):
    checkpoints = Checkpoints(tmp_path, every=5)
    case.run(steps=5, checkpoints=checkpoints)
    with pytest.raises(ValueError, match=f"made with another {named}"):
        case.run(steps=10, checkpoints=checkpoints, **other)


def test_the_folder_of_another_optimizer_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=5)
    case.run(steps=5, checkpoints=checkpoints)
    algorithm = descent(gradient(case.objective), optax.sgd(0.1))
    start = algorithm.init(case.model.init(jax.random.key(0)))
    with pytest.raises(ValueError, match="of another model or algorithm: state.optimizer.*surplus"):
        fit(
            algorithm,
            start,
            case.data(),
            jax.random.key(case.KEY),
            steps=9,
            batch_size=8,
            checkpoints=checkpoints,
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"steps": 0}, "steps is a number of steps, at least 1; got 0"),
        ({"batch_size": 51}, "a batch holds 1 to 50 examples"),
        ({"data": (np.zeros([0, 4]), np.zeros([0, 1]))}, "N of at least 1"),
        ({"data": (np.zeros([5, 4]), np.zeros([6, 1]))}, "one N"),
        ({"data": None}, "batch_size cuts a tree of arrays"),
        ({"evaluate": None}, "got evaluate=None"),
        ({"stop": EarlyStopping("accuracy")}, "needs a scalar 'accuracy'.*'loss'"),
        ({"checkpoints": Checkpoints("x", every=0)}, "checkpoints.every is a number of steps"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        case.run(**arguments)


def test_a_folder_that_cannot_be_written_is_named_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="folder that can be written; got .*file"):
        case.run(data=lambda step: 1 / 0, checkpoints=Checkpoints(tmp_path / "file", every=5))


def test_variables_in_place_of_a_state_are_named():
    variables = case.start().variables
    with pytest.raises(TypeError, match="state of `algorithm.init`.*; got Variables"):
        fit(case.algorithm, variables, case.data(), jax.random.key(0), steps=1)


def test_the_bar_is_quiet_unless_asked_for(capsys):
    case.run(steps=2)
    assert capsys.readouterr().err == ""
    case.run(steps=2, progress=True)
    assert "2/2" in capsys.readouterr().err


WORKER = """
import sys
from jdl.train import Checkpoints
from tests.train import fit_case as case
case.run(steps=100_000, checkpoints=Checkpoints(sys.argv[1], every=3, keep=2), evaluate_every=90)
"""


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_nothing(kills, tmp_path):
    """A real process is killed with SIGKILL again and again; what it leaves is always whole."""
    random.seed(0)
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    reached = [0]
    for _ in range(kills):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], env=environment)
        while (latest_step(tmp_path) or 0) <= reached[-1]:
            assert worker.poll() is None, "the worker ended by itself"
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.2))
        worker.send_signal(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
        reached.append(latest_step(tmp_path))
    total = reached[-1] + 3
    broken = case.run(steps=total, checkpoints=Checkpoints(tmp_path, every=3), evaluate_every=90)
    assert_equal(broken, case.run(steps=total, evaluate_every=90))
