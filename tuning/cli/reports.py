"""The reports that commands write: files, and pages in TensorBoard."""

from __future__ import annotations

from pathlib import Path

from tuning.plan import read_plan
from tuning.report import tensorboard_pages
from tuning.report.report_files import write_report
from tuning.runs_file import read_records
from tuning.statistics.summary import summarize
from tuning.statistics.values import Summary
from tuning.sweep import directory as directories
from tuning.system.paths import explain_with_place, show_path
from tuning.tensorboard import report_events


def read_summary(directory: Path) -> Summary:
    """The results of a sweep about its optimizers, from its records."""
    plan = read_plan(directory)
    return summarize(read_records(directory), grid=plan.grid, strategy=plan.strategy)


def write_reports(directory: Path) -> None:
    """Write a sweep's report, and its pages in TensorBoard.

    Raises:
        OSError: something could not be written.
    """
    summary = read_summary(directory)
    try:
        write_report(directory)
        report_events.write_report_run(
            directory / directories.TENSORBOARD_DIRECTORY,
            tensorboard_pages.verdict_page(summary),
            tensorboard_pages.heat_map_images(summary),
            tensorboard_pages.losses_by_rate(summary),
        )
    except OSError as error:
        raise OSError(
            f"the sweep in {show_path(directory)} is done and recorded, but its report "
            f"could not be written: {explain_with_place(error)}. When that is solved, "
            "the same command writes it."
        ) from error
