"""Writes a sweep's pages of TensorBoard from its records.

Every run has a directory below ``tensorboard/`` that its ``run_id`` names. The
HParams page shows the last value of a metric, not the best one
(https://github.com/tensorflow/tensorboard/issues/4630), so the figures that it
compares are written as scalars of their own, once per run.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from tuning.grid import Grid
from tuning.records import RunRecord
from tuning.system.paths import explain, path_inside, show_path

SUMMARY_METRICS = {
    "best_val_loss": "best validation loss",
    "final_val_loss": "final validation loss",
    "seconds_per_step": "seconds per step",
}
"""Scalars written once per run -> their names on the HParams page."""

EVENT_FILES = "events.out.tfevents.*"
"""Names by which TensorBoard recognises event files."""

PARTIAL_EVENTS = ".events.partial"
"""File that events are written to until all are there; TensorBoard ignores the name."""

REPORT_RUN = "report"
"""Directory, and so the run in TensorBoard, of the pages about the whole sweep."""

STEPS_PER_DECADE = 100
"""A curve over learning rates needs whole steps: 100 times the rate's log10."""


LARGEST = float(np.finfo(np.float32).max)

BEST = "best_"
"""Prefix of a validation metric's value at the best validation loss.

Not the metric's own best value: it is unknown whether higher or lower is better, and
one keeps the weights of one epoch only."""


def write_experiment(directory: Path, grid: Grid, metrics: Sequence[str] = ()) -> None:
    """Write the layout of the pages HParams and Custom Scalars.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        grid: gives the values of each axis.
        metrics: names of the workload's metrics.
    """
    from tensorboard.plugins.hparams import api as hparams

    # Imported in functions, because the package imports Keras.
    from keras_adam.telemetry.event_file import layout_summary

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
    layout = layout_summary(_chart_layout(grid))
    _write_events(directory, [(0, config), (0, layout)])


def write_run(directory: Path, record: RunRecord) -> None:
    """Write a run's curves, its figures and its place in the grid.

    Writing a run again replaces what was there. A value that was not finite is left
    out: its curve ends where the run diverged.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        record: the run.

    Raises:
        OSError: the directory cannot be written to.
        ValueError: the run's key leads out of the directory.
    """
    from tensorboard.plugins.hparams import api as hparams
    from tensorboard.plugins.hparams import api_pb2, summary

    from keras_adam.telemetry.event_file import ScalarSummaries

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
    scalar_summaries = ScalarSummaries()
    curves = [
        (step, scalar_summaries.summary(by_step[step])) for step in sorted(by_step)
    ]
    end = summary.session_end_pb(status)
    events = [(0, start), *curves, (0, end)]
    _write_events(path_inside(directory, record.run_id), events)


def write_report_run(
    directory: Path,
    verdict: str,
    images: Mapping[str, np.ndarray],
    losses: Mapping[str, Mapping[float, float]],
) -> None:
    """Write the pages about the whole sweep, in place of earlier ones.

    The page *Text* shows the verdict, *Images* the heat maps, *Custom Scalars* the
    loss against the learning rate, one chart per batch size with all optimizers.

    Args:
        directory: the sweep's ``tensorboard`` directory.
        verdict: Markdown.
        images: by name; [height, width, 3] uint8.
        losses: by ``batch=B/optimizer``, the loss by learning rate.

    Raises:
        OSError: the directory cannot be written to.
        ValueError: a symbolic link leads out of it.
    """
    from tensorboard.plugins.text import summary_v2 as text

    from keras_adam.telemetry.event_file import ScalarSummaries

    scalar_summaries = ScalarSummaries()
    pages = [(0, text.text_pb("verdict", verdict))]
    pages += [
        (0, _image_summary(f"loss/{name}", image)) for name, image in images.items()
    ]
    for name, curve in losses.items():
        for rate, loss in sorted(curve.items()):
            if not _is_finite(loss):
                continue
            step = round(STEPS_PER_DECADE * math.log10(rate))
            values = {f"loss_by_rate/{name}": loss}
            pages.append((step, scalar_summaries.summary(values)))
    _write_events(path_inside(directory, REPORT_RUN), pages)


def write_missing(
    directory: Path,
    grid: Grid,
    records: Iterable[RunRecord],
    metrics: Sequence[str] = (),
) -> None:
    """Write what is not there: the experiment, and every run without events.

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
    """Whether the run's directory holds events already."""
    return any(path_inside(directory, record.run_id).glob(EVENT_FILES))


def scalars(record: RunRecord) -> Iterator[tuple[str, int, float]]:
    """Every ``(tag, step, value)`` of a run; the step of a curve is its epoch.

    Epochs count from 1; step 0 of ``epoch_val_loss`` is the loss before training.
    """
    if _is_finite(record.initial_loss):
        yield "epoch_val_loss", 0, record.initial_loss
    for name, values in record.history.items():
        for epoch, value in enumerate(values, start=1):
            if _is_finite(value):
                yield f"epoch_{name}", epoch, value
    for tag in SUMMARY_METRICS:
        value = getattr(record, tag)
        if _is_finite(value):
            yield tag, 0, value
    for name, value in _metrics_at_best_loss(record.history).items():
        if _is_finite(value):
            yield f"{BEST}{name}", 0, value


def _best_metrics(names: Sequence[str]) -> dict[str, str]:
    return {f"{BEST}val_{name}": f"{name} at the best loss" for name in names}


def _metrics_at_best_loss(
    history: Mapping[str, Sequence[float | None]],
) -> dict[str, float | None]:
    losses = [
        (loss, epoch)
        for epoch, loss in enumerate(history.get("val_loss", ()))
        if _is_finite(loss)
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
    """Charts that lay curves over each other: all runs' losses, all optimizers'."""
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


def _is_finite(value: float | None) -> TypeGuard[float]:
    """Whether TensorBoard can hold a number, which it does in float32."""
    return value is not None and abs(value) <= LARGEST


def _image_summary(tag: str, image: np.ndarray) -> Any:
    """The summary of one image, in the form of ``tf.summary.image``.

    Args:
        tag: its name.
        image: [height, width, 3] uint8.

    Source:
        https://github.com/tensorflow/tensorboard/blob/master/tensorboard/plugins/image/metadata.py
    """
    from PIL import Image
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.image import metadata
    from tensorboard.util import tensor_util

    png = io.BytesIO()
    Image.fromarray(image).save(png, "png")
    height, width, _ = image.shape
    content = [str(width).encode(), str(height).encode(), png.getvalue()]
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=tag,
        metadata=metadata.create_summary_metadata(display_name=None, description=None),
        tensor=tensor_util.make_tensor_proto(content, dtype=np.object_),
    )
    return summary


def _write_events(directory: Path, summaries: Iterable[tuple[int, Any]]) -> None:
    """Write summaries with their steps, in place of the directory's earlier events.

    Raises:
        OSError: the directory cannot be written to. Its earlier events are still there.
    """
    from keras_adam.telemetry import event_file

    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / PARTIAL_EVENTS
    partial.unlink(missing_ok=True)
    events = [event_file.summary_event(step, summary) for step, summary in summaries]
    try:
        event_file.append_events(partial, [event_file.first_event(), *events])
    except OSError as error:
        raise OSError(
            f"{show_path(directory)} cannot be written to: {explain(error)}."
        ) from error
    for path in directory.glob(EVENT_FILES):
        path.unlink()
    os.replace(partial, directory / event_file.new_file_name())
