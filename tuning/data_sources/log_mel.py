"""Sound as pictures: logarithmic mel spectrograms of equal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuning.data_sources.recordings import SAMPLE_RATE

BANDS = 32
STRIDE = 160
"""Samples from one frame to the next: 20 ms."""

WINDOW = 256


def log_mel(waves: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """Spectrograms of recordings, each padded with silence or cut to one length.

    Shapes:
        waves: each [samples]; returned: [recordings, samples // 160, 32] float32,
        about -1 ... 1.
    """
    import keras

    equal = np.zeros((len(waves), samples), np.float32)
    for row, wave in zip(equal, waves, strict=True):
        row[: len(wave)] = wave[:samples]
    spectrogram = keras.layers.MelSpectrogram(
        fft_length=WINDOW,
        sequence_stride=STRIDE,
        sequence_length=WINDOW,
        sampling_rate=SAMPLE_RATE,
        num_mel_bins=BANDS,
        min_freq=50.0,
        max_freq=SAMPLE_RATE / 2,
        ref_power=1.0,
        min_power=1e-5,
    )
    decibels = np.concatenate(
        [
            keras.ops.convert_to_numpy(spectrogram(equal[start : start + 256]))
            for start in range(0, len(equal), 256)
        ]
    )
    frames = decibels.transpose(0, 2, 1)[:, : samples // STRIDE]
    return ((frames + 15.0) / 35.0).astype("float32")
