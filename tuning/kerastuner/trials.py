"""Records of a sweep as trials of KerasTuner: one trial per setting, not per run.

A setting is an optimizer, a learning rate and a batch size. Its seeds are what
KerasTuner calls executions: the score of a trial is the mean over them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from tuning.kerastuner.building import HyperBuild
from tuning.objectives import turned
from tuning.records import RunRecord
from tuning.sweep.progress import Progress


class SettingOracle(keras_tuner.Oracle):
    """Holds the trials of a sweep, and proposes none: the sweep chooses its runs.

    Args:
        objective: by which the trials are ranked.
    """

    def __init__(self, objective: keras_tuner.Objective) -> None:
        super().__init__(objective=objective)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See KerasTuner; there is nothing to propose."""
        del trial_id
        return {"status": TrialStatus.STOPPED}

    def replace_trials(self, trials: Iterable[Trial]) -> None:
        """Hold these trials in place of the earlier ones."""
        self.trials = {trial.trial_id: trial for trial in trials}
        self.start_order = list(self.trials)
        self.end_order = list(self.trials)


class Setting(NamedTuple):
    """What the seeds of a trial have in common."""

    optimizer: str
    batch_size: int
    learning_rate: float

    @property
    def trial_id(self) -> str:
        """The setting as text."""
        return (
            f"{self.optimizer}, batch size {self.batch_size}, "
            f"learning rate {self.learning_rate:.6g}"
        )


def group_by_setting(records: Iterable[RunRecord]) -> dict[Setting, list[RunRecord]]:
    """The records of each setting; those with most epochs, where these differ."""
    groups: dict[Setting, list[RunRecord]] = {}
    for r in records:
        setting = Setting(r.optimizer, r.batch_size, r.learning_rate)
        groups.setdefault(setting, []).append(r)
    return {
        setting: [r for r in some if r.epochs == max(one.epochs for one in some)]
        for setting, some in groups.items()
    }


def mean_loss(records: Iterable[RunRecord]) -> float | None:
    """The mean over seeds of the loss of the best epoch, less of which is better.

    A run that diverged counts as one that learned nothing, with its initial loss.
    Runs that failed do not count; ``None`` if all did.

    Returns:
        Infinity if a run diverged before its objective was first known.
    """
    losses = [
        r.best_val_loss if r.status == "ok" else r.initial_loss
        for r in records
        if r.status != "failed"
    ]
    known = [loss for loss in losses if loss is not None]
    if len(known) < len(losses):
        return math.inf
    return statistics.fmean(known) if known else None


def best_of(records: Iterable[RunRecord]) -> RunRecord | None:
    """The run with the best epoch; ``None`` without any that trained to its end."""
    ended = [(r.best_val_loss, r.seed, r) for r in records if r.status == "ok"]
    return min((one for one in ended if one[0] is not None), default=(None,))[-1]


def describe_progress(progress: Progress) -> str:
    """One line about a run that has ended."""
    r = progress.record
    if r is None:
        return ""
    setting = Setting(r.optimizer, r.batch_size, r.learning_rate)
    values = [v for v in r.history.get(r.objective, []) if v is not None]
    result = f"{r.objective} {values[-1]:.4g}" if r.status == "ok" and values else ""
    return (
        f"[{progress.finished}/{progress.total}] {setting.trial_id}, seed {r.seed}: "
        f"{result or r.status}{r.message and f' ({r.message})'}"
    )


def make_trial(
    setting: Setting,
    records: list[RunRecord],
    objective: keras_tuner.Objective,
    hyperparameters: keras_tuner.HyperParameters,
) -> Trial:
    """The trial of a setting.

    Args:
        setting: of the records.
        records: of its seeds.
        objective: of the sweep.
        hyperparameters: with the trial's values.
    """
    loss = mean_loss(records)
    failed = [record for record in records if record.status == "failed"]
    trial = Trial(
        hyperparameters=hyperparameters,
        trial_id=setting.trial_id,
        status=TrialStatus.FAILED if loss is None else TrialStatus.COMPLETED,
        message=failed[0].message if failed else None,
    )
    if loss is not None:
        score = turned(loss, objective.direction)
        trial.metrics.register(objective.name, direction=objective.direction)
        trial.metrics.update(objective.name, score)
        trial.score = score
        best = best_of(records)
        if best is not None:
            epochs = best.history.get(best.objective, [])
            choose = max if objective.direction == "max" else min
            known = [value for value in epochs if value is not None]
            trial.best_step = epochs.index(choose(known)) if known else 0
    return trial


def space_of(
    build: HyperBuild,
    space: keras_tuner.HyperParameters,
    names: Mapping[str, str],
    axes: Mapping[str, Iterable[Any]],
) -> keras_tuner.HyperParameters:
    """What is swept, and what is fixed, for ``search_space_summary``.

    Args:
        build: says which hyperparameters the run sets.
        space: as the user's code defines it.
        names: of the axes, see `tuning.kerastuner.axes.axis_names`.
        axes: their values.
    """
    shown = keras_tuner.HyperParameters()
    claimed = {"learning_rate": build.learning_rate, "batch_size": build.batch_size}
    for axis, values in axes.items():
        shown.Choice(claimed.get(axis) or names[axis], list(values))
    for hp in space.space:
        if hp.name in build.claimed:
            continue
        if hp.conditions:
            shown.merge([hp])
        else:
            shown.Fixed(hp.name, space.values[hp.name])
    return shown
