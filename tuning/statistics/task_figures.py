"""Figures of one optimizer on one workload; lower is better in all of them.

A figure is taken over drawn seeds, so that the same function computes the value itself
(every seed once) and its bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tuning.records import RunRecord
from tuning.statistics.batch_overlap import gap_between
from tuning.statistics.curves import find_good_region
from tuning.statistics.means import mean_or_none
from tuning.statistics.seed_losses import is_bad, learning_rate_sensitivity
from tuning.statistics.task_runs import Figure, Seeds, TaskRuns
from tuning.statistics.training_curves import (
    final_training_loss,
    has_learned,
    is_gain,
    share_of_steps_until,
)

RateOf = Callable[[TaskRuns, str, int], float | None]
"""The learning rate at which an optimizer is measured, by workload and batch size."""


def mean_over_batch_sizes(
    measure: Callable[[RunRecord], float | None], rate_of: RateOf
) -> Figure:
    """The mean over batch sizes and seeds of a figure of one run.

    Args:
        measure: the figure of one run.
        rate_of: the learning rate of the runs that are measured.
    """

    def figure(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
        return mean_or_none(
            [
                measure(record)
                for size in task.batch_sizes
                for record in task.at(
                    optimizer, size, rate_of(task, optimizer, size), seeds
                )
            ]
        )

    return figure


def steps_to_reference(reference: str, rate_of: RateOf) -> Figure:
    """Share of the steps after which a run reaches the last loss of a reference.

    Runs are compared in pairs of the same batch size and seed. Pairs whose reference
    did not learn are left out.

    Args:
        reference: the optimizer whose last training loss is to be reached.
        rate_of: the learning rate of the runs that are measured, for both optimizers.
    """

    def figure(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
        shares = []
        for size in task.batch_sizes:
            rates = [rate_of(task, name, size) for name in (optimizer, reference)]
            for seed in seeds:
                runs = task.at(optimizer, size, rates[0], (seed,))
                references = task.at(reference, size, rates[1], (seed,))
                target = final_training_loss(references[0]) if references else None
                if runs and target is not None and has_learned(references[0]):
                    shares.append(share_of_steps_until(runs[0], target))
        return mean_or_none(shares)

    return figure


def diverged_share(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    """Share of the runs that diverged."""
    runs = task.runs_of(optimizer, seeds)
    return mean_or_none([float(record.status == "diverged") for record in runs])


def bad_share(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    """Share of the runs that diverged or ended above their initial loss."""
    runs = task.runs_of(optimizer, seeds)
    return mean_or_none([float(is_bad(record)) for record in runs])


def normalised_sensitivity(
    task: TaskRuns, optimizer: str, seeds: Seeds
) -> float | None:
    """``S / (initial loss - best loss of any optimizer)``, mean over batch sizes.

    Every learning rate of the sweep must have a loss, so that optimizers are compared
    over the same ones. Batch sizes at which no optimizer learned are left out.

    Source:
        S: Wortsman et al. 2023, arXiv:2309.14322, section 2.2.
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
    return mean_or_none(found)


def good_range_gap(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    """Decades between the good regions of two batch sizes; 0 if they overlap.

    `tuning.statistics.batch_overlap.gap_between` over the batch sizes at which any
    optimizer learned. If this optimizer did not learn at one of them, the gap
    is the width of the whole grid.
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
    return gap_between([region for region in regions if region])


def state_bytes_per_parameter(
    task: TaskRuns, optimizer: str, seeds: Seeds
) -> float | None:
    """Bytes that the optimizer keeps for each parameter of the model."""
    runs = task.runs_of(optimizer, seeds)
    known = [r.state_bytes for r in runs if r.state_bytes is not None]
    held = max(known, default=task.state_bytes.get(optimizer))
    return None if held is None or not task.parameters else held / task.parameters


def peak_bytes(task: TaskRuns, optimizer: str, seeds: Seeds) -> float | None:
    """Peak memory of a process that trains the workload."""
    return mean_or_none([task.peak_bytes.get((optimizer, number)) for number in seeds])
