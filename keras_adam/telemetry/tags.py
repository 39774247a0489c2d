"""The tags of TensorBoard's curves, ``LAYER/WEIGHT/QUANTITY``, and their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

CHARTS = {
    "gradient_norm": "Gradient norm",
    "update_ratio": "Update-to-weight ratio",
    "moment_ratio": "Root mean square of m / √v",
}
"""Last part of the tags of each weight -> the title of its chart."""

OPTIMIZER = "optimizer"
"""First part of the tags that concern all weights."""


def weight_scalars(
    prefixes: Sequence[str], figures: Mapping[str, Sequence[float | None]]
) -> dict[str, float]:
    """The figures of each weight, by tag.

    Args:
        prefixes: of the tags of each weight, see `tag_prefixes`.
        figures: one number per weight, by the last part of the tag; ``None`` where
            there is no number.
    """
    return {
        f"{prefix}/{name}": number
        for name, numbers in figures.items()
        for prefix, number in zip(prefixes, numbers, strict=True)
        if number is not None
    }


def optimizer_scalars(
    learning_rate: float | None,
    gradient_norms: Sequence[float | None],
    controls: Mapping[str, float],
) -> dict[str, float]:
    """Numbers that concern all weights, by tag.

    Args:
        learning_rate: of the step; ``None`` if weights have different ones.
        gradient_norms: of the weights.
        controls: further numbers by name.
    """
    values = dict(controls)
    if learning_rate is not None:
        values["learning_rate"] = learning_rate
        if "rate_multiplier" in values:
            values["effective_rate"] = learning_rate * values["rate_multiplier"]
    known = [norm for norm in gradient_norms if norm is not None]
    if known:
        values["gradient_norm"] = float(np.linalg.norm(known))
    return {f"{OPTIMIZER}/{name}": number for name, number in values.items()}


def tag_prefixes(paths: Sequence[str]) -> list[str]:
    """The first two parts of the tags of each weight: its layer, its name in the layer.

    TensorBoard groups tags by their first part, so the layer is one part,
    ``encoder.block_1.query/kernel``. Leading parts that all paths share are left out.

    Args:
        paths: of the weights, ``model/encoder/block_1/query/kernel``.
    """
    parts = [path.split("/") for path in paths]
    # At least the layer's name is left. A weight without one gets a layer.
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
