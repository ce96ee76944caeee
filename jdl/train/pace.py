"""How a long run meets the person before it: the length of a dispatch, Ctrl-C, the bar."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
from tqdm import tqdm

DISPATCH_SECONDS = 0.5  # that one dispatch should take: how long Ctrl-C and the bar wait


class Pace:
    """How many steps to put into the next dispatch, from how long the last ones took."""

    def __init__(self, capacity):
        self.capacity, self.seconds = capacity, None

    def steps(self) -> int:
        """The number of steps for the next dispatch, from 1 to the capacity."""
        # Processes that compute together must dispatch alike, and their clocks differ.
        if jax.process_count() > 1:
            return self.capacity
        if self.seconds is None:
            return 1
        return int(np.clip(DISPATCH_SECONDS / self.seconds, 1, self.capacity))

    @contextmanager
    def timing(self, count: int) -> Iterator[None]:
        """Times a dispatch of `count` steps; the first is taken to be compilation."""
        begin = time.perf_counter()
        yield
        compiling, seconds = self.seconds is None, (time.perf_counter() - begin) / count
        self.seconds = DISPATCH_SECONDS / 4 if compiling else seconds


@contextmanager
def interrupts() -> Iterator[list]:
    """A list that is no longer empty after Ctrl-C; a second Ctrl-C raises KeyboardInterrupt."""
    seen = []

    def note(signum, frame):
        if seen:
            raise KeyboardInterrupt
        seen.append(signum)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and jax.process_count() == 1
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def bar(shown: bool | None, steps: int, step: int) -> tqdm:
    """A progress bar at `step` of `steps`; None shows it in a terminal and in a notebook."""
    if shown is None:
        shown = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(total=steps, initial=step, unit="step", disable=not shown)
