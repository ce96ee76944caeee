"""Stretch, pitch and noise: the frequency of a sine, the time of a burst, the measured power."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.audio_augmentation import (
    noisy,
    pitch_shifted,
    random_pitch_shift,
    random_time_stretch,
    time_stretched,
)
from tests.conformance.case import quick

SAMPLES, RATE = 8192, 8000
TIME = np.arange(SAMPLES) / RATE
FRAME = {"window": 512, "hop": 128}


def sine(frequency):
    return np.sin(2 * np.pi * frequency * TIME).astype(np.float32)


def frequency(audio):
    """Of the highest peak of the spectrum, in Hz, by a parabola through its logarithm."""
    size = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) + 1e-9)
    peak = size.argmax()
    low, middle, high = size[peak - 1 : peak + 2]
    return (peak + (low - high) / (2 * (low - 2 * middle + high))) * RATE / len(audio)


def test_a_stretch_keeps_the_frequency_and_the_loudness_of_a_sine():
    audio = np.stack([sine(440.0), sine(1234.5), sine(440.0)])
    rates = jnp.array([0.8, 0.7, 0.5])
    found = np.asarray(quick(lambda x, r: time_stretched(x, r, **FRAME))(audio, rates))
    for ours, expected in zip(found, (440.0, 1234.5, 440.0), strict=True):
        inner = ours[1000:-1000]
        assert abs(frequency(inner) / expected - 1) < 1e-3
        assert abs(inner.std() * 2**0.5 - 1) < 0.03


def test_a_burst_comes_at_its_time_over_the_rate():
    burst = np.exp(-(((TIME - 0.4) / 0.02) ** 2)) * sine(700.0)
    rates = np.float32([0.5, 0.8, 1.0, 1.6])
    stretch = quick(lambda x, r: time_stretched(x, r, length=2 * SAMPLES, **FRAME))
    found = np.asarray(stretch(np.tile(burst, (4, 1)).astype(np.float32), rates))
    assert found.shape == (4, 2 * SAMPLES)
    power = found**2
    centre = (power @ (np.arange(2 * SAMPLES) / RATE)) / power.sum(1)
    np.testing.assert_allclose(centre, 0.4 / rates, atol=0.01)
    # A rate of 1 is the sound itself, followed by silence.
    np.testing.assert_allclose(found[2, :SAMPLES], burst, atol=1e-4)
    assert np.abs(found[2, SAMPLES + 512 :]).max() < 1e-4


def test_a_pitch_shift_moves_the_frequency_and_not_the_burst():
    envelope = np.exp(-(((TIME - 0.5) / 0.1) ** 2)).astype(np.float32)
    semitones = np.float32([-12, -3, 0, 4, 7])
    audio = np.tile(envelope * sine(440.0), (5, 1))
    shift = quick(lambda x, s: pitch_shifted(x, s, max_semitones=7, **FRAME))
    found = np.asarray(shift(audio, semitones))
    assert found.shape == audio.shape
    for ours, number in zip(found, semitones, strict=True):
        assert abs(frequency(ours) / (440 * 2 ** (number / 12)) - 1) < 2e-3
    power = found**2
    np.testing.assert_allclose(power @ TIME / power.sum(1), np.full(5, 0.5), atol=0.01)
    np.testing.assert_allclose(found[2], audio[2], atol=1e-3)


def test_the_ratio_of_the_powers_is_exactly_the_one_asked_for(key):
    audio = np.stack([sine(440.0), 0.01 * sine(100.0), 0 * TIME]).astype(np.float32)
    decibels = np.float32([20, -5, 10])
    noise = np.asarray(noisy(audio, key, decibels)) - audio
    measured = 10 * np.log10((audio[:2] ** 2).mean(1) / (noise[:2] ** 2).mean(1))
    np.testing.assert_allclose(measured, decibels[:2], atol=1e-2)
    assert not noise[2].any()
    white = noise[0] / noise[0].std()
    assert abs(white.mean()) < 4 / SAMPLES**0.5
    assert abs((white[1:] * white[:-1]).mean()) < 4 / SAMPLES**0.5


def test_random_changes_of_each_sound_are_within_their_ranges(key):
    audio = np.tile(sine(600.0)[:4096], (24, 1))
    found = np.asarray(
        quick(lambda x, k: random_pitch_shift(x, k, max_semitones=3.0, **FRAME))(audio, key)
    )
    semitones = [12 * np.log2(frequency(x[400:3600]) / 600) for x in found]
    assert -3.05 < min(semitones) < -2 and 2 < max(semitones) < 3.05
    stretched = np.asarray(
        quick(lambda x, k: random_time_stretch(x, k, rates=(1.0, 2.0), **FRAME))(audio, key)
    )
    ends = (np.abs(stretched) > 0.2).cumsum(1).argmax(1)  # the last loud sample
    assert ends.min() < 2600 and ends.max() > 3500 and ends.min() > 1900
    assert len({*ends.tolist()}) > 12


def test_a_key_is_used_once_and_wrong_shapes_are_refused(key):
    with jax.debug_key_reuse(True):
        quick(lambda x, k: noisy(x, k, 10.0))(jnp.ones([2, 64]), jax.random.key(0))
    with pytest.raises(ValueError, match=r"T at least the window, 1024; got \[2, 1000\]"):
        time_stretched(jnp.zeros([2, 1000]), 1.0)
    with pytest.raises(ValueError, match=r"got \[5000\]; for one sound audio\[None\]"):
        random_pitch_shift(jnp.zeros(5000), key)
