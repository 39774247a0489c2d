"""The oracle of ``--strategy edges``: a search per optimizer and batch size."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable
from typing import Any

from keras_tuner.engine.trial import Trial, TrialStatus

from tuning.grid import Grid, Run
from tuning.records import RunRecord
from tuning.search.edge_search import Observed, Point, wanted_points
from tuning.search.oracle import (
    Group,
    SweepOracle,
    group_of,
    run_of,
    run_of_record,
    search_arguments,
    values_of,
)
from tuning.statistics.limits import LARGEST_LOSS
from tuning.statistics.seed_losses import judged_loss


@dataclasses.dataclass
class _Search:
    """The results of one optimizer at one batch size, and its runs under way."""

    losses: dict[Point, float | None] = dataclasses.field(default_factory=dict)
    initial_losses: dict[int, float] = dataclasses.field(default_factory=dict)
    under_way: set[Point] = dataclasses.field(default_factory=set)
    wanted: list[Point] | None = None


class EdgesOracle(SweepOracle):
    """Proposes the runs of a grid that show where the stable range ends.

    Args:
        grid: runs to choose from.
        records: runs that took place already.
    """

    def __init__(self, grid: Grid, records: Iterable[RunRecord] = ()) -> None:
        super().__init__(**search_arguments(grid), max_trials=len(grid))
        self.verbose = 0
        self._rates = sorted(grid.learning_rates)
        self._seeds = list(grid.seeds)
        self._places: dict[str | None, Group] = {}
        self._searches: dict[Group, _Search] = {}
        for run in grid.runs():
            self._searches.setdefault(group_of(run), _Search())
        for record in records:
            self.add_finished(record)
            self._note(record)

    def has_more(self) -> bool:
        """Whether some search is unfinished."""
        return any(self._to_do(s) or s.under_way for s in self._searches.values())

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next run, a pause until runs under way have ended, or the end.

        Args:
            trial_id: of the trial about to be made.
        """
        del trial_id
        group = self._next_group()
        if group is None:
            is_busy = any(search.under_way for search in self._searches.values())
            return {"status": TrialStatus.IDLE if is_busy else TrialStatus.STOPPED}
        search = self._searches[group]
        point = self._to_do(search)[0]
        search.under_way.add(point)
        self._places[self.asking] = group
        rate, seed = self._rates[point[0]], self._seeds[point[1]]
        run = Run(group[0], group[1], rate, seed)
        return {"status": TrialStatus.RUNNING, "values": values_of(run)}

    def finish(self, trial: Trial, record: RunRecord) -> None:
        """See `SweepOracle`; also update the search with the result."""
        super().finish(trial, record)
        run = run_of(trial)
        self._searches[group_of(run)].under_way.discard(self._point(run))
        self._note(record)

    def _next_group(self) -> Group | None:
        """The group that the worker trained last, if it has runs left; else another."""
        here = self._places.get(self.asking)
        if here is not None and self._to_do(self._searches[here]):
            return here
        open_groups = [g for g, search in self._searches.items() if self._to_do(search)]
        taken = {group for who, group in self._places.items() if who != self.asking}
        free = [group for group in open_groups if group not in taken]
        return next(iter(free or open_groups), None)

    def _to_do(self, search: _Search) -> list[Point]:
        if search.wanted is None:
            known = search.initial_losses.values()
            observed = Observed(
                rates=self._rates,
                seeds=len(self._seeds),
                losses=search.losses,
                initial_loss=statistics.fmean(known) if known else None,
            )
            search.wanted = wanted_points(observed)
        return [point for point in search.wanted if point not in search.under_way]

    def _note(self, record: RunRecord) -> None:
        run = run_of_record(record)
        search = self._searches[group_of(run)]
        search.losses[self._point(run)] = judged_loss(record)
        initial = record.initial_loss
        if initial is not None and abs(initial) <= LARGEST_LOSS:
            search.initial_losses[record.seed] = initial
        search.wanted = None

    def _point(self, run: Run) -> Point:
        return self._rates.index(run.learning_rate), self._seeds.index(run.seed)
