"""What a sweep shows in a terminal: progress with time left, a table at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from tuning.report.number_text import (
    NOTHING,
    format_bytes,
    format_number,
    format_rate,
    format_seconds,
    format_share,
)
from tuning.report.tables import Table as TextTable
from tuning.report.tables import shown_loss
from tuning.statistics.values import Summary
from tuning.system.paths import in_one_line

if TYPE_CHECKING:
    from tuning.sweep.progress import Progress as SweepProgress

SECONDS_BETWEEN_LINES = 10.0
"""Time between progress lines if no bar can be drawn (in a file or a CI log)."""


class ProgressDisplay:
    """Shows a sweep's progress: a bar in a terminal, else a line now and then.

    Use it as a context manager and pass :meth:`show` to the sweep.

    Args:
        console: for the progress; usually standard error, so results can be piped.
        names_workloads: whether to show the workload of the run, too.
    """

    def __init__(self, console: Console, *, names_workloads: bool = False) -> None:
        self._console = console
        self._names_workloads = names_workloads
        self._bar: Progress | None = None
        self._started = self._last_line = time.monotonic()
        self._done_earlier = self._done_here = 0.0
        self._outcomes = {"diverged": 0, "failed": 0}

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal:
            bar = self._bar = Progress(
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

    def show(self, progress: SweepProgress) -> None:
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

    def _begin_sweep(self, progress: SweepProgress) -> None:
        """Note the start of a sweep, part of which may have been done earlier.

        The estimate of the time left ignores that part, which took no time now.
        """
        if not self._done_here:
            self._started = self._last_line = time.monotonic()
        self._done_earlier = progress.done - self._done_here

    def _draw(self, progress: SweepProgress) -> None:
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

    def _write_line(self, progress: SweepProgress) -> None:
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


def summary_table(summary: Summary) -> Table:
    """A sweep's figures, one row per optimizer, the most robust first."""
    table = Table(
        title=Text(f"{in_one_line(summary.workload)}: {summary.runs} runs"),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),  # nine columns fit a terminal of 80
    )
    # Names with arguments are long: they continue on a second line.
    table.add_column("optimizer", overflow="fold")
    for header in (
        summary.short_name,
        "at rate",
        "batch",
        "S",
        "decades",
        "diverged",
        "step",
        "state",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for optimizer in summary.optimizers:
        bound = "\N{GREATER-THAN OR EQUAL TO} "
        decades = format_number(optimizer.mean_good_decades)
        table.add_row(
            Text(in_one_line(optimizer.name)),
            shown_loss(optimizer.best_loss, summary.direction),
            format_rate(optimizer.best_loss_rate),
            str(optimizer.best_loss_batch_size or NOTHING),
            format_number(optimizer.mean_sensitivity_to_best_of_any),
            bound + decades if optimizer.is_good_decades_lower_bound else decades,
            format_share(optimizer.diverged_share),
            format_seconds(optimizer.seconds_per_step),
            format_bytes(optimizer.state_bytes),
        )
    table.caption = (
        f"{summary.short_name}: the {summary.best_word}; S: its distance to the best "
        "of any optimizer, mean over the rates, less is better; decades: width of the "
        "region of good rates"
    )
    return table


def text_table(content: TextTable, title: str) -> Table:
    """A report's table in a terminal; the best of a column is bold."""
    table = Table(
        title=title, box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for number, header in enumerate(content.headers):
        table.add_column(header, justify="right" if number else "left")
    for row in content.rows:
        cells = (Text(cell.text, "bold" if cell.is_best else "") for cell in row)
        table.add_row(*cells)
    return table


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Hide the messages that TensorFlow writes while it starts.

    Its native code writes about CPU features and missing GPUs before it reads its
    own log level. The messages are shown if the start fails, and always if
    ``TF_CPP_MIN_LOG_LEVEL`` is 0 or 1.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1"):
        yield
        return
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        held_back = None
        # If there is no directory for temporary files, the messages are shown.
        with contextlib.suppress(OSError):
            held_back = stack.enter_context(tempfile.TemporaryFile())
        if held_back is None:
            yield
            return
        terminal = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            os.lseek(held_back.fileno(), 0, os.SEEK_SET)
            with contextlib.suppress(OSError):  # nobody may read it
                os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
