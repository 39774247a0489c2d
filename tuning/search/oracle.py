"""Oracles, which tell KerasTuner which run comes next.

KerasTuner's own `GridSearch` cannot continue an interrupted search, stops after three
diverged runs and knows no seeds. So the lab has its own oracles, made from the records
at every start. KerasTuner's project is written but never read, so damage to it does no
harm.
"""

from __future__ import annotations

import collections
import copy
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from tuning.grid import Grid, Run
from tuning.records import RunRecord
from tuning.search.edge_search import first_indices

OBJECTIVE = "best_val_loss"

EPOCHS = "tuner/epochs"
"""Key under which Hyperband stores a trial's number of epochs."""

GROWTH_BETWEEN_SAVES = 1.1
"""The state is written again when it has a tenth more entries. All writes together are
then about ten times as large as the last one, however long the sweep is."""

LEAST_RATES_FOR_COARSE_GRID = 4

Group = tuple[str, int]
"""Optimizer and batch size: runs that agree in both share a compiled function."""


class SweepOracle(keras_tuner.Oracle):
    """The base of all oracles of a sweep: records as trials, at constant cost for each.

    KerasTuner writes its whole state twice per trial and looks through all trials at
    the end of each. In large sweeps this takes longer than the trials themselves. Here
    the state is written less and less often, and once at the end. Consecutive failures
    are not counted, because a sweep goes on whether its runs fail or not.

    The class can also be a mixin before one of KerasTuner's own oracles.

    Attributes:
        asking: the worker that asks for the next run, while the run is being chosen.
    """

    asking: str | None = None
    _saved_trials: float = 0.0
    _known: Mapping[str, RunRecord] = {}

    def create_trial(self, tuner_id: str) -> Trial:
        """The next run as a trial, or a trial whose status says that there is none.

        Args:
            tuner_id: of the worker that is to train it.
        """
        self.asking = tuner_id
        try:
            return super().create_trial(tuner_id)
        finally:
            self.asking = None

    def save(self) -> None:
        """Write the state, if it has grown enough since the last time."""
        # Every trial saves at its start and at its end.
        size = len(self.trials) + len(self.end_order)
        if size >= self._saved_trials * GROWTH_BETWEEN_SAVES:
            self.save_now()

    def save_now(self) -> None:
        """Write the state."""
        self._saved_trials = len(self.trials) + len(self.end_order)
        super().save()

    def has_more(self) -> bool:
        """Whether there may be a run to propose, now or later."""
        return self.max_trials is None or len(self.trials) < self.max_trials

    def run_of(self, trial: Trial) -> Run:
        """The planned run that a trial stands for."""
        return run_of(trial)

    def known(self, run: Run) -> RunRecord | None:
        """The earlier record of a proposed run; ``None`` if there is none."""
        return self._known.get(run.run_id)

    def answer_from(self, records: Iterable[RunRecord]) -> None:
        """Answer proposals from records, instead of having them trained again."""
        self._known = {record.run_id: record for record in records}

    def add_finished(self, record: RunRecord) -> Trial:
        """Add a run that took place earlier as a trial that has ended."""
        width = len(str(self.max_trials))
        trial = Trial(
            hyperparameters=self.hyperparameters.copy(),
            trial_id=f"{len(self.trials):0{width}d}",
            status=TrialStatus.COMPLETED,
        )
        trial.hyperparameters.values = values_of(run_of_record(record))
        if record.status == "failed":
            trial.status = TrialStatus.FAILED
            trial.message = record.message
        else:
            trial.metrics.register(OBJECTIVE, direction="min")
            trial.metrics.update(OBJECTIVE, objective_value(record))
            self.score_trial(trial)
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self.end_order.append(trial.trial_id)
        return trial

    def finish(self, trial: Trial, record: RunRecord) -> None:
        """End a trial with the result of its run.

        Args:
            trial: as :meth:`create_trial` returned it.
            record: of its run.
        """
        self.update_trial(trial.trial_id, {OBJECTIVE: objective_value(record)})
        is_failed = record.status == "failed"
        trial.status = TrialStatus.FAILED if is_failed else TrialStatus.COMPLETED
        trial.message = record.message if is_failed else None
        self.end_trial(trial)

    def _check_consecutive_failures(self) -> None:
        """Do nothing: KerasTuner would look through all ended trials at each end.

        The method is private to KerasTuner, which offers no other way to skip it;
        `test_the_hook_that_counts_failures_is_still_there` fails if it moves.
        """


