"""Scalars in a file for TensorBoard, on every backend and without TensorFlow."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARK = ".adam_telemetry.v2"
"""How the names of these files end, so that they are told from other writers' files."""


class EventFile:
    """A file of scalars in a directory that TensorBoard shows as a run.

    Nothing is held open between two writings, and what was written is there for
    TensorBoard at once. Where writing fails, the next writing begins a new file: one
    that ends in half a record could not be read behind it.

    Args:
        directory: is made, with those above it.
        charts: by the last part of a tag, the title of the chart in which the page
            *Custom Scalars* lays all tags over each other that end so.

    Attributes:
        directory: as given.

    Raises:
        ImportError: TensorBoard is not installed.
        OSError: the directory cannot be written to.

    Source:
        The form of the file, its first event included:
        https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
    """

    def __init__(self, directory: Path, charts: Mapping[str, str]) -> None:
        check_tensorboard_is_installed()
        self.directory = directory
        self._charts = dict(charts)
        self._path: Path | None = None
        self._open()

    def _open(self) -> Path:
        """The file to append to; a new one where there is none that can be."""
        from tensorboard.compat.proto import summary_pb2

        if self._path is not None and self._path.exists():
            return self._path
        self._summary = summary_pb2.Summary()
        self._tags: tuple[str, ...] = ()
        self.directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a run in the order of their names.
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        name = f"{seconds}.{nanoseconds:09d}.{platform.node()}.{os.getpid()}"
        path = self.directory / f"events.out.tfevents.{name}{MARK}"
        path.touch(exist_ok=False)
        self._append(path, [_event(file_version="brain.Event:2")])
        return path

    def is_alone(self) -> bool:
        """Whether no other `EventFile` was ever written in the directory."""
        return all(path == self._path for path in self.directory.glob(f"*{MARK}"))

    def remove(self) -> None:
        """Delete the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def restart(self, step: int) -> None:
        """Say that training begins after a step: what was told of later ones is void.

        Where a run is continued from a checkpoint, its curves continue from there.

        Raises:
            OSError: the file cannot be written to.
        """
        from tensorboard.compat.proto import event_pb2

        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._append(self._open(), [_event(step=step + 1, session_log=start)])

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars of one step, by tag.

        Raises:
            OSError: the file cannot be written to, for example on a full disk.
        """
        path = self._open()
        events = []
        is_new = self._tags != tuple(values)
        if is_new:
            self._describe(tuple(values))
            charts = {
                end: title
                for end, title in self._charts.items()
                if any(tag.endswith(f"/{end}") for tag in values)
            }
            events.append(_event(summary=_layout(charts)))
        for value, number in zip(self._summary.value, values.values(), strict=True):
            value.tensor.float_val[0] = number
        self._append(path, [*events, _event(step=step, summary=self._summary)])
        if is_new:
            # Said once, it holds for all that follows.
            for value in self._summary.value:
                value.ClearField("metadata")

    def _describe(self, tags: tuple[str, ...]) -> None:
        """Build the message of these tags, in which only numbers then change."""
        from tensorboard.compat.proto import tensor_pb2, types_pb2
        from tensorboard.plugins.scalar import metadata

        described = metadata.create_summary_metadata(
            display_name=None, description=None
        )
        number = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.0])
        self._tags = tags
        del self._summary.value[:]
        for tag in tags:
            self._summary.value.add(tag=tag, metadata=described, tensor=number)

    def _append(self, path: Path, events: Sequence[Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._path = None  # unless all is written
        with path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
        self._path = path


def check_tensorboard_is_installed() -> None:
    """Refuse to go on without TensorBoard.

    Raises:
        ImportError: it is not installed; says how to get it.
    """
    try:
        import tensorboard.compat.proto.event_pb2
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Telemetry is written for TensorBoard, which is not installed: "
            "pip install tensorboard (or keras-adam[telemetry])."
        ) from error


def _event(**fields: Any) -> Any:
    from tensorboard.compat.proto import event_pb2

    return event_pb2.Event(wall_time=time.time(), **fields)


def _layout(charts: Mapping[str, str]) -> Any:
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.custom_scalar import layout_pb2, summary

    category = layout_pb2.Category(
        title="All weights",
        chart=[
            layout_pb2.Chart(
                title=title,
                multiline=layout_pb2.MultilineChartContent(tag=[f".*/.*/{end}$"]),
            )
            for end, title in charts.items()
        ],
    )
    layout = summary.pb(layout_pb2.Layout(category=[category]))
    # The plugin makes a message of TensorFlow's class where that is installed.
    return summary_pb2.Summary.FromString(layout.SerializeToString())
