"""TensorBoard's event files: building events and appending them to a file.

Every package of this project that writes for TensorBoard uses it, on any backend and
without TensorFlow. A file is open only while events are appended to it. So TensorBoard
sees them at once, no thread outlives the call, and a full disk raises ``OSError`` in
the call that meets it.

The records are written by TensorBoard's ``RecordWriter``. Its ``EventFileWriter`` is
not suitable: it writes from a thread, which prints a traceback when the disk is full;
it raises TensorFlow's errors if TensorFlow is installed; it names the file itself; and
when the file is removed, it keeps writing to the deleted file.

Source:
    The form of an event file:
    https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def check_tensorboard_is_installed() -> None:
    """Refuse to go on without TensorBoard.

    Raises:
        ImportError: TensorBoard is not installed; the message says how to get it.
    """
    try:
        import tensorboard.compat.proto.event_pb2
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Telemetry is written for TensorBoard, which is not installed: "
            "pip install tensorboard (or keras-adam[telemetry])."
        ) from error


def new_file_name(mark: str = ".v2") -> str:
    """A name for a new event file.

    TensorBoard reads the files of a run in the order of their names, so names begin
    with the time.

    Args:
        mark: end of the name.
    """
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    place = f"{platform.node()}.{os.getpid()}"
    return f"events.out.tfevents.{seconds}.{nanoseconds:09d}.{place}{mark}"


def append_events(path: Path, events: Iterable[Any]) -> None:
    """Append events to a file, which is made if it does not exist.

    Args:
        path: the file. If this function raises, the file may end in half a record.
            Nothing after that could be read, so append nothing more to it.
        events: made by `first_event`, `summary_event` or `restart_event`.

    Raises:
        OSError: the file cannot be written to, for example on a full disk.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("ab") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())


def first_event() -> Any:
    """The event that every event file begins with."""
    return _event(file_version="brain.Event:2")


def summary_event(step: int, summary: Any) -> Any:
    """An event that shows a summary at a step.

    Args:
        step: the step.
        summary: a ``Summary`` message of TensorBoard or of TensorFlow.
    """
    from tensorboard.compat.proto import summary_pb2

    if not isinstance(summary, summary_pb2.Summary):
        # Some of TensorBoard's plugins make TensorFlow's message of the same form.
        summary = summary_pb2.Summary.FromString(summary.SerializeToString())
    return _event(step=step, summary=summary)


def restart_event(step: int) -> Any:
    """An event after which TensorBoard drops what it has read of this and later steps.

    Args:
        step: the first step that is written again.
    """
    from tensorboard.compat.proto import event_pb2

    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    return _event(step=step, session_log=start)


class ScalarSummaries:
    """Makes the summaries of scalars for one event file.

    Only the first value of a tag in the file carries the description that makes it a
    scalar. TensorBoard remembers it, and the file is smaller.
    """

    def __init__(self) -> None:
        self._described: set[str] = set()

    def summary(self, values: Mapping[str, float]) -> Any:
        """A summary of scalars, all in one message.

        Args:
            values: by tag; finite in float32, or infinite, or NaN.
        """
        from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2
        from tensorboard.plugins.scalar import metadata

        description = metadata.create_summary_metadata(
            display_name=None, description=None
        )
        summary = summary_pb2.Summary()
        for tag, value in values.items():
            tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[value])
            is_new = tag not in self._described
            metadata_once = description if is_new else None
            summary.value.add(tag=tag, metadata=metadata_once, tensor=tensor)
        self._described.update(values)
        return summary


def layout_summary(layout: Any) -> Any:
    """The summary that arranges charts on TensorBoard's page *Custom Scalars*.

    It replaces ``tensorboard.plugins.custom_scalar.summary.pb``, which imports
    TensorFlow.

    Args:
        layout: a ``Layout`` message of that plugin.
    """
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2
    from tensorboard.plugins.custom_scalar import metadata

    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING, string_val=[layout.SerializeToString()]
    )
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=metadata.CONFIG_SUMMARY_TAG,
        metadata=metadata.create_summary_metadata(),
        tensor=tensor,
    )
    return summary


def _event(**fields: Any) -> Any:
    from tensorboard.compat.proto import event_pb2

    return event_pb2.Event(wall_time=time.time(), **fields)
