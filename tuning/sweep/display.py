"""Shows how far a sweep is: in a terminal, in a notebook, in a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tuning.sweep.progress import Progress, ProgressListener

SECONDS_BETWEEN_LINES = 10.0
"""Time between progress lines if no bar can be drawn (in a file or a CI log)."""


class ProgressDisplay:
    """Shows a sweep's progress: a bar in a terminal or notebook, else lines.

    Use it as a context manager and pass :meth:`show` to the sweep.

    Args:
        console: for the progress; usually standard error, so results can be piped.
        names_workloads: whether to show the workload of the run, too.
    """

    def __init__(self, console: Console, *, names_workloads: bool = False) -> None:
        self._console = console
        self._names_workloads = names_workloads
        self._bar: Bar | None = None
        self._started = self._last_line = time.monotonic()
        self._done_earlier = self._done_here = 0.0
        self._outcomes = {"diverged": 0, "failed": 0}

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal or self._console.is_jupyter:
            bar = self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
            )
            bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show a sweep's start, or one more finished run."""
        record = progress.record
        if record is None:
            self._begin_sweep(progress)
        elif record.status in self._outcomes:
            self._outcomes[record.status] += 1
        self._done_here = progress.done - self._done_earlier
        if self._bar is not None:
            self._draw(progress)
        else:
            self._write_line(progress)

    def _begin_sweep(self, progress: Progress) -> None:
        """Note the start of a sweep, part of which may have been done earlier.

        The estimate of the time left ignores that part, which took no time now.
        """
        if not self._done_here:
            self._started = self._last_line = time.monotonic()
        self._done_earlier = progress.done - self._done_here

    def _draw(self, progress: Progress) -> None:
        bar = self._bar
        if bar is None:
            return
        count = f"{progress.finished}/{progress.total}"
        if not bar.task_ids:
            bar.add_task("", total=1.0, count=count)
        at = "starting"
        if progress.record is not None:
            at = f"{progress.record.optimizer}, batch {progress.record.batch_size}"
            if self._names_workloads:
                at = f"{progress.record.workload}, {at}"
        bar.update(
            bar.task_ids[0],
            completed=progress.done,
            count=count,
            description=at + self._describe_outcomes(),
        )

    def _write_line(self, progress: Progress) -> None:
        now = time.monotonic()
        is_edge = progress.record is None or progress.finished == progress.total
        if not is_edge and now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        left = ""
        if self._done_here > 0 and progress.finished < progress.total:
            seconds_per_share = (now - self._started) / self._done_here
            remaining = seconds_per_share * (1.0 - progress.done)
            minutes, rest = divmod(round(remaining), 60)
            left = f", about {f'{minutes} min ' if minutes else ''}{rest} s left"
        most = "at most " if progress.is_total_a_bound else ""
        done = f"{progress.finished} of {most}{progress.total} runs"
        self._console.print(f"{done}{self._describe_outcomes()}{left}", highlight=False)

    def _describe_outcomes(self) -> str:
        parts = [f"{count} {name}" for name, count in self._outcomes.items() if count]
        return f" ({', '.join(parts)})" if parts else ""


@contextlib.contextmanager
def listening(
    progress: ProgressListener | bool | None,
) -> Iterator[ProgressListener | None]:
    """The listener of a sweep that a Python program has started.

    Args:
        progress: a listener of the program's own; ``True`` for a display, ``None`` for
            one where somebody looks at it: in a terminal or a notebook.
    """
    if callable(progress):
        yield progress
        return
    console = Console(stderr=True)
    is_seen = console.is_terminal or console.is_jupyter
    if progress is False or (progress is None and not is_seen):
        yield None
        return
    with ProgressDisplay(console) as display:
        yield display.show
