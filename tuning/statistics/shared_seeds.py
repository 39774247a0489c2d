"""The runs by which optimizers are compared: those with seeds that all of them share.

A seed decides initial weights and data order, and so part of the loss. An optimizer
that was run with fewer seeds than another must not look better because of that. So in
every cell (learning rate, batch size) of the plan, only the seeds count that every
compared optimizer has there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tuning.records import RunRecord

Cell = tuple[float, int]


class Axes(NamedTuple):
    """The names and values of the plan."""

    optimizers: tuple[str, ...]
    learning_rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]


class SharedRuns(NamedTuple):
    """The runs from which figures are taken.

    Attributes:
        complete: optimizers that can be compared: they have a run in every cell of
            the plan, and share at least one seed with each other in each cell.
        records: the runs that count.
        unshared: runs of complete optimizers that are set aside, because another
            complete one has no run with their seed in the same cell.
    """

    complete: frozenset[str]
    records: tuple[RunRecord, ...]
    unshared: tuple[RunRecord, ...]


def share_seeds(judged: Sequence[RunRecord], axes: Axes) -> SharedRuns:
    """Find the complete optimizers, and leave out runs that only some of them have.

    Optimizers are taken in turn, the one with the most runs first. One that would
    leave a cell without any shared seed does not count as complete. Other optimizers
    may have no runs at learning rates outside the plan: there a seed counts if it is
    shared at any planned learning rate of the batch size. Incomplete optimizers keep
    all their runs.

    Args:
        judged: records that can be judged, of any optimizers.
        axes: the plan.
    """
    cells = [(rate, size) for rate in axes.learning_rates for size in axes.batch_sizes]
    own = {name: _seeds_by_cell(judged, name) for name in axes.optimizers}
    every_seed = {record.seed for record in judged}
    shared = dict.fromkeys(cells, every_seed)
    complete = []
    by_runs = sorted(
        axes.optimizers, key=lambda name: -sum(len(own[name][cell]) for cell in cells)
    )
    for name in by_runs:
        left = {cell: shared[cell] & own[name][cell] for cell in cells}
        if all(left.values()):
            complete.append(name)
            shared = left
    at_size: defaultdict[int, set[int]] = defaultdict(set)
    for (_, size), seeds in shared.items():
        at_size[size] |= seeds

    def counts(record: RunRecord) -> bool:
        cell = (record.learning_rate, record.batch_size)
        seeds = shared.get(cell, at_size.get(record.batch_size, every_seed))
        return record.optimizer not in complete or record.seed in seeds

    return SharedRuns(
        complete=frozenset(complete),
        records=tuple(record for record in judged if counts(record)),
        unshared=tuple(record for record in judged if not counts(record)),
    )


def _seeds_by_cell(
    judged: Sequence[RunRecord], optimizer: str
) -> defaultdict[Cell, set[int]]:
    seeds: defaultdict[Cell, set[int]] = defaultdict(set)
    for record in judged:
        if record.optimizer == optimizer:
            seeds[record.learning_rate, record.batch_size].add(record.seed)
    return seeds
