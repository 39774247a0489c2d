"""A sweep's configuration for TensorBoard: what the page HParams lists, and charts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tuning.grid import Grid
from tuning.objectives import name_of, short_name_of
from tuning.records import RunRecord
from tuning.tensorboard.event_file import EVENT_FILES, write_events
from tuning.tensorboard.report_events import STEPS_PER_DECADE
from tuning.tensorboard.sweep_events import (
    BEST,
    FINAL,
    SECONDS,
    optimizer_arguments,
    other_metrics,
)


class Experiment:
    """The configuration of a sweep, written again when a run brings new metrics.

    Which metrics a training logs may be known only after its first run.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        grid: gives the values of each axis.
        metrics: those that are known beforehand, such as ``val_accuracy``.
        objective: by which runs are judged; ``None`` leaves that to the first run.
    """

    def __init__(
        self,
        directory: Path,
        grid: Grid,
        metrics: Iterable[str] = (),
        objective: str | None = None,
    ) -> None:
        self._directory = directory
        self._grid = grid
        self._metrics = list(dict.fromkeys(metrics))
        self._objective = objective or "val_loss"

    def write_missing(self) -> None:
        """Write the configuration if there is none."""
        if not any(self._directory.glob(EVENT_FILES)):
            self._write()

    def add(self, record: RunRecord) -> None:
        """Take up what a run has logged."""
        if record.status == "failed":
            return
        new = [name for name in other_metrics(record) if name not in self._metrics]
        if new or record.objective != self._objective:
            self._metrics += new
            self._objective = record.objective
            self._write()

    def _write(self) -> None:
        write_experiment(self._directory, self._grid, self._metrics, self._objective)


def write_experiment(
    directory: Path,
    grid: Grid,
    metrics: Sequence[str] = (),
    objective: str = "val_loss",
) -> None:
    """Write the sweep's configuration for the pages HParams and Custom Scalars.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        grid: gives the values of each axis.
        metrics: those that runs log beside the objective, such as ``val_accuracy``.
        objective: by which runs are judged.
    """
    from tensorboard.plugins.custom_scalar import summary as custom_scalar
    from tensorboard.plugins.hparams import api as hparams

    axes = {
        "optimizer": grid.optimizers,
        "learning_rate": grid.learning_rates,
        "batch_size": [str(size) for size in grid.batch_sizes],
    }
    arguments = dict.fromkeys(
        argument for name in grid.optimizers for argument in optimizer_arguments(name)
    )
    config = hparams.hparams_config_pb(
        hparams=[
            *(
                hparams.HParam(n, hparams.Discrete(values))
                for n, values in axes.items()
            ),
            hparams.HParam("log10_learning_rate"),
            *(hparams.HParam(name) for name in arguments),
        ],
        metrics=[
            hparams.Metric(tag, display_name=name)
            for tag, name in _metric_names(metrics, objective).items()
        ],
    )
    layout = custom_scalar.pb(_chart_layout(grid, objective))
    write_events(directory, [(0, config), (0, layout)])


def _metric_names(metrics: Sequence[str], objective: str) -> dict[str, str]:
    """Tags of the scalars that are written once per run -> their names on the page."""
    name, short = name_of(objective), short_name_of(objective)
    return {
        f"{BEST}{objective}": f"best {name}",
        f"{FINAL}{objective}": f"final {name}",
        SECONDS: "seconds per step",
        **{
            f"{BEST}{metric}": f"{metric.removeprefix('val_')} at the best {short}"
            for metric in metrics
            if metric != objective
        },
    }


def _chart_layout(grid: Grid, objective: str) -> Any:
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
        chart(f"{name_of(quantity)} by epoch", f"^epoch_{re.escape(quantity)}$")
        for quantity in dict.fromkeys([objective, "val_loss", "loss"])
    ]
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="Loss against learning rate", chart=by_rate),
            layout_pb2.Category(title="Every run", chart=by_epoch),
        ]
    )
