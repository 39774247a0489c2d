"""A sweep for TensorBoard: curves and the HParams page, written from records alone.

Every run has a directory below ``tensorboard/`` with its ``run_id`` as name. The
HParams page shows the last value of a metric, not the best one
(https://github.com/tensorflow/tensorboard/issues/4630). So the figures that it compares
are written as separate scalars, once per run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.grid import Grid
from tuning.records import RunRecord
from tuning.system.paths import path_inside
from tuning.tensorboard.event_file import (
    EVENT_FILES,
    is_finite,
    scalar_summary,
    write_events,
)
from tuning.tensorboard.report_events import STEPS_PER_DECADE

SUMMARY_METRICS = {
    "best_val_loss": "best validation loss",
    "final_val_loss": "final validation loss",
    "seconds_per_step": "seconds per step",
}
"""Scalars written once per run -> their names on the HParams page."""

BEST = "best_"
"""Prefix of a validation metric: its value at the best validation loss.

This is not the metric's own best value: it is not known whether higher or lower is
better, and users keep the weights of one epoch."""


def write_experiment(directory: Path, grid: Grid, metrics: Sequence[str] = ()) -> None:
    """Write the sweep's configuration for the pages HParams and Custom Scalars.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        grid: gives the values of each axis.
        metrics: names of the workload's metrics.
    """
    from tensorboard.plugins.custom_scalar import summary as custom_scalar
    from tensorboard.plugins.hparams import api as hparams

    axes = {
        "optimizer": grid.optimizers,
        "learning_rate": grid.learning_rates,
        "batch_size": grid.batch_sizes,
        "seed": grid.seeds,
    }
    config = hparams.hparams_config_pb(
        hparams=[
            hparams.HParam(name, hparams.Discrete(values))
            for name, values in axes.items()
        ],
        metrics=[
            hparams.Metric(tag, display_name=name)
            for tag, name in (SUMMARY_METRICS | _best_metrics(metrics)).items()
        ],
    )
    layout = custom_scalar.pb(_chart_layout(grid))
    write_events(directory, [(0, config), (0, layout)])


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
    start = hparams.hparams_pb(
        {
            "optimizer": record.optimizer,
            "learning_rate": record.learning_rate,
            "batch_size": record.batch_size,
            "seed": record.seed,
        },
        trial_id=record.run_id,
    )
    by_step: dict[int, dict[str, float]] = {}
    for tag, step, value in scalars(record):
        by_step.setdefault(step, {})[tag] = value
    curves = [(step, scalar_summary(by_step[step])) for step in sorted(by_step)]
    end = summary.session_end_pb(status)
    events = [(0, start), *curves, (0, end)]
    write_events(path_inside(directory, record.run_id), events)


def write_missing(
    directory: Path,
    grid: Grid,
    records: Iterable[RunRecord],
    metrics: Sequence[str] = (),
) -> None:
    """Write the missing events: of the experiment, and of every run without events.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        grid: gives the values of each axis.
        records: of the runs that took place.
        metrics: names of the workload's metrics.
    """
    if not any(directory.glob(EVENT_FILES)):
        write_experiment(directory, grid, metrics)
    for record in records:
        if not is_written(directory, record):
            write_run(directory, record)


def is_written(directory: Path, record: RunRecord) -> bool:
    """Whether the run's directory already holds events."""
    return any(path_inside(directory, record.run_id).glob(EVENT_FILES))


def scalars(record: RunRecord) -> Iterator[tuple[str, int, float]]:
    """Every ``(tag, step, value)`` of a run; the step of a curve is its epoch.

    Epochs count from 1; step 0 of ``epoch_val_loss`` is the loss before training.
    """
    if is_finite(record.initial_loss):
        yield "epoch_val_loss", 0, record.initial_loss
    for name, values in record.history.items():
        for epoch, value in enumerate(values, start=1):
            if is_finite(value):
                yield f"epoch_{name}", epoch, value
    for tag in SUMMARY_METRICS:
        value = getattr(record, tag)
        if is_finite(value):
            yield tag, 0, value
    for name, value in _metrics_at_best_loss(record.history).items():
        if is_finite(value):
            yield f"{BEST}{name}", 0, value


def _best_metrics(names: Sequence[str]) -> dict[str, str]:
    return {f"{BEST}val_{name}": f"{name} at the best loss" for name in names}


def _metrics_at_best_loss(
    history: Mapping[str, Sequence[float | None]],
) -> dict[str, float | None]:
    losses = [
        (loss, epoch)
        for epoch, loss in enumerate(history.get("val_loss", ()))
        if is_finite(loss)
    ]
    if not losses:
        return {}
    _, best = min(losses)
    return {
        name: values[best]
        for name, values in history.items()
        if name.startswith("val_") and name != "val_loss" and best < len(values)
    }


def _chart_layout(grid: Grid) -> Any:
    """Charts with several curves each: of all runs, or of all optimizers."""
    from tensorboard.plugins.custom_scalar import layout_pb2

    def chart(title: str, tag: str) -> Any:
        lines = layout_pb2.MultilineChartContent(tag=[tag])
        return layout_pb2.Chart(title=title, multiline=lines)

    by_rate = [
        chart(
            f"batch size {size}: loss by {STEPS_PER_DECADE} log10(learning rate)",
            f"^loss_by_rate/batch={size}/",
        )
        for size in grid.batch_sizes
    ]
    by_epoch = [
        chart("validation loss by epoch", "^epoch_val_loss$"),
        chart("training loss by epoch", "^epoch_loss$"),
    ]
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="Loss against learning rate", chart=by_rate),
            layout_pb2.Category(title="Every run", chart=by_epoch),
        ]
    )
