"""Language modelling: which character comes next?

A causal transformer: characters and positions embedded, two blocks of masked attention
and a dense layer each, measured in bits per character. Trained in compiled epochs
(XLA).

Embedded data: Python's language reference (303,000 characters for training and 31,000
for validation, in blocks of whole paragraphs; no paragraph is in both). Real data:
Shakespeare's plays (the last tenth for validation). Windows of 64 characters follow
each other without overlap.

Source:
    A. Radford et al., "Improving Language Understanding by Generative Pre-Training",
    2018 (the form of the blocks; here normalised before attention, as in GPT-2).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data_sources import language_reference, shakespeare
from tuning.data_sources.public_data import data_directory
from tuning.workload import Data, Workload

WINDOW = 64
"""Characters that the model reads at once."""

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
"""Printable ASCII; any other character is number 0."""

CHARACTERS = len(ALPHABET) + 1
WIDTH = 48
HEADS = 3
BLOCKS = 2


def load_data(directory: Path | None) -> Data:
    """Windows of text, and the same windows one character later.

    Shapes:
        x, y: [windows, 64] int32 numbers of characters.
    """
    if directory is None:
        train, validation = map("".join, language_reference.read_texts())
    else:
        text = shakespeare.read_shakespeare(directory)
        end = len(text) * 9 // 10
        train, validation = text[:end], text[end:]
    return Data(*_windows(train), *_windows(validation))


def _windows(text: str) -> tuple[np.ndarray, np.ndarray]:
    numbers = number_characters(text)
    count = (len(numbers) - 1) // WINDOW
    now, later = numbers[: count * WINDOW], numbers[1 : count * WINDOW + 1]
    return now.reshape(count, WINDOW), later.reshape(count, WINDOW)


def number_characters(text: str) -> np.ndarray:
    """Each character's number in `ALPHABET`, from 1; 0 for any other: [characters]."""
    number = {character: n for n, character in enumerate(ALPHABET, start=1)}
    return np.array([number.get(character, 0) for character in text], "int32")


def build_model() -> Any:
    """The transformer; returns logits of the next character at every place."""
    import keras

    layers, ops = keras.layers, keras.ops
    characters = keras.Input((WINDOW,), dtype="int32")
    places = ops.cumsum(ops.ones_like(characters), axis=1) - 1
    x = layers.Embedding(CHARACTERS, WIDTH)(characters)
    x = x + layers.Embedding(WINDOW, WIDTH)(places)
    for _ in range(BLOCKS):
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
        normalized = layers.LayerNormalization()(x)
        x = x + attention(normalized, normalized, use_causal_mask=True)
        hidden = layers.Dense(4 * WIDTH, activation="gelu")(
            layers.LayerNormalization()(x)
        )
        x = x + layers.Dense(WIDTH)(hidden)
    return keras.Model(
        characters, layers.Dense(CHARACTERS)(layers.LayerNormalization()(x))
    )


def attention_weights(model: Any, characters: Any) -> np.ndarray:
    """How much the first block attends from each place to each other place.

    Shapes:
        characters: [windows, 64]; returned: [windows, heads, 64, 64], rows sum to 1.
    """
    import keras

    kind = keras.layers.MultiHeadAttention
    attention = next(layer for layer in model.layers if isinstance(layer, kind))
    normalized = keras.Model(model.input, attention.input[0])(characters)
    _, weights = attention(
        normalized, normalized, use_causal_mask=True, return_attention_scores=True
    )
    return keras.ops.convert_to_numpy(weights)


def cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy of logits in nats, one value per character."""
    import keras

    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=True
    )


def bits_per_character(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy in bits: the length of each character in the best code."""
    return cross_entropy(y_true, y_pred) / float(np.log(2))


def metrics() -> list[Any]:
    """Bits per character."""
    import keras

    return [keras.metrics.MeanMetricWrapper(bits_per_character, "bits_per_character")]


def trivial_metrics(data: Data) -> dict[str, float]:
    """Bits per character of a code that uses the characters' frequencies alone."""
    counts = np.bincount(data.y_train.ravel(), minlength=CHARACTERS) + 1.0
    bits = -np.log2(counts / counts.sum())
    return {"bits_per_character": float(bits[data.y_val].mean())}


def workload() -> Workload:
    """The workload on the language reference, or on Shakespeare's plays (real data)."""
    directory = data_directory()
    source = (
        "Python's language reference" if directory is None else "Shakespeare's plays"
    )
    return Workload(
        name="language-model",
        build_model=build_model,
        load_data=functools.partial(load_data, directory),
        loss=cross_entropy,
        metrics=metrics,
        epochs=2 if directory is None else 1,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(16, 32, 128),
        target_val_loss=2.4,
        description=f"The next character ({source}), a causal transformer.",
    )
