"""What is measured: figures of one optimizer on one workload, less is better in all.

A figure is taken over drawn seeds, so that the same function serves the value itself
(every seed once) and its bootstrap.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from tuning.claims.task_runs import DEFAULT_RATES, Seeds, TaskRuns, mean_of
from tuning.claims.training_curves import (
    count_spikes,
    early_area,
    final_training_loss,
    has_learned,
    is_gain,
    steps_to,
)
from tuning.records import RunRecord
from tuning.statistics.curves import find_good_region
from tuning.statistics.seed_losses import is_bad, learning_rate_sensitivity

Figure = Callable[[TaskRuns, str, Seeds], float | None]
"""Of an optimizer on a workload, over drawn seeds; ``None`` where it has no data."""

REFERENCE = "sgd"
"""Whose final loss the others are to reach."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """One thing that is measured.

    Attributes:
        name: of the measure.
        figure: how it is taken.
        compared_by: ``"ratio"`` to a rival's figure, or ``"difference"`` from it.
        meaning: one sentence for the page.
        unit: of figures: ``""``, ``"share"`` (shown as a percentage) or ``"bytes"``.
    """

    name: str
    figure: Figure
    compared_by: Literal["ratio", "difference"]
    meaning: str
    unit: Literal["", "share", "bytes"] = ""

    @property
    def neutral(self) -> float:
        """The ratio or difference in which neither side is better."""
        return 1.0 if self.compared_by == "ratio" else 0.0


def _rate(task: TaskRuns, optimizer: str, size: int, where: str) -> float | None:
    if where == "best":
        return task.best_rate(optimizer, size)
    return DEFAULT_RATES.get(optimizer)


def _mean_over_sizes(
    measure: Callable[[RunRecord], float | None], where: str
) -> Figure:
    """The mean over batch sizes and seeds of what is measured of runs at a rate."""

    def figure(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
        return mean_of(
            [
                measure(record)
                for size in task.batch_sizes
                for record in task.at(
                    optimizer, size, _rate(task, optimizer, size, where), seeds
                )
            ]
        )

    return figure


def _steps_to_reference(where: str) -> Figure:
    """Pairs with SGD's run of the same batch size and seed, at its own such rate."""

    def figure(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
        shares = []
        for size in task.batch_sizes:
            rates = [_rate(task, o, size, where) for o in (optimizer, REFERENCE)]
            for seed in seeds:
                own = task.at(optimizer, size, rates[0], (seed,))
                reference = task.at(REFERENCE, size, rates[1], (seed,))
                target = final_training_loss(reference[0]) if reference else None
                if own and target is not None and has_learned(reference[0]):
                    shares.append(steps_to(own[0], target))
        return mean_of(shares)

    return figure


def _diverged(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    runs = task.runs_of(optimizer, seeds)
    return mean_of([float(record.status == "diverged") for record in runs])


def _bad(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    return mean_of([float(is_bad(r)) for r in task.runs_of(optimizer, seeds)])


def _sensitivity(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    """``S / (initial loss - best loss of any)``, mean over batch sizes.

    Every rate of the sweep must have a loss: a mean over fewer compares other rates.
    Batch sizes at which nobody learned are left out.
    """
    found = []
    for size in task.batch_sizes:
        losses = task.losses(optimizer, size, seeds)
        best = task.best_loss_of_any(size, seeds)
        initial = task.initial_loss(size, seeds)
        if len(losses) < max(len(task.learning_rates), 2):
            return None
        if best is None or initial is None or not is_gain(initial, best):
            continue
        lost = learning_rate_sensitivity(np.array(list(losses.values())), best)
        found.append(float(lost) / (initial - best))
    return mean_of(found)


def _drift(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    """Gap in decades between the ranges of good rates; the whole grid where one lacks.

    ``max(0, log10(highest lower end / lowest upper end))`` over the batch sizes at
    which anybody learned.
    """
    rates = task.learning_rates
    if len(task.batch_sizes) < 2 or len(rates) < 2:
        return None
    regions = []
    for size in task.batch_sizes:
        losses = task.losses(optimizer, size, seeds)
        initial = task.initial_loss(size, seeds)
        if len(losses) < len(rates) or initial is None:
            return None
        if not is_gain(initial, task.best_loss_of_any(size, seeds)):
            continue
        region = find_good_region(list(losses), list(losses.values()), initial)
        regions.append(region if is_gain(initial, min(losses.values())) else None)
    if len(regions) < 2:
        return None
    if any(region is None for region in regions):
        return math.log10(rates[-1] / rates[0])
    highest = max(region.low_rate for region in regions if region)
    lowest = min(region.high_rate for region in regions if region)
    return max(0.0, math.log10(highest / lowest))


def _state(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    runs = task.runs_of(optimizer, seeds)
    told = [r.state_bytes for r in runs if r.state_bytes is not None]
    held = max(told, default=task.state_bytes.get(optimizer))
    return None if held is None or not task.parameters else held / task.parameters


def _peak(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    return mean_of([task.peak_bytes.get((optimizer, number)) for number in seeds])


MEASURES: Mapping[str, Measure] = {
    "early area, default rate": Measure(
        "early area, default rate",
        _mean_over_sizes(early_area, "default"),
        "ratio",
        "training loss over the initial loss, averaged over the first fifth of the "
        "steps, at the rate that the class has if none is given",
    ),
    "early area, best rate": Measure(
        "early area, best rate",
        _mean_over_sizes(early_area, "best"),
        "ratio",
        "the same at the rate with the least validation loss, chosen for each "
        "optimizer and batch size",
    ),
    "steps to SGD's loss, default rate": Measure(
        "steps to SGD's loss, default rate",
        _steps_to_reference("default"),
        "ratio",
        "share of the steps until the training loss, a mean over a twentieth of them, "
        "is at most SGD's last one (same seed and batch size, each at its default "
        "rate); 200 % if never; only where SGD gains a tenth of the initial loss, "
        "since less is within the noise of batches",
        unit="share",
    ),
    "steps to SGD's loss, best rate": Measure(
        "steps to SGD's loss, best rate",
        _steps_to_reference("best"),
        "ratio",
        "the same with each at its best rate",
        unit="share",
    ),
    "diverged runs": Measure(
        "diverged runs",
        _diverged,
        "difference",
        "share of all runs, over rates and batch sizes, in which a loss became "
        "infinite or undefined",
        unit="share",
    ),
    "spikes, default rate": Measure(
        "spikes, default rate",
        _mean_over_sizes(count_spikes, "default"),
        "difference",
        "how often per run the training loss, a mean over a twentieth of the steps, "
        "rises by a tenth of the initial loss and a quarter of what had been gained",
    ),
    "spikes, best rate": Measure(
        "spikes, best rate",
        _mean_over_sizes(count_spikes, "best"),
        "difference",
        "the same at each optimizer's best rate",
    ),
    "bad runs": Measure(
        "bad runs",
        _bad,
        "difference",
        "share of runs that diverged or ended above their initial loss, on the tasks "
        "whose gradients explode",
        unit="share",
    ),
    "sensitivity": Measure(
        "sensitivity",
        _sensitivity,
        "ratio",
        "S, what a rate chosen blindly from the grid loses on average (Wortsman et al. "
        "2023), as a share of the improvement that the best of any optimizer reaches; "
        "where that is a tenth of the initial loss or more",
        unit="share",
    ),
    "batch drift": Measure(
        "batch drift",
        _drift,
        "difference",
        "decades by which the ranges of good rates (that miss at most 5 % of the "
        "improvement) of two batch sizes lie apart; 0 if one rate is good at all of "
        "them; the whole grid if an optimizer does not gain a tenth of the initial "
        "loss where another does",
    ),
    "state": Measure(
        "state",
        _state,
        "ratio",
        "bytes that the optimizer keeps per parameter",
    ),
    "peak": Measure(
        "peak",
        _peak,
        "ratio",
        "most memory that a process takes which trains a large model",
        unit="bytes",
    ),
}
"""By name."""
