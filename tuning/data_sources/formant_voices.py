"""A formant synthesiser that speaks the ten digits in several voices (embedded data).

Source and filter: pulses of the glottis and noise of the breath pass through the
resonances of the vocal tract, which move from sound to sound. A voice is a pitch, a
length of the vocal tract, a tempo, a breathiness and a tilt; every recording varies
them a little, so no two are alike.

Source:
    D. H. Klatt, "Software for a cascade/parallel formant synthesizer", J. Acoust. Soc.
    Am. 67, 1980; the vowels' resonances: G. E. Peterson, H. L. Barney, "Control
    methods used in a study of the vowels", J. Acoust. Soc. Am. 24, 1952 (table II,
    men).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tuning.data_sources.recordings import SAMPLE_RATE, Recordings

RECORDINGS = 20
"""Recordings of each digit by each voice."""

SEED = 4
FRAME = 160
HOP = 40
"""Samples: one filter covers 20 ms, and a new one starts every 5 ms."""

EDGE = 4
"""Frames in which a digit is faded in, and out."""


class Voice(NamedTuple):
    """What distinguishes one speaker from another.

    Attributes:
        pitch: pulses per second.
        tract: factor on all resonances; a shorter vocal tract has higher ones.
        tempo: factor on all durations.
        breath: share of noise in voiced sounds.
        tilt: hertz above which the pulses' overtones get weaker.
    """

    pitch: float
    tract: float
    tempo: float
    breath: float
    tilt: float


VOICES = {
    "Anna": Voice(pitch=205, tract=1.16, tempo=1.0, breath=0.10, tilt=500),
    "Bela": Voice(pitch=190, tract=1.10, tempo=0.9, breath=0.03, tilt=800),
    "Carl": Voice(pitch=110, tract=1.00, tempo=1.0, breath=0.02, tilt=600),
    "Dora": Voice(pitch=225, tract=1.22, tempo=1.1, breath=0.05, tilt=400),
    "Emil": Voice(pitch=120, tract=0.94, tempo=1.1, breath=0.04, tilt=900),
    "Finn": Voice(pitch=135, tract=1.04, tempo=0.9, breath=0.12, tilt=500),
}


class Sound(NamedTuple):
    """A speech sound: its resonances, and the loudness of voice and noise.

    Attributes:
        resonances: the first three, in hertz.
        voice: loudness of the pulses, 0 ... 1.
        noise: loudness of the breath.
        hiss: hertz above which the noise is heard; with 0 it passes the resonances.
        milliseconds: how long it lasts.
    """

    resonances: tuple[int, int, int]
    voice: float = 1.0
    noise: float = 0.0
    hiss: int = 0
    milliseconds: int = 80


SOUNDS = {
    "IY": Sound((270, 2290, 3010), milliseconds=120),
    "IH": Sound((390, 1990, 2550), milliseconds=80),
    "EH": Sound((530, 1840, 2480), milliseconds=90),
    "AA": Sound((730, 1090, 2440), milliseconds=110),
    "AH": Sound((640, 1190, 2390), milliseconds=90),
    "AO": Sound((570, 840, 2410), milliseconds=120),
    "UH": Sound((440, 1020, 2240), milliseconds=70),
    "UW": Sound((300, 870, 2240), milliseconds=140),
    "W": Sound((290, 610, 2150), voice=0.6, milliseconds=60),
    "R": Sound((310, 1060, 1380), voice=0.6, milliseconds=70),
    "N": Sound((250, 1500, 2500), voice=0.35, milliseconds=80),
    "V": Sound((250, 1200, 2300), voice=0.35, noise=0.06, hiss=1000, milliseconds=60),
    "Z": Sound((250, 1600, 2500), voice=0.3, noise=0.2, hiss=2600, milliseconds=80),
    "S": Sound((300, 1600, 2500), voice=0.0, noise=0.35, hiss=2600, milliseconds=110),
    "F": Sound((300, 1200, 2300), voice=0.0, noise=0.10, hiss=800, milliseconds=90),
    "TH": Sound((300, 1300, 2500), voice=0.0, noise=0.06, hiss=1400, milliseconds=80),
    "-": Sound((300, 1700, 2500), voice=0.0, milliseconds=50),
    "T": Sound((300, 1700, 2600), voice=0.0, noise=0.5, hiss=2000, milliseconds=25),
    "K": Sound((300, 1800, 2400), voice=0.0, noise=0.5, milliseconds=30),
}
"""Vowels after Peterson and Barney; "-" is the silence before a burst."""

DIGITS = (
    "Z IH R AO UH",
    "W AH N",
    "- T UW",
    "TH R IY",
    "F AO R",
    "F AA IH V",
    "S IH - K S",
    "S EH V AH N",
    "EH IH - T",
    "N AA IH N",
)
"""The sounds of "zero" ... "nine"."""


def speak_digits() -> Recordings:
    """Every voice speaking every digit `RECORDINGS` times; the same every time."""
    generator = np.random.default_rng(SEED)
    samples, digit, speaker, recording = [], [], [], []
    for number, voice in enumerate(VOICES.values()):
        for said in range(10):
            for take in range(RECORDINGS):
                samples.append(speak(said, voice, generator))
                digit.append(said)
                speaker.append(number)
                recording.append(take)
    counts = (np.array(column, "int32") for column in (digit, speaker, recording))
    return Recordings(samples, *counts, names=tuple(VOICES))


def speak(digit: int, voice: Voice, generator: np.random.Generator) -> np.ndarray:
    """One recording of a digit: [samples] float32 in [-1, 1], 8,000 per second."""
    from scipy.signal import istft, stft

    voice = _on_a_given_day(voice, generator)
    tracks = _tracks([SOUNDS[name] for name in DIGITS[digit].split()], voice, generator)
    length = len(tracks.voice) * HOP
    pulses = _pulses(length, voice, generator)
    breath = generator.normal(size=length)
    shape = {"fs": SAMPLE_RATE, "nperseg": FRAME, "noverlap": FRAME - HOP}
    hertz, _, pulse_spectrum = stft(pulses, **shape)
    breath_spectrum = stft(breath, **shape)[2]
    frames = np.minimum(np.arange(pulse_spectrum.shape[1]), len(tracks.voice) - 1)
    of_pulses, of_breath = _gains(hertz, voice, tracks, frames)
    _, wave = istft(pulse_spectrum * of_pulses + breath_spectrum * of_breath, **shape)
    wave = wave / np.abs(wave).max() * generator.uniform(0.4, 0.9)
    wave += generator.normal(0.0, 0.003, wave.shape)  # the room
    return np.clip(wave, -1.0, 1.0).astype("float32")


class _Tracks(NamedTuple):
    """A digit's sounds over time: one row per `HOP` samples."""

    resonances: np.ndarray
    voice: np.ndarray
    noise: np.ndarray
    hiss: np.ndarray


