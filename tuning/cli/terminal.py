"""What a sweep shows in a terminal at its end; and a start without noise."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from rich import box
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
