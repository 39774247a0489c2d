"""The tasks on which storages are judged: four small models and their data.

Text and speech are read from ``KERAS_ADAM_DATA`` (default ``../shared/data``), digits
come with scikit-learn. Each model has weights of 65,536 entries and more, because only
these are stored in fewer bytes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DATA = Path(
    os.environ.get("KERAS_ADAM_DATA", Path(__file__).parents[3] / "shared" / "data")
)


class Task(NamedTuple):
    """A model with its data.

    Attributes:
        build: returns a new model with logits per class, or per class and position.
        load: returns training and validation arrays: x, y, x, y.
        batch_size: examples per step.
        steps: of a run.
        rate: near the best learning rate of float32 Adam.
    """

    build: Callable[[], Any]
    load: Callable[[], tuple[np.ndarray, ...]]
    batch_size: int
    steps: int
    rate: float


CONTEXT = 16
LENGTH = 32


def _characters() -> tuple[np.ndarray, int]:
    text = (DATA / "tiny_shakespeare.txt").read_text()
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    return np.array([number[c] for c in text], "int32"), len(alphabet)


CHARACTERS = 65
"""Size of the alphabet of tiny_shakespeare.txt."""


def _next_character() -> tuple[np.ndarray, ...]:
    """The character after each window; validation is the text's last tenth."""
    codes, _ = _characters()
    windows = np.lib.stride_tricks.sliding_window_view(codes, CONTEXT + 1)
    end = len(windows) * 9 // 10
    train, held_out = windows[: end - CONTEXT : 2], windows[end::4]
    return train[:, :-1], train[:, -1], held_out[:, :-1], held_out[:, -1]


def _sequences() -> tuple[np.ndarray, ...]:
    codes, _ = _characters()
    whole = codes[: len(codes) // (LENGTH + 1) * (LENGTH + 1)]
    rows = whole.reshape(-1, LENGTH + 1)
    end = len(rows) * 9 // 10
    train, held_out = rows[:end], rows[end:]
    return train[:, :-1], train[:, 1:], held_out[:, :-1], held_out[:, 1:]


def _digits() -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order].astype("int32")
    return images[400:], labels[400:], images[:400], labels[:400]


def _spoken_digits() -> tuple[np.ndarray, ...]:
    """Log spectrograms of 32 frames; recordings numbered 0 to 4 are held out."""
    with np.load(DATA / "free_spoken_digits.npz") as file:
        samples, offsets = file["samples"], file["offsets"]
        digit, recording = file["digit"].astype("int32"), file["recording"]
    images = np.stack(
        [_spectrogram(samples[begin:end]) for begin, end in itertools.pairwise(offsets)]
    )
    held_out = recording < 5
    return images[~held_out], digit[~held_out], images[held_out], digit[held_out]


def _spectrogram(samples: np.ndarray) -> np.ndarray:
    frames = np.zeros((32, 128))
    wave = samples[: 32 * 128].astype("float64") / 2**15
    frames.flat[: len(wave)] = wave
    power = np.abs(np.fft.rfft(frames * np.hanning(128), axis=1))[:, :64]
    return ((np.log(power + 1e-3) + 4) / 3).astype("float32")[..., None]


def _mlp() -> Any:
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((CONTEXT,)),
            layers.Embedding(CHARACTERS, 16),
            layers.Flatten(),
            layers.Dense(384, activation="relu"),
            layers.Dense(384, activation="relu"),
            layers.Dense(CHARACTERS),
        ]
    )


def _convnet(shape: tuple[int, ...], strides: int) -> Any:
    # With noise and dropout, so that training losses do not fall to nearly zero.
    from keras import Sequential, layers

    blocks = [
        layer
        for width in (32, 64, 128)
        for layer in (
            layers.Conv2D(width, 3, strides, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
        )
    ]
    return Sequential(
        [
            layers.Input(shape),
            layers.GaussianNoise(0.5),
            *blocks,
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )


def _transformer() -> Any:
    import keras
    from keras import Model, layers

    width = 256
    inputs = layers.Input((LENGTH,), dtype="int32")
    places = keras.ops.arange(LENGTH)
    x = layers.Embedding(CHARACTERS, width)(inputs)
    x = x + layers.Embedding(LENGTH, width)(places)
    normal = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(4, width // 4)(
        normal, normal, use_causal_mask=True
    )
    hidden = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
    x = x + layers.Dense(width)(hidden)
    outputs = layers.Dense(CHARACTERS)(layers.LayerNormalization()(x))
    return Model(inputs, outputs)


TASKS = {
    "characters, ReLU MLP": Task(_mlp, _next_character, 128, 3000, 1e-3),
    "digits, convnet": Task(lambda: _convnet((8, 8, 1), 1), _digits, 64, 300, 1e-3),
    "spoken digits, convnet": Task(
        lambda: _convnet((32, 64, 1), 2), _spoken_digits, 64, 400, 1e-3
    ),
    "characters, transformer": Task(_transformer, _sequences, 16, 900, 1e-3),
}
