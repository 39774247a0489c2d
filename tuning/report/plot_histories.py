"""Learning curves in the data of a plot: as many as a page can hold.

Curves over epochs are kept for every run as long as they fit into `MOST_VALUES`; of
larger sweeps fewer epochs are kept, and of the largest only means over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuning.objectives import turned
from tuning.records import RunRecord
from tuning.statistics.seed_losses import judged_loss

MOST_VALUES = 250_000
"""Values of learning curves in a page: about 1.8 MB of text."""

LEAST_EPOCHS = 12
"""Epochs that a curve of a large sweep keeps."""

OBJECTIVE = "objective"
"""Stands for the quantity by which the runs are judged, whatever its name."""


def choose_epochs(
    runs: Sequence[RunRecord], names: Sequence[str], most_values: int
) -> tuple[int, bool]:
    """Of how many epochs one is kept, and whether every seed has its own curve."""
    epochs = max((count_epochs(run) for run in runs), default=0)
    total = len(runs) * len(names) * epochs
    step = max(1, math.ceil(total / most_values))
    if not epochs or epochs // step >= min(LEAST_EPOCHS, epochs):
        return step, True
    settings = {(run.optimizer, run.batch_size, run.learning_rate) for run in runs}
    most_epochs = most_values // (len(settings) * len(names))
    return math.ceil(epochs / max(1, min(LEAST_EPOCHS, most_epochs))), False


def count_epochs(run: RunRecord) -> int:
    """Epochs that a run has logged."""
    return max((len(values) for values in run.history.values()), default=0)


def learning_curves(
    place: int,
    runs: Sequence[RunRecord],
    names: Sequence[str],
    rates: Sequence[float],
    step: int,
    has_seeds: bool,
) -> list[dict[str, Any]]:
    """The learning curves of one optimizer and batch size."""
    found: dict[int, list[RunRecord]] = {}
    for run in runs:
        if run.learning_rate in rates:
            found.setdefault(rates.index(run.learning_rate), []).append(run)
    lines = []
    for rate, some in sorted(found.items()):
        groups = [[run] for run in some] if has_seeds else [some]
        for group in groups:
            objective = group[0].objective
            keys = [objective if name == OBJECTIVE else name for name in names]
            lines.append(
                {
                    "o": place,
                    "b": group[0].batch_size,
                    "r": rate,
                    "s": group[0].seed if has_seeds else None,
                    "end": _ends(group),
                    "h": [_history(group, key, step) for key in keys],
                }
            )
    return lines


def _ends(group: Sequence[RunRecord]) -> float | None:
    """What the runs are judged by, a mean."""
    losses = [judged_loss(run) for run in group]
    values = mean_and_ends(losses)
    return shorten(turned(values[0], group[0].direction)) if values else None


def _history(group: Sequence[RunRecord], key: str, step: int) -> list[float | None]:
    """A metric over the epochs, a mean over runs, of every ``step``-th epoch."""
    lists = [run.history.get(key) or [] for run in group]
    length = min(len(values) for values in lists)
    # The last epoch is always there, so count from the end.
    epochs = range((length - 1) % step, length, step) if length else ()
    means = [mean_and_ends([values[epoch] for values in lists]) for epoch in epochs]
    return [shorten(mean[0]) if mean else None for mean in means]


def mean_and_ends(values: Sequence[float | None]) -> list[float]:
    """Mean, least and greatest; nothing if a value is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return []
    return [math.fsum(known) / len(known), min(known), max(known)]


def shorten(value: float | None) -> float | None:
    """Four significant digits; ``None`` for what JSON cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")
