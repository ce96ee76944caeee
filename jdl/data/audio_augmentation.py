"""Changes of sound: slower or faster, higher or lower, with noise.

    stretch   frame k of the result has the sizes of the spectrum at frame k rate, between two
              frames linearly, and phases that go on by the difference of these two frames, from
              those of the loudest frame, where they fit together best, either way
    pitch     stretched by 1 / factor, then read at n factor;  factor = 2^(semitones / 12)
    noise     x + normal * sqrt(mean(x^2) / mean(normal^2) / 10^(decibels / 10))

The first is the phase vocoder: a stretch changes the time of an event and not its frequency, a
pitch shift the opposite. Results have the length of the input, so that rates may differ between
sounds under `jit`: what is too long is cut, what is too short is followed by silence.

Source: 001 (line 1017); Flanagan and Golden 1966, in the form of Laroche and Dolson 1999, section
2, with equal hops. Transients smear, as they do with every plain phase vocoder. A shift upward
folds what was above half the sampling rate divided by the factor.

Axes: B sounds, T samples; floats of any range.
"""

import jax
import jax.numpy as jnp
from jax.scipy import signal

from jdl.core import Key


def time_stretched(
    audio: jax.Array,
    rates: jax.Array | float,
    *,
    length: int | None = None,
    window: int = 1024,
    hop: int = 256,
) -> jax.Array:
    """Faster or slower sounds of the same pitch.

    Args:
        audio: [B, T], T at least `window`.
        rates: 2 is twice as fast; of all sounds, or of each, [B].
        length: samples of the result; None takes T.
        window: samples of a frame of the spectrum; long for tones, short for beats.
        hop: samples between frames, at most half a window.

    Returns:
        [B, length].

    Raises:
        ValueError: sounds of another rank, or shorter than the window.

    Example:
        >>> halved = lambda audio: time_stretched(audio, 0.5, length=8000)
        >>> jax.eval_shape(halved, jnp.ones([2, 4000])).shape
        (2, 8000)
    """
    audio = _require_audio(audio, window)
    length = audio.shape[1] if length is None else length
    rates = jnp.broadcast_to(jnp.asarray(rates, audio.dtype), len(audio))
    options = {"nperseg": window, "noverlap": window - hop}
    spectra = signal.stft(audio, **options)[2]  # [B, frequencies, frames]
    frames = jnp.arange(-(-length // hop) + 1)

    def stretched(spectrum, rate):
        place = frames * rate
        first = jnp.floor(place).astype(int)
        rest = (place - first)[None]
        before = spectrum.at[:, first].get(mode="fill", fill_value=0)
        after = spectrum.at[:, first + 1].get(mode="fill", fill_value=0)
        size = (1 - rest) * jnp.abs(before) + rest * jnp.abs(after)
        advance = jnp.angle(after) - jnp.angle(before)
        phase = jnp.cumsum(advance, 1) - advance
        loudest = (size**2).sum(0).argmax()
        phase += (jnp.angle(before[:, loudest]) - phase[:, loudest])[:, None]
        return size * jnp.exp(1j * phase)

    found = signal.istft(jax.vmap(stretched)(spectra, rates), **options)[1]
    return found[:, :length].astype(audio.dtype)


def pitch_shifted(
    audio: jax.Array,
    semitones: jax.Array | float,
    *,
    max_semitones: float = 12.0,
    window: int = 1024,
    hop: int = 256,
) -> jax.Array:
    """Higher or lower sounds of the same duration.

    Args:
        audio: [B, T], T at least `window`.
        semitones: 12 is an octave higher; of all sounds, or of each, [B].
        max_semitones: the greatest of them, a number: it sets the room for the stretched sounds.
        window: of `time_stretched`.
        hop: of `time_stretched`.

    Returns:
        [B, T].

    Raises:
        ValueError: sounds of another rank, or shorter than the window.
    """
    audio = _require_audio(audio, window)
    samples = audio.shape[1]
    factors = 2 ** (jnp.asarray(semitones, audio.dtype) / 12)
    factors = jnp.broadcast_to(factors, len(audio))
    room = int(samples * 2 ** (max_semitones / 12)) + 2
    stretched = time_stretched(audio, 1 / factors, length=room, window=window, hop=hop)
    return jax.vmap(lambda x, factor: _read(x, jnp.arange(samples) * factor))(stretched, factors)


def noisy(audio: jax.Array, key: Key, decibels: jax.Array | float) -> jax.Array:
    """Adds white noise at a signal-to-noise ratio, which is met exactly by the noise drawn.

    Args:
        audio: [B, T]; silence stays silent.
        key: of the noise.
        decibels: 10 log10 of the ratio of the powers; of all sounds, or of each, [B].

    Returns:
        [B, T].

    Raises:
        ValueError: sounds of another rank.
    """
    audio = _require_audio(audio, 1)
    noise = jax.random.normal(key, audio.shape, audio.dtype)
    ratio = 10 ** (jnp.broadcast_to(jnp.asarray(decibels, audio.dtype), len(audio)) / 10)
    power = (audio**2).mean(1) / (noise**2).mean(1) / ratio
    return audio + jnp.sqrt(power)[:, None] * noise


def random_time_stretch(
    audio: jax.Array,
    key: Key,
    *,
    rates: tuple[float, float] = (0.8, 1.25),
    window: int = 1024,
    hop: int = 256,
) -> jax.Array:
    """Stretches each sound by a rate of chance, whose logarithm is uniform.

    Args:
        audio: [B, T], T at least `window`.
        key: of the rates.
        rates: least and greatest.
        window: of `time_stretched`.
        hop: of `time_stretched`.
    """
    audio = _require_audio(audio, window)
    low, high = (jnp.log(jnp.asarray(rate, audio.dtype)) for rate in rates)
    drawn = jnp.exp(jax.random.uniform(key, [len(audio)], audio.dtype, low, high))
    return time_stretched(audio, drawn, window=window, hop=hop)


def random_pitch_shift(
    audio: jax.Array,
    key: Key,
    *,
    max_semitones: float = 2.0,
    window: int = 1024,
    hop: int = 256,
) -> jax.Array:
    """Shifts the pitch of each sound by a number of semitones of chance, uniform either way.

    Args:
        audio: [B, T], T at least `window`.
        key: of the shifts.
        max_semitones: the greatest.
        window: of `time_stretched`.
        hop: of `time_stretched`.
    """
    audio = _require_audio(audio, window)
    drawn = jax.random.uniform(key, [len(audio)], audio.dtype, -max_semitones, max_semitones)
    return pitch_shifted(audio, drawn, max_semitones=max_semitones, window=window, hop=hop)


def _require_audio(audio, window):
    audio = jnp.asarray(audio)
    if audio.ndim != 2 or audio.shape[1] < window:
        raise ValueError(
            f"sounds are [B, T] with T at least the window, {window}; got {list(audio.shape)}; "
            "for one sound audio[None], for shorter ones a shorter window"
        )
    return audio


def _read(x, places):
    """Between samples by the cubic of Catmull and Rom through the four around; 0 beyond."""
    first = jnp.floor(places).astype(int)
    t = places - first
    a, b, c, d = (jnp.pad(x, 1).at[first + i].get(mode="fill", fill_value=0) for i in range(4))
    return b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
