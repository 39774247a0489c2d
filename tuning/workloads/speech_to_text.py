"""Speech to text: which digits were said, one after the other?

A small Deep Speech 2: convolutions over a log-mel spectrogram that halve the frames, a
bidirectional GRU, a dense layer, and connectionist temporal classification
(`keras.losses.CTC`), which needs no timing of the digits. Trained in compiled epochs,
including the loss; on a CPU without XLA, which is slow there at gradients of
convolutions.

Embedded data: 800 strings of two to four digits for training and 160 for validation,
joined from recordings of a formant synthesiser's six voices. Real data: the same, from
recordings of six people (`tuning.data_sources.spoken_digits`). Strings for validation
are joined from recordings that no training string contains (recordings 0 ... 4 of every
speaker and digit).

Source:
    A. Graves et al., "Connectionist Temporal Classification", ICML 2006; D. Amodei et
    al., "Deep Speech 2", ICML 2016.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data_sources.formant_voices import speak_digits
from tuning.data_sources.log_mel import BANDS, STRIDE, log_mel
from tuning.data_sources.public_data import data_directory
from tuning.data_sources.recordings import SAMPLE_RATE, Recordings, split
from tuning.data_sources.spoken_digits import read_spoken_digits
from tuning.workload import Data, Workload

SAMPLES = SAMPLE_RATE * 12 // 5
"""A string lasts at most 2.4 seconds."""

MOST_DIGITS = 4
STRINGS = {"train": 800, "validation": 160}
ROOM = 0.005
"""Root mean square of a string's background noise, where full scale is 1."""

SYMBOLS = 11
"""Ten digits, and the blank, which is number 0."""


def load_data(directory: Path | None) -> Data:
    """Spectrograms of strings, and the digits that were said.

    Shapes:
        x: [strings, 120, 32] float32, frames of 20 ms by mel bands;
        y: [strings, 4] int32, the digits plus 1, then zeros.
    """
    spoken = speak_digits() if directory is None else read_spoken_digits(directory)
    train, validation = split(spoken)
    return Data(
        *_spoken_strings(train, STRINGS["train"], np.random.default_rng(5)),
        *_spoken_strings(validation, STRINGS["validation"], np.random.default_rng(6)),
    )


def _spoken_strings(
    recordings: Recordings, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Strings by one speaker each, with pauses of 50 to 200 ms."""
    waves = []
    labels = np.zeros((count, MOST_DIGITS), "int32")
    rows_of = [
        np.flatnonzero(recordings.speaker == speaker)
        for speaker in range(len(recordings.names))
    ]
    while len(waves) < count:
        rows = rows_of[generator.integers(len(rows_of))]
        rows = generator.choice(rows, generator.integers(2, MOST_DIGITS + 1))
        parts = []
        for row in rows:
            pause = generator.integers(SAMPLE_RATE // 20, SAMPLE_RATE // 5)
            parts += [np.zeros(pause, np.float32), recordings.samples[row]]
        wave = np.concatenate(parts)
        if len(wave) <= SAMPLES:
            labels[len(waves), : len(rows)] = recordings.digit[rows] + 1
            # Without this noise, perfect silence would show where a digit begins.
            room = generator.normal(0.0, ROOM, SAMPLES).astype("float32")
            room[: len(wave)] += wave
            waves.append(room)
    return log_mel(waves, SAMPLES), labels


def build_model() -> Any:
    """The network; returns logits of the symbols for every second frame."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SAMPLES // STRIDE, BANDS)),
            layers.Conv1D(32, 5, strides=2, padding="same", activation="relu"),
            layers.Conv1D(32, 3, padding="same", activation="relu"),
            layers.Bidirectional(layers.GRU(32, return_sequences=True)),
            layers.Dense(SYMBOLS),
        ]
    )


def ctc(y_true: Any, y_pred: Any) -> Any:
    """Connectionist temporal classification, in nats per string."""
    import keras

    return keras.losses.CTC(reduction=None)(y_true, y_pred)


def metrics() -> list[Any]:
    """The character error rate of the most likely path."""
    from tuning.workloads.character_error_rate import CharacterErrorRate

    return [CharacterErrorRate(name="character_error_rate")]


def trivial_metrics(data: Data) -> dict[str, float]:
    """The character error rate of the best constant answer.

    Answers are all strings of one digit, repeated up to four times.
    """
    from tuning.workloads.character_error_rate import edit_distance

    characters = float((data.y_val > 0).sum())
    rates = []
    for symbol in range(1, SYMBOLS):
        for length in range(1, MOST_DIGITS + 1):
            answer = np.zeros_like(data.y_val)
            answer[:, :length] = symbol
            edits = np.asarray(edit_distance(data.y_val, answer)).sum()
            rates.append(float(edits) / characters)
    return {"character_error_rate": min(rates)}


def workload() -> Workload:
    """The workload with strings of synthetic voices, or of people (real data)."""
    directory = data_directory()
    source = "a formant synthesiser" if directory is None else "six people"
    return Workload(
        name="speech-to-text",
        build_model=build_model,
        load_data=functools.partial(load_data, directory),
        loss=ctc,
        metrics=metrics,
        epochs=5 if directory is None else 12,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(8, 16, 64),
        target_val_loss=2.0,
        description=f"Spoken digit strings ({source}), convolutions, a GRU and CTC.",
    )
