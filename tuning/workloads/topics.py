"""Topic classification: what is a text about?

A deep averaging network: the mean of the words' embeddings, a hidden layer, one logit
per class. Trained in compiled epochs (XLA).

Embedded data: 1,039 passages of Python's language reference, by chapter (6 classes);
the number differs a little between versions of Python. Real data: 7,600 news items of
four topics (`tuning.data_sources.news`). In both cases a fifth is for validation, with
the same share of each class. No paragraph is in two passages.

Source:
    M. Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification", ACL 2015.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data_sources import language_reference, news
from tuning.data_sources.public_data import data_directory
from tuning.data_sources.word_ids import number_words
from tuning.workload import Data, Workload
from tuning.workloads.classification import cross_entropy, metrics

WORDS = 2000
"""Size of the vocabulary, including the numbers of padding and of unknown words."""

LENGTH = 48
"""Words of a text that the model reads."""

VALIDATION_SHARE = 0.2


def load_data(directory: Path | None) -> Data:
    """Texts as word numbers, and their classes.

    Shapes:
        x: [examples, 48] int32; y: [examples] int32.
    """
    from sklearn.model_selection import train_test_split

    if directory is None:
        texts, labels = language_reference.read_passages()
    else:
        texts, labels = news.read_news(directory)
    t_train, t_val, y_train, y_val = train_test_split(
        texts,
        np.array(labels, "int32"),
        test_size=VALIDATION_SHARE,
        random_state=0,
        stratify=labels,
    )
    x_train, x_val = number_words(t_train, t_val, words=WORDS, length=LENGTH)
    return Data(x_train, y_train, x_val, y_val)


def build_model(classes: int) -> Any:
    """The network; returns logits of the classes."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((LENGTH,), dtype="int32"),
            layers.Embedding(WORDS, 32, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(classes),
        ]
    )


def workload() -> Workload:
    """The workload on the language reference, or on news (real data)."""
    directory = data_directory()
    classes = language_reference.CLASSES if directory is None else news.CLASSES
    source = (
        "chapters of Python's language reference" if directory is None else "AG's news"
    )
    return Workload(
        name="topics",
        build_model=functools.partial(build_model, len(classes)),
        load_data=functools.partial(load_data, directory),
        loss=cross_entropy,
        metrics=metrics,
        epochs=10 if directory is None else 4,
        learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        batch_sizes=(16, 64, 256),
        target_val_loss=0.9,
        description=f"Topic of a text ({source}), a deep averaging network.",
    )
