"""Handwritten digits: 1,797 real 8 x 8 images that come with scikit-learn.

The task is small on purpose: a whole sweep takes a minute or two on two cores and needs
no download. Still its data are real, written by 13 people.

Source:
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
    Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49
    (`sklearn.datasets.load_digits` holds its test part).
"""

from __future__ import annotations

from typing import Any

from tuning.data_sources.handwritten_digits import read_digits
from tuning.workload import Data, Workload


def load_data() -> Data:
    """The digits, split once and for all: 1,437 for training, 360 for validation.

    Shapes:
        x: [examples, 64] float32 in [0, 1]; y: [examples] int32, 0 ... 9, with the
        same share of each digit in both parts.
    """
    return read_digits()


def build_model() -> Any:
    """A perceptron with two hidden layers that returns logits."""
    import keras

    return keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy of logits, one value per example."""
    import keras

    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=True
    )


def metrics() -> list[str]:
    """The share of digits recognised."""
    return ["accuracy"]


WORKLOAD = Workload(
    name="digits",
    build_model=build_model,
    load_data=load_data,
    loss=cross_entropy,
    metrics=metrics,
    epochs=15,
    learning_rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0),
    batch_sizes=(16, 64, 256),
    target_val_loss=0.15,
    description=(
        "scikit-learn's 1,797 handwritten digits (8 x 8 pixels), a 64-64-32-10 "
        "perceptron with ReLU."
    ),
)
