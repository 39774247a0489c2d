"""A sweep for TensorBoard: curves and the HParams page, written from records alone.

Every run has a directory below ``tensorboard/`` that its ``run_id`` names. The
HParams page shows the last value of a metric, not the best one
(https://github.com/tensorflow/tensorboard/issues/4630), so the figures that it
compares are written as scalars of their own, once per run.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import time
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
"""Scalars written once per run -> how the HParams page calls them."""

EVENT_FILES = "events.out.tfevents.*"

PARTIAL_EVENTS = ".events.partial"
"""Where events are written until they are whole; no pattern of TensorBoard's fits."""

REPORT_RUN = "report"
"""Directory, and so the run in TensorBoard, of what is told of the whole sweep."""

STEPS_PER_DECADE = 100
"""A curve over learning rates needs whole steps: 100 times the rate's log10."""


LARGEST = float(np.finfo(np.float32).max)

BEST = "best_"
"""Before the name of a validation metric: what it was at the best validation loss.

Not its own best, because nobody tells which way a metric is good, and because the
weights that one keeps are those of one epoch."""


def write_experiment(directory: Path, grid: Grid, metrics: Sequence[str] = ()) -> None:
    """Tell the pages HParams and Custom Scalars what the sweep has to show.

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
    curves = [(step, _scalar_summary(by_step[step])) for step in sorted(by_step)]
    end = summary.session_end_pb(status)
    events = [(0, start), *curves, (0, end)]
    _write_events(path_inside(directory, record.run_id), events)


def write_report_run(
    directory: Path,
    verdict: str,
    images: Mapping[str, np.ndarray],
    losses: Mapping[str, Mapping[float, float]],
) -> None:
    """Write what the report says of the whole sweep, in place of an earlier one.

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
    import tensorflow as tf

    with _fresh_writer(path_inside(directory, REPORT_RUN)):
        tf.summary.text("verdict", verdict, step=0)
        for name, image in images.items():
            tf.summary.image(f"loss/{name}", image[None], step=0)
        for name, curve in losses.items():
            for rate, loss in sorted(curve.items()):
                if not _is_finite(loss):
                    continue
                step = round(STEPS_PER_DECADE * math.log10(rate))
                tf.summary.scalar(f"loss_by_rate/{name}", loss, step=step)


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


def _scalar_summary(values: Mapping[str, float]) -> Any:
    """What ``tf.summary.scalar`` writes for each of these, all in one message.

    That function runs operations, 0.2 ms for each value: for small models, writing a
    run took a third of the time of training it.
    """
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2
    from tensorboard.plugins.scalar import metadata

    described = metadata.create_summary_metadata(display_name=None, description=None)
    summary = summary_pb2.Summary()
    for tag, value in values.items():
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[value])
        summary.value.add(tag=tag, metadata=described, tensor=tensor)
    return summary


def _write_events(directory: Path, summaries: Iterable[tuple[int, Any]]) -> None:
    """Write summaries with their steps, into the directory emptied of earlier events.

    Source:
        The form of the file, its first event included:
        https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
    """
    import tensorflow as tf
    from tensorboard.compat.proto import event_pb2, summary_pb2

    directory.mkdir(parents=True, exist_ok=True)
    now = time.time()
    name = f"events.out.tfevents.{int(now)}.{platform.node()}.{os.getpid()}.v2"
    partial = directory / PARTIAL_EVENTS
    partial.unlink(missing_ok=True)
    with _errors_of_python(directory):
        with tf.io.TFRecordWriter(str(partial)) as writer:
            first = event_pb2.Event(wall_time=now, file_version="brain.Event:2")
            writer.write(first.SerializeToString())
            for step, summary in summaries:
                event = event_pb2.Event(wall_time=now, step=step)
                # Plugins make messages of TensorFlow's class, which has the same form.
                event.summary.CopyFrom(
                    summary_pb2.Summary.FromString(summary.SerializeToString())
                )
                writer.write(event.SerializeToString())
        # Earlier events stay until the new ones are there whole.
        _remove_events(directory)
        os.replace(partial, directory / name)


def _remove_events(directory: Path) -> None:
    for path in directory.glob(EVENT_FILES):
        path.unlink()


@contextlib.contextmanager
def _fresh_writer(directory: Path) -> Iterator[None]:
    """Make a writer the default one, into the directory emptied of earlier events."""
    import tensorflow as tf

    directory.mkdir(parents=True, exist_ok=True)
    _remove_events(directory)
    with _errors_of_python(directory):
        writer = tf.summary.create_file_writer(str(directory))
        try:
            with writer.as_default(), tf.summary.record_if(True):
                yield
        finally:
            writer.close()


@contextlib.contextmanager
def _errors_of_python(directory: Path) -> Iterator[None]:
    """Raise what TensorFlow raises at a full disk as Python does.

    Raises:
        OSError: something could not be written.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(
            f"{show_path(directory)} cannot be written to: {explain(error)}."
        ) from error