def _on_a_given_day(voice: Voice, generator: np.random.Generator) -> Voice:
    return Voice(
        pitch=voice.pitch * generator.lognormal(0.0, 0.08),
        tract=voice.tract * generator.lognormal(0.0, 0.02),
        tempo=voice.tempo * generator.lognormal(0.0, 0.12),
        breath=voice.breath * generator.lognormal(0.0, 0.3),
        tilt=voice.tilt * generator.lognormal(0.0, 0.2),
    )


def _tracks(
    sounds: list[Sound], voice: Voice, generator: np.random.Generator
) -> _Tracks:
    """Each sound's values in turn; the tongue takes 30 ms from one to the next."""
    from scipy.ndimage import uniform_filter1d

    milliseconds = [s.milliseconds * generator.lognormal(0.0, 0.1) for s in sounds]
    frame = 1000 * HOP / SAMPLE_RATE
    counts = [max(3, round(voice.tempo * m / frame)) for m in milliseconds]
    resonances = [
        np.array(s.resonances) * voice.tract * generator.lognormal(0.0, 0.03, 3)
        for s in sounds
    ]
    loudness = np.clip(np.arange(sum(counts)) / EDGE, 0, 1)
    loudness = loudness * loudness[::-1]

    def course(values: list, frames: int) -> np.ndarray:
        stepped = np.repeat(np.array(values, float), counts, axis=0)
        return uniform_filter1d(stepped, frames, axis=0, mode="nearest")

    return _Tracks(
        resonances=course(resonances, round(30 / frame)),
        voice=course([s.voice for s in sounds], 4) * loudness,
        noise=course([s.noise for s in sounds], 2) * loudness,
        hiss=course([s.hiss for s in sounds], 1),
    )


def _gains(
    hertz: np.ndarray, voice: Voice, tracks: _Tracks, frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gains of pulses and breath at each frequency: [frequencies, frames]."""
    resonance = _resonance(hertz, tracks.resonances[frames])
    hiss = tracks.hiss[frames, None]
    above = 1.0 / (1.0 + np.exp((hiss - hertz) / 150.0))
    loud = tracks.voice[frames, None]
    of_pulses = loud * resonance / (1.0 + (hertz / voice.tilt) ** 2) ** 0.5
    of_breath = tracks.noise[frames, None] * np.where(hiss > 1, above, 0.3 * resonance)
    of_breath += loud * voice.breath * resonance
    return of_pulses.T, of_breath.T


def _pulses(length: int, voice: Voice, generator: np.random.Generator) -> np.ndarray:
    """One sample of 1 per period; the pitch falls by 18 % and trembles."""
    course = np.linspace(1.1, 0.9, length) * (1 + 0.01 * generator.normal(size=length))
    phase = np.cumsum(voice.pitch * course / SAMPLE_RATE)
    # At any pitch as loud as noise with a standard deviation of 1.
    return np.diff(np.floor(phase), prepend=0.0) * np.sqrt(SAMPLE_RATE / voice.pitch)


def _resonance(hertz: np.ndarray, resonances: np.ndarray) -> np.ndarray:
    """Gain of resonators in series at each frequency: [frames, frequencies].

    H(f) = Π_k F_k² / |F_k² - f² + i f B_k|, the bandwidth B_k growing with k.
    """
    gain = np.ones((len(resonances), len(hertz)))
    for k, width in enumerate((70.0, 110.0, 170.0)):
        centre = resonances[:, k, None]
        gain *= centre**2 / np.hypot(centre**2 - hertz**2, hertz * width)
    return gain
