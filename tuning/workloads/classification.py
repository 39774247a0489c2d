"""What workloads with one class per example share: loss, metric, trivial guess."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.workload import Data


def cross_entropy(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy of logits, one value per example."""
    import keras

    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=True
    )


def metrics() -> list[str]:
    """The share of examples that are classified correctly."""
    return ["accuracy"]


def trivial_metrics(data: Data) -> dict[str, float]:
    """The accuracy of always predicting the most frequent class."""
    most_frequent = np.bincount(data.y_train).argmax()
    return {"accuracy": float((data.y_val == most_frequent).mean())}
