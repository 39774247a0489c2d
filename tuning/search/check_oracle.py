"""The oracle of a check: the runs that its verdict and its card need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from keras_tuner.engine.trial import Trial, TrialStatus

from tuning.grid import Grid, Run
from tuning.records import RunRecord
from tuning.search.check_search import Group, Point, space_of, wanted_runs
from tuning.search.oracle import (
    SweepOracle,
    group_of,
    run_of,
    run_of_record,
    search_arguments,
    values_of,
)
from tuning.setting import CheckPlan
from tuning.statistics.failing_rates import collect


class CheckOracle(SweepOracle):
    """Proposes the runs of a check, the most important first, within a budget.

    Args:
        grid: runs to choose from.
        check: the setting and the rule.
        records: runs that took place already.
        max_runs: the most runs, earlier ones included; ``None``: no limit.
        max_minutes: no run begins later than this, where the seconds of earlier runs
            count; ``None``: no limit.
        clock: returns seconds; tests pass their own.
        workers: how many runs are trained at the same time.
    """

    def __init__(
        self,
        grid: Grid,
        check: CheckPlan,
        records: Iterable[RunRecord] = (),
        max_runs: int | None = None,
        max_minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        workers: int = 1,
    ) -> None:
        most = min(max_runs or len(grid), len(grid))
        super().__init__(**search_arguments(grid), max_trials=most)
        self.verbose = 0
        self._space = space_of(grid, check)
        self._rates = sorted(grid.learning_rates)
        self._seeds = list(grid.seeds)
        self._records: dict[Group, list[RunRecord]] = {
            group: [] for group in (self._space.own, *self._space.others)
        }
        self._results = {group: self._collect(group) for group in self._records}
        self._under_way: set[tuple[Group, Point]] = set()
        spent = 0.0
        for record in records:
            spent += record.seconds / workers
            self.add_finished(record)
            self._note(record)
        self._clock = clock
        self._end = None if max_minutes is None else clock() + 60 * max_minutes - spent

    def has_more(self) -> bool:
        """Whether a run is wanted, or one under way may make others wanted."""
        if not self._has_budget():
            return False
        return bool(self._under_way) or next(self._wanted(), None) is not None

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next run, a pause until runs under way have ended, or the end.

        Args:
            trial_id: of the trial about to be made.
        """
        del trial_id
        found = next(self._wanted(), None) if self._has_budget() else None
        if found is None:
            is_busy = bool(self._under_way) and self._has_budget()
            return {"status": TrialStatus.IDLE if is_busy else TrialStatus.STOPPED}
        group, point = found
        self._under_way.add(found)
        run = Run(*group, self._rates[point[0]], self._seeds[point[1]])
        return {"status": TrialStatus.RUNNING, "values": values_of(run)}

    def finish(self, trial: Trial, record: RunRecord) -> None:
        """See `SweepOracle`; also update the check with the result."""
        super().finish(trial, record)
        run = run_of(trial)
        self._under_way.discard((group_of(run), self._point(run)))
        self._note(record)

    def _wanted(self) -> Iterator[tuple[Group, Point]]:
        for _, group, point in wanted_runs(self._space, self._results):
            if (group, point) not in self._under_way:
                yield group, point

    def _has_budget(self) -> bool:
        has_time = self._end is None or self._clock() < self._end
        return has_time and len(self.trials) < (self.max_trials or 0)

    def _note(self, record: RunRecord) -> None:
        group = group_of(run_of_record(record))
        if group in self._records:
            self._records[group].append(record)
            self._results[group] = self._collect(group)

    def _collect(self, group: Group) -> Any:
        return collect(self._records[group], self._rates, self._seeds)

    def _point(self, run: Run) -> Point:
        return self._rates.index(run.learning_rate), self._seeds.index(run.seed)


def left_out(
    grid: Grid, check: CheckPlan, records: Iterable[RunRecord]
) -> tuple[str, ...]:
    """What a check would still look at, if it had a larger budget."""
    space = space_of(grid, check)
    by_group: dict[Group, list[RunRecord]] = {
        group: [] for group in (space.own, *space.others)
    }
    for record in records:
        by_group.setdefault(group_of(run_of_record(record)), []).append(record)
    rates, seeds = sorted(grid.learning_rates), list(grid.seeds)
    results = {group: collect(some, rates, seeds) for group, some in by_group.items()}
    stages = (stage for stage, _, _ in wanted_runs(space, results))
    return tuple(dict.fromkeys(stages))