class GridOracle(SweepOracle):
    """Proposes every point of a grid that has not been run, each once.

    A coarse grid comes first: for every optimizer and batch size, learning rates about
    a decade apart with the first seed. So a report of a sweep that is under way shows
    all of them. Then come the other runs. The price is that an optimizer's function is
    compiled once for each of the two parts.

    Within a part, a worker gets the next run of the optimizer and batch size that it
    has just trained, because it has their compiled function. If they have no runs left,
    it gets an optimizer and batch size that no other worker trains; else those with the
    most runs left.

    Args:
        grid: the points.
        records: runs that took place already; each becomes a finished trial.
    """

    def __init__(self, grid: Grid, records: Iterable[RunRecord] = ()) -> None:
        super().__init__(**search_arguments(grid), max_trials=len(grid))
        self.verbose = 0  # the caller of the sweep shows its progress
        self.grid = grid
        done = {self.add_finished(record) and record.run_id for record in records}
        left = [run for run in grid.runs() if run.run_id not in done]
        coarse = coarse_runs(grid)
        self._left = _by_group([run for run in left if run in coarse])
        self._later = _by_group([run for run in left if run not in coarse])
        self._places: dict[str | None, Group] = {}

    def has_more(self) -> bool:
        """Whether some run of the grid has not been proposed."""
        return bool(self._left or self._later)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next run, or the end of the search.

        Args:
            trial_id: of the trial about to be made; not used.
        """
        del trial_id
        if not self._left:
            self._left, self._later = self._later, {}
        if not self._left:
            return {"status": TrialStatus.STOPPED}
        group = self._next_group()
        self._places[self.asking] = group
        runs = self._left[group]
        run = runs.popleft()
        if not runs:
            del self._left[group]
        return {"status": TrialStatus.RUNNING, "values": values_of(run)}

    def _next_group(self) -> Group:
        here = self._places.get(self.asking)
        if here in self._left:
            return here
        taken = {group for who, group in self._places.items() if who != self.asking}
        free = next((group for group in self._left if group not in taken), None)
        return free or max(self._left, key=lambda group: len(self._left[group]))


def coarse_runs(grid: Grid) -> frozenset[Run]:
    """The runs of a grid that are trained before all others; see `GridOracle`.

    None, if there are so few learning rates that this would not come much earlier.
    """
    rates = sorted(grid.learning_rates)
    if len(rates) < LEAST_RATES_FOR_COARSE_GRID:
        return frozenset()
    spread = {rates[i] for i in first_indices(rates)}
    return frozenset(
        run
        for run in grid.runs()
        if run.learning_rate in spread and run.seed == grid.seeds[0]
    )


def _by_group(runs: Iterable[Run]) -> dict[Group, collections.deque[Run]]:
    groups: dict[Group, collections.deque[Run]] = {}
    for run in runs:
        groups.setdefault(group_of(run), collections.deque()).append(run)
    return groups


class SharedSpace(keras_tuner.HyperParameters):
    """A search space whose copies share everything but their values.

    Every trial holds a copy of the space. KerasTuner copies all of it, including the
    lists of choices; with thousands of trials these copies are most of a driver's
    memory. A sweep's space never changes, so sharing it is safe.
    """

    def copy(self) -> SharedSpace:
        """The same space with values of its own."""
        shared = copy.copy(self)
        shared.values = dict(self.values)
        return shared


def search_arguments(grid: Grid) -> dict[str, Any]:
    """Arguments of KerasTuner's oracles that are the same for every sweep of a grid."""
    return {
        "objective": keras_tuner.Objective(OBJECTIVE, "min"),
        "hyperparameters": _space(grid),
        "allow_new_entries": False,
        "tune_new_entries": False,
    }


def run_of(trial: Trial) -> Run:
    """The run that a trial's values name."""
    values = trial.hyperparameters.values
    return Run(
        values["optimizer"],
        values["batch_size"],
        values["learning_rate"],
        values["seed"],
    )


def run_of_record(record: RunRecord) -> Run:
    """The planned run that a record belongs to."""
    return Run(record.optimizer, record.batch_size, record.learning_rate, record.seed)


def group_of(run: Run) -> Group:
    """The runs that share a compiled function with this one."""
    return (run.optimizer, run.batch_size)


def values_of(run: Run) -> dict[str, Any]:
    """The run as values of the search space."""
    return {
        "optimizer": run.optimizer,
        "batch_size": run.batch_size,
        "learning_rate": run.learning_rate,
        "seed": run.seed,
    }


def objective_value(record: RunRecord) -> float:
    """The number by which KerasTuner ranks a run; lower is better, always finite.

    A diverged run counts as one that learned nothing. KerasTuner would take NaN for an
    error, and its JSON cannot hold infinity.
    """
    wanted = record.best_val_loss if record.status == "ok" else record.initial_loss
    if wanted is None or not math.isfinite(wanted):
        return sys.float_info.max
    return wanted


def _space(grid: Grid) -> keras_tuner.HyperParameters:
    space = SharedSpace()
    space.Choice("optimizer", list(grid.optimizers))
    space.Choice("batch_size", list(grid.batch_sizes))
    space.Choice("learning_rate", list(grid.learning_rates))
    space.Choice("seed", list(grid.seeds))
    return space
