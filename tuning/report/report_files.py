"""The files of a report: pages, figures as JSON and a table of the runs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path

from tuning.objectives import turned
from tuning.records import RunRecord
from tuning.report.page import render_html, render_markdown
from tuning.report.results import read_results
from tuning.report.verdict import write_verdict
from tuning.statistics.limits import GOOD_TOLERANCE
from tuning.system.files import write_whole
from tuning.system.paths import check_path

_LEFT_OUT_OF_CSV = frozenset(
    {
        "optimizer_config",
        "val_metrics",
        "history",
        "training_curve",
        "steps_per_point",
        "versions",
    }
)


def write_report(directory: Path, *, good_tolerance: float = GOOD_TOLERANCE) -> Path:
    """Write a sweep's report into its directory.

    This works while the sweep is still running. It also works without ``sweep.json``,
    but then missing runs are not known. Each file is written atomically.

    Args:
        directory: holds ``runs.jsonl``.
        good_tolerance: see `tuning.statistics.curves.find_good_region`.

    Returns:
        The path of ``report.html``.

    Raises:
        FileNotFoundError: the directory holds no records.
        ValueError: no record can be read, or ``sweep.json`` is not a plan.
    """
    directory = check_path(directory, "directory")
    records, plan, _, summary = read_results(directory, good_tolerance)
    plain = {"verdict": list(write_verdict(summary)), **summary.to_dict()}
    write_whole(
        directory / "summary.json", json.dumps(plain, indent=1, allow_nan=False) + "\n"
    )
    write_whole(directory / "runs.csv", _to_csv(records))
    write_whole(directory / "report.md", render_markdown(summary, plan, records))
    write_whole(directory / "report.html", render_html(summary, plan, records))
    return directory / "report.html"


def _to_csv(records: Sequence[RunRecord]) -> str:
    """One line per run; nested fields are left out, metrics get columns.

    ``objective_value`` is what the run ended with, also where it is maximised.
    """
    metrics = sorted({name for record in records for name in record.val_metrics})
    names = [
        field.name
        for field in dataclasses.fields(RunRecord)
        if field.name not in _LEFT_OUT_OF_CSV
    ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    metric_names = [f"metric.{name}" for name in metrics]
    writer.writerow([*names, "objective_value", *metric_names])
    for record in records:
        values = [getattr(record, name) for name in names]
        final = record.final_val_loss
        value = None if final is None else turned(final, record.direction)
        others = [record.val_metrics.get(name) for name in metrics]
        writer.writerow([*values, value, *others])
    return buffer.getvalue()
