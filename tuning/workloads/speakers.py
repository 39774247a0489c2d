"""Voice recognition: who is speaking?

A d-vector network: dense layers look at four frames of a log-mel spectrogram at a time,
the mean of their outputs is the voice's vector, and two more layers name the speaker.
Trained in compiled epochs (XLA).

Embedded data: 1,200 recordings of a formant synthesiser's six voices. Real data: 3,000
recordings of six people (`tuning.data_sources.spoken_digits`). Recordings 0 ... 4 of
every speaker and digit are for validation, so validation uses unknown recordings of
known speakers.

Source:
    E. Variani et al., "Deep neural networks for small footprint text-dependent speaker
    verification", ICASSP 2014.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from tuning.data_sources.formant_voices import speak_digits
from tuning.data_sources.log_mel import BANDS, STRIDE, log_mel
from tuning.data_sources.public_data import data_directory
from tuning.data_sources.recordings import SAMPLE_RATE, Recordings, split
from tuning.data_sources.spoken_digits import read_spoken_digits
from tuning.workload import Data, Workload
from tuning.workloads.classification import cross_entropy, metrics

SAMPLES = SAMPLE_RATE * 16 // 25
"""The model hears 0.64 seconds of a recording."""

FRAMES_AT_ONCE = 4
SPEAKERS = 6


def load_recordings(directory: Path | None) -> Recordings:
    """The recordings, of synthetic voices or of people.

    Raises:
        OSError: real data are wanted but missing, and cannot be downloaded.
        ValueError: the data have another format, or another number of speakers.
    """
    if directory is None:
        return speak_digits()
    recordings = read_spoken_digits(directory)
    if len(recordings.names) != SPEAKERS:
        raise ValueError(
            f"the recordings in {directory} must be of {SPEAKERS} speakers; they are "
            f"of {', '.join(recordings.names)}."
        )
    return recordings


def load_data(directory: Path | None) -> Data:
    """Spectrograms of single digits, and the number of the speaker.

    Shapes:
        x: [recordings, 32, 32] float32, frames of 20 ms by mel bands;
        y: [recordings] int32.
    """
    train, validation = split(load_recordings(directory))
    return Data(
        log_mel(train.samples, SAMPLES),
        train.speaker,
        log_mel(validation.samples, SAMPLES),
        validation.speaker,
    )


def build_model() -> Any:
    """The network; returns logits of the speakers."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SAMPLES // STRIDE, BANDS)),
            layers.Reshape((-1, FRAMES_AT_ONCE * BANDS)),
            layers.Dense(64, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(SPEAKERS),
        ]
    )


def workload() -> Workload:
    """The workload with six synthetic voices, or with those of people (real data)."""
    directory = data_directory()
    source = "a formant synthesiser" if directory is None else "people saying digits"
    return Workload(
        name="speakers",
        build_model=build_model,
        load_data=functools.partial(load_data, directory),
        loss=cross_entropy,
        metrics=metrics,
        epochs=15,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(16, 64, 256),
        target_val_loss=0.9,
        description=f"Which of six voices speaks ({source}), a d-vector network.",
    )
