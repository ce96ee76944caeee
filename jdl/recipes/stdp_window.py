"""The window of spike-timing-dependent plasticity, and what it does to pairs and trains of spikes.

Pre before post strengthens a synapse, post before pre weakens it, the less the further apart: the
window of Song, Miller and Abbott 2000. Then the classical experiment, 60 pairs of spikes at 1 Hz
with one lag, counted with all pairs and with nearest neighbours.

001's figure has t_pre - t_post as its axis with potentiation where it is positive, which is the
wrong way round; its text, pre before post, is right. It prints no number.

A pair 10 ms apart changes a weight by +0.30 or -0.32 % of the largest, 60 pairs by +18 or -19 %,
with either pairing, for the pairs are a second apart. Unrelated trains of 100 spikes at 10 Hz
weaken it: -0.0041 +- 0.0007 in the mean (seed 0) where the area of the window gives -0.0050. Cost:
2 s of a busy core.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jdl.plot.neurons import plasticity_window
from jdl.recipes.report import Report
from jdl.train.stdp import stdp_all_to_all, stdp_nearest_neighbours, stdp_window


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    pairs: int = 60
    """Pairs of spikes, as Bi and Poo 1998 gave."""
    interval: float = 1000.0
    """Between pairs in ms."""
    lags: tuple[float, ...] = (-80.0, -40.0, -20.0, -10.0, -5.0, 5.0, 10.0, 20.0, 40.0, 80.0)
    """t_post - t_pre of the experiments in ms."""
    random_spikes: int = 100
    """Spikes of each of two unrelated trains at 10 Hz."""
    random_trains: int = 1000
    """Pairs of such trains."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Measures single pairs, experiments of many pairs, and unrelated trains."""
    lags = jnp.array(settings.lags)
    single = np.asarray(jax.jit(stdp_window)(lags))

    pre = settings.interval * jnp.arange(settings.pairs)

    def experiment(rule):
        return np.asarray(jax.jit(jax.vmap(lambda lag: rule(pre, pre + lag)))(lags))

    every, nearest = experiment(stdp_all_to_all), experiment(stdp_nearest_neighbours)

    duration = 100.0 * settings.random_spikes  # ms at 10 Hz
    shape = [2, settings.random_trains, settings.random_spikes]
    trains = jax.random.uniform(key, shape, maxval=duration)
    drift = np.asarray(jax.jit(jax.vmap(stdp_all_to_all))(*trains))

    times = np.linspace(-500, 500, 100_001)  # ms; beyond, nothing is left of the window
    area = np.asarray(stdp_window(times), float).sum() * 0.01
    metrics = {
        "strongest": float(single.max()),
        "weakest": float(single.min()),
        "largest_gain": float(every.max()),
        "largest_loss": float(every.min()),
        "pairings_differ_by": float(np.abs(every - nearest).max()),
        "unrelated_mean": float(drift.mean()),
        "unrelated_error": float(drift.std() / np.sqrt(settings.random_trains)),
        "unrelated_expected": settings.random_spikes**2 / duration * float(area),
    }
    shown = times[np.abs(times) <= 100]
    figure = plasticity_window(shown, np.asarray(stdp_window(shown)), settings.lags, single)
    return Report(metrics, {"window": figure}, table(settings, single, every, nearest, metrics))


def table(settings, single, every, nearest, metrics) -> str:
    """The changes as text."""
    columns = zip(settings.lags, single, every, nearest, strict=True)
    return "\n".join(
        [
            f"{'t_post - t_pre':>15} {'one pair':>10} {f'{settings.pairs} pairs':>10} "
            f"{'nearest':>10}",
            *(f"{lag:12g} ms {one:10.5f} {a:10.4f} {n:10.4f}" for lag, one, a, n in columns),
            f"unrelated trains at 10 Hz: {metrics['unrelated_mean']:.4f} +- "
            f"{metrics['unrelated_error']:.4f} in the mean, expected "
            f"{metrics['unrelated_expected']:.4f}",
            "Changes in units of the largest weight. The axis of 001's figure is reversed.",
        ]
    )
