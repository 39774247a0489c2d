"""What telemetry is called in TensorBoard: tags by layer, weight and quantity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_adam.telemetry.probe import Figures, StepFigures
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer

PER_WEIGHT = {
    "gradient_norm": "Gradient norm",
    "update_ratio": "Update-to-weight ratio",
    "moment_ratio": "Root mean square of m / √v",
    "first_moment_storage_error": "Storage error of the first moment",
    "second_moment_storage_error": "Storage error of the second moment",
}
"""What is written of each weight, by the end of its tag -> the title of its chart."""

OF_ALL = "optimizer"
"""What tags begin with that concern all weights."""


def told_of_weights(tags: Sequence[str], figures: StepFigures) -> dict[str, float]:
    """Numbers of single weights, by tag.

    Args:
        tags: what the tags of each weight begin with.
        figures: of the step.
    """
    values: dict[str, Figures] = {
        "gradient_norm": figures.gradient_norm,
        "update_ratio": figures.update_ratio,
        "moment_ratio": figures.moment_ratio,
        "first_moment_storage_error": figures.first_storage_error,
        "second_moment_storage_error": figures.second_storage_error,
    }
    return {
        f"{tag}/{name}": number
        for name, numbers in values.items()
        for tag, number in zip(tags, numbers, strict=True)
        if number is not None
    }


def told_of_all(
    learning_rate: float | None, optimizer: ReadableOptimizer, figures: StepFigures
) -> dict[str, float]:
    """Numbers that concern all weights, by tag.

    Args:
        learning_rate: of the step; ``None`` where there is not one for all.
        optimizer: that took the step.
        figures: of the step.
    """
    values = optimizer.controls()
    if learning_rate is not None:
        values["learning_rate"] = learning_rate
        if "rate_multiplier" in values:
            values["effective_rate"] = learning_rate * values["rate_multiplier"]
    norms = [norm for norm in figures.gradient_norm if norm is not None]
    if norms:
        values["gradient_norm"] = float(np.linalg.norm(norms))
    return {f"{OF_ALL}/{name}": number for name, number in values.items()}


def tag_prefixes(paths: Sequence[str]) -> list[str]:
    """What the tags of each weight begin with: its layer, and its name in the layer.

    TensorBoard folds what has its first part in common, so the layer is one part,
    ``encoder.block_1.query/kernel``; what all weights have in common is left out.

    Args:
        paths: of the weights, ``model/encoder/block_1/query/kernel``.
    """
    parts = [path.split("/") for path in paths]
    # A layer's name at least is left, and a weight without one is put into a layer.
    shortest = min((len(part) for part in parts), default=0)
    shared = 0
    while shared < shortest - 2 and len({part[shared] for part in parts}) == 1:
        shared += 1
    prefixes = [
        f"{'.'.join(part[shared:-1]) or 'weights'}/{part[-1]}" for part in parts
    ]
    seen: Counter[str] = Counter()
    unique = []
    for prefix in prefixes:
        seen[prefix] += 1
        number = seen[prefix]
        unique.append(prefix if number == 1 else f"{prefix}_{number}")
    return unique
