"""Sentiment analysis: is a sentence praise or blame?

A bidirectional LSTM over word embeddings: the order of words matters, because "not"
reverses a judgement. Trained in compiled epochs (XLA).

Embedded data: 3,000 sentences of a grammar in which counting words hardly helps
(`tuning.data_sources.opinions`). Real data: 10,678 sentences from film reviews
(`tuning.data_sources.movie_reviews`). A tenth (real) or a fifth (embedded) is for
validation. No sentence is in both parts.

Source:
    A. Graves, J. Schmidhuber, "Framewise phoneme classification with bidirectional
    LSTM", Neural Networks 18, 2005.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data_sources import movie_reviews, opinions
from tuning.data_sources.public_data import data_directory
from tuning.data_sources.word_ids import number_words
from tuning.workload import Data, Workload
from tuning.workloads.classification import cross_entropy, metrics

WORDS = 4000
LENGTH = 24
"""Words of a sentence that the model reads."""


def load_data(directory: Path | None) -> Data:
    """Sentences as word numbers; 1 for praise, 0 for blame.

    Shapes:
        x: [examples, 24] int32; y: [examples] int32.
    """
    from sklearn.model_selection import train_test_split

    if directory is None:
        texts, labels = opinions.make_opinions()
        share = 0.2
    else:
        texts, labels = _without_repetitions(
            *movie_reviews.read_movie_reviews(directory)
        )
        share = 0.1
    t_train, t_val, y_train, y_val = train_test_split(
        texts,
        np.array(labels, "int32"),
        test_size=share,
        random_state=0,
        stratify=labels,
    )
    x_train, x_val = number_words(t_train, t_val, words=WORDS, length=LENGTH)
    return Data(x_train, y_train, x_val, y_val)


def _without_repetitions(
    texts: list[str], labels: list[int]
) -> tuple[list[str], list[int]]:
    """Each sentence once, without regard to case and punctuation.

    The model sees neither of them.
    """
    first: dict[str, tuple[str, int]] = {}
    for text, label in zip(texts, labels, strict=True):
        words = " ".join(re.findall(r"\w+", text.lower()))
        first.setdefault(words, (text, label))
    kept = [pair for words, pair in first.items() if words]
    return [text for text, _ in kept], [label for _, label in kept]


def build_model() -> Any:
    """The network; returns logits of blame and praise."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((LENGTH,), dtype="int32"),
            layers.Embedding(WORDS, 32, mask_zero=True),
            layers.Bidirectional(layers.LSTM(24)),
            layers.Dense(2),
        ]
    )


def workload() -> Workload:
    """The workload with sentences of a grammar, or of reviews (real data)."""
    directory = data_directory()
    source = (
        "sentences with negation" if directory is None else "sentences of film reviews"
    )
    return Workload(
        name="sentiment",
        build_model=build_model,
        load_data=functools.partial(load_data, directory),
        loss=cross_entropy,
        metrics=metrics,
        epochs=10 if directory is None else 3,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(16, 64, 256),
        target_val_loss=0.4,
        description=f"Praise or blame ({source}), a bidirectional LSTM.",
    )
