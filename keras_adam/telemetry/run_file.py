"""The event file to which one training's scalars are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_adam.telemetry import event_file

MARK = ".adam_telemetry.v2"
"""End of the names of these files, which no other writer's files have."""


class RunFile:
    """An event file in a directory that TensorBoard shows as a run.

    When writing fails, or the file has been removed, the next write begins a new file.

    Args:
        directory: it and its parents are made if they do not exist.
        charts: titles of charts, by the last part of a tag. Each chart of the page
            *Custom Scalars* shows all tags with this last part.

    Attributes:
        directory: as given.

    Raises:
        ImportError: TensorBoard is not installed.
        OSError: the directory cannot be written to.
    """

    def __init__(self, directory: Path, charts: Mapping[str, str]) -> None:
        event_file.check_tensorboard_is_installed()
        self.directory = directory
        self._charts = dict(charts)
        self._path: Path | None = None
        self._open()

    def is_alone(self) -> bool:
        """Whether the directory holds no other file of this class."""
        return all(path == self._path for path in self.directory.glob(f"*{MARK}"))

    def remove(self) -> None:
        """Delete the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def restart(self, step: int) -> None:
        """Continue the curves after a step, and drop what was written of later steps.

        For a training that continues from a checkpoint.

        Raises:
            OSError: the file cannot be written to.
        """
        self._append(self._open(), [event_file.restart_event(step + 1)])

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the scalars of one step.

        Args:
            step: the step.
            values: by tag.

        Raises:
            OSError: the file cannot be written to, for example on a full disk.
        """
        path = self._open()
        events = []
        charts = {
            end: title
            for end, title in self._charts.items()
            if any(tag.endswith(f"/{end}") for tag in values)
        }
        if charts != self._charts_written:
            layout = event_file.layout_summary(_layout(charts))
            events.append(event_file.summary_event(0, layout))
            self._charts_written = charts
        scalars = self._scalars.summary(values)
        events.append(event_file.summary_event(step, scalars))
        self._append(path, events)

    def _open(self) -> Path:
        """The file to append to: the present one, or a new one."""
        if self._path is not None and self._path.exists():
            return self._path
        self._scalars = event_file.ScalarSummaries()
        self._charts_written: dict[str, str] = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / event_file.new_file_name(MARK)
        path.touch(exist_ok=False)
        self._append(path, [event_file.first_event()])
        return path

    def _append(self, path: Path, events: Iterable[Any]) -> None:
        self._path = None  # It stays None if the next line raises.
        event_file.append_events(path, events)
        self._path = path


def _layout(charts: Mapping[str, str]) -> Any:
    """Charts that show all weights together, as a message of TensorBoard's plugin."""
    from tensorboard.plugins.custom_scalar import layout_pb2

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
    return layout_pb2.Layout(category=[category])
