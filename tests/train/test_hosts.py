"""Two processes of two devices against one process of four."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jdl.train import latest_step
from tests.train.host_worker import HELD_AT, STEPS, by_path, train

ROOT = Path(__file__).resolve().parents[2]


def start(folder, hold_at):
    """Two workers on loopback; what they say is in folder/said-PROCESS."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    module = [sys.executable, "-W", "error", "-m", "tests.train.host_worker"]
    workers = []
    for process in range(2):
        arguments = [str(x) for x in (process, 2, port, folder, hold_at)]
        with open(folder / f"said-{process}", "w") as said:
            workers.append(
                subprocess.Popen(
                    module + arguments, cwd=ROOT, env=os.environ | flags, stdout=said, stderr=said
                )
            )
    return workers


def wait_until(done, workers, folder, seconds=120):
    """Until it is done, or a worker failed."""
    deadline = time.monotonic() + seconds
    while not done():
        failed = [i for i, worker in enumerate(workers) if worker.poll()]
        late = time.monotonic() > deadline
        assert not failed and not late, (folder / f"said-{[*failed, 0][0]}").read_text()[-4000:]
        time.sleep(0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a run of two processes, one of which is killed; then both are started again."""
    folder = tmp_path_factory.mktemp("hosts")
    workers = start(folder, HELD_AT)
    try:
        wait_until(lambda: (folder / "held-1").exists(), workers, folder)
        workers[1].send_signal(signal.SIGKILL)
        assert workers[1].wait() == -signal.SIGKILL
        assert latest_step(folder / "run") == HELD_AT
        workers[0].kill()  # it waits for the other
        workers[0].wait()
        workers = start(folder, -1)
        wait_until(lambda: [worker.poll() for worker in workers] == [0, 0], workers, folder)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return folder


def test_a_killed_and_resumed_run_of_two_hosts_equals_an_unbroken_one_bit_for_bit(folder):
    results = np.load(folder / "results.npz")
    assert results["first step"] == HELD_AT
    resumed = [name for name in results if name.startswith("resumed")]
    assert len(resumed) == 7
    for name in resumed:
        unbroken = results[name.replace("resumed", "unbroken")]
        np.testing.assert_array_equal(results[name], unbroken, name)


def test_two_hosts_of_two_devices_equal_one_of_four_which_reads_their_checkpoints(folder):
    two, one = np.load(folder / "results.npz"), by_path(train(0, 1, folder))
    assert set(two) == set(one)
    assert one.pop("first step") == STEPS
    for name, x in one.items():
        tolerance = 0 if name.startswith("resumed") else 1e-6
        np.testing.assert_allclose(two[name], x, rtol=0, atol=tolerance, err_msg=name)
