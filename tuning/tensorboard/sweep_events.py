"""Runs for TensorBoard: curves and the HParams page, written from records alone.

Every run has a directory below ``tensorboard/`` with its ``run_id`` as name. The
HParams page shows the last value of a metric, not the best one
(https://github.com/tensorflow/tensorboard/issues/4630). So the figures that it compares
are written as separate scalars, once per run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tuning.objectives import turned
from tuning.optimizer_names import parse_name
from tuning.records import RunRecord
from tuning.system.paths import path_inside
from tuning.tensorboard.event_file import (
    EVENT_FILES,
    is_finite,
    scalar_summary,
    write_events,
)

BEST, FINAL, SECONDS = "summary/best_", "summary/final_", "summary/seconds_per_step"
"""Tags of what is written once per run: the objective's best and last value, the time.

They begin with ``summary/``, so that the page Time Series shows the curves first.
`BEST` stands before other metrics, too: their value where the objective is best. This
is not the metric's own best value: it is not known whether higher or lower is better,
and users keep the weights of one epoch."""


def write_run(directory: Path, record: RunRecord) -> None:
    """Write a run's curves, its figures and its place in the grid.

    Writing a run again replaces its earlier events. Values that are not finite are left
    out, so a curve ends where the run diverged.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        record: the run.

    Raises:
        OSError: the directory cannot be written to.
        ValueError: the path of the run's key is outside of the directory.
    """
    from tensorboard.plugins.hparams import api as hparams
    from tensorboard.plugins.hparams import api_pb2, summary

    status = (
        api_pb2.STATUS_FAILURE if record.status == "failed" else api_pb2.STATUS_SUCCESS
    )
    start = hparams.hparams_pb(hparams_of(record), trial_id=setting_of(record))
    by_step: dict[int, dict[str, float]] = {}
    for tag, step, value in scalars(record):
        by_step.setdefault(step, {})[tag] = value
    curves = [(step, scalar_summary(by_step[step])) for step in sorted(by_step)]
    end = summary.session_end_pb(status)
    events = [(0, start), *curves, (0, end)]
    write_events(path_inside(directory, record.run_id), events)


def write_missing(directory: Path, records: Iterable[RunRecord]) -> None:
    """Write the events of every run that has none.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        records: of the runs that took place.
    """
    for record in records:
        if not is_written(directory, record):
            write_run(directory, record)


def is_written(directory: Path, record: RunRecord) -> bool:
    """Whether the run's directory already holds events."""
    return any(path_inside(directory, record.run_id).glob(EVENT_FILES))


def scalars(record: RunRecord) -> Iterator[tuple[str, int, float]]:
    """Every ``(tag, step, value)`` of a run; the step of a curve is its epoch.

    Epochs count from 1; step 0 of the objective is its value before training.
    """
    if is_finite(record.initial_loss):
        initial = turned(record.initial_loss, record.direction)
        yield f"epoch_{record.objective}", 0, initial
    for name, values in record.history.items():
        for epoch, value in enumerate(values, start=1):
            if is_finite(value):
                yield f"epoch_{name}", epoch, value
    for prefix, loss in (
        (BEST, record.best_val_loss),
        (FINAL, record.final_val_loss),
    ):
        if is_finite(loss):
            yield f"{prefix}{record.objective}", 0, turned(loss, record.direction)
    if is_finite(record.seconds_per_step):
        yield SECONDS, 0, record.seconds_per_step
    for name, value in _metrics_at_best_loss(record).items():
        if is_finite(value):
            yield f"{BEST}{name}", 0, value


def setting_of(record: RunRecord) -> str:
    """The group that the page HParams shows as one row: the same but for the seed."""
    return re.sub(r"/seed=\d+", "", record.run_id)


def hparams_of(record: RunRecord) -> dict[str, bool | float | str]:
    """The columns of the page HParams that say what was trained.

    The batch size is a text, because the page shows the number 64 as ``64.000``.
    """
    return {
        "optimizer": record.optimizer,
        "learning_rate": record.learning_rate,
        "log10_learning_rate": round(math.log10(record.learning_rate), 6),
        "batch_size": str(record.batch_size),
        **optimizer_arguments(record.optimizer),
    }


def optimizer_arguments(name: str) -> dict[str, bool | float | str]:
    """The arguments in an optimizer's name, as columns of the HParams page.

    ``keras.SGD(momentum=0.9)`` has ``optimizer.momentum``, the number 0.9.
    """
    try:
        arguments = parse_name(name).arguments
    except ValueError:  # a name that a Python program chose for its own optimizer
        return {}
    return {f"optimizer.{key}": _as_hparam(value) for key, value in arguments.items()}


def _as_hparam(value: Any) -> bool | float | str:
    if isinstance(value, bool):
        return value
    return float(value) if isinstance(value, (int, float)) else str(value)


def other_metrics(record: RunRecord) -> list[str]:
    """Names in the record's history of the metrics that stand beside the objective.

    Those on the validation data where the objective is one of them.
    """
    prefix = "val_" if record.objective.startswith("val_") else ""
    return [
        name
        for name in record.history
        if name.startswith(prefix) and name not in ("loss", record.objective)
    ]


def _metrics_at_best_loss(record: RunRecord) -> dict[str, float | None]:
    history = record.history
    losses = [
        (turned(loss, record.direction), epoch)
        for epoch, loss in enumerate(history.get(record.objective, ()))
        if is_finite(loss)
    ]
    if not losses:
        return {}
    _, best = min(losses)
    return {
        name: history[name][best]
        for name in other_metrics(record)
        if best < len(history[name])
    }
