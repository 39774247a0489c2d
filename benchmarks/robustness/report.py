"""Tables of the robustness benchmark, and whether its targets are reached."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import print_table, write_results
from benchmarks.robustness.comparison import (
    Compared,
    Records,
    compare,
    shared_seeds,
    summary_rows,
    task_rows,
)
from benchmarks.robustness.contenders import BASELINE, Contender
from benchmarks.robustness.measures import batch_figures, best_losses
from benchmarks.robustness.sweeps import Setting, records_of
from benchmarks.robustness.tasks import BATCH_SIZE, CHOOSING

PEERS = ("keras.optimizers:", "benchmarks.robustness.prodigy:")
"""Modules of contenders for which there are no targets."""


class Target(NamedTuple):
    """A limit that the robust Adam should reach, relative to the baseline."""

    figure: str
    at_most: float
    told: str


TARGETS = (
    Target("s_wide", 0.10, "S, 1e-5 ... 3.16"),
    Target("s_narrow", 0.10, "S, 3e-4 ... 3e-1"),
    Target("best_loss", 1.00, "best loss"),
    Target("loss_at_1e-3", 0.90, "loss at 1e-3"),
    Target("worst_best_loss", 1.03, "best loss, worst task"),
    Target("bad_ratio", 0.20, "bad runs, of the baseline's"),
    Target("worst_bad_excess", 0.00, "bad runs above the baseline's, worst task"),
)

SUMMARY = {
    "contender": "contender",
    "settings": "tasks",
    "s_wide": "S wide",
    "s_narrow": "S narrow",
    "s_wide_shared": "S wide, shared best",
    "s_narrow_shared": "S narrow, shared best",
    "best_loss": "best loss",
    "worst_best_loss": "worst task",
    "worst_task": "which",
    "loss_at_1e-3": "loss at 1e-3",
    "loss_at_default": "loss at its default",
    "decades": "decades within 5 %",
    "bad_share": "bad runs",
    "worst_bad_excess": "bad runs above, worst task",
    "steps_to_target": "steps to target",
    "target_missed": "target missed",
    "fine_tuning_early_loss": "fine-tuning at 1e-5 ... 1e-4, first epoch",
    "s_wide_training": "S wide, training loss",
    "best_training_loss": "best training loss",
}

TASK = {
    "task": "task",
    "schedule": "schedule",
    "length": "length",
    "batch_size": "batch",
    "contender": "contender",
    "initial_loss": "initial",
    "best_loss": "best loss",
    "best_rate": "at",
    "loss_at_1e-3": "at 1e-3",
    "s_wide": "S wide",
    "s_wide_ratio": "ratio",
    "s_narrow_ratio": "narrow",
    "best_loss_ratio": "best, ratio",
    "decades": "decades",
    "bad_share": "bad runs",
    "best_training_loss": "best training",
}

BATCHES = {
    "task": "task",
    "contender": "contender",
    "batch_sizes": "batch sizes",
    "drift": "drift, decades",
    "worst_regret": "worst regret",
    "mean_regret": "mean regret",
    "best_ratios": "best loss at each, ratio",
}


def read(out: Path, settings: Sequence[Setting], names: Sequence[str]) -> Records:
    """The records in ``out`` of these settings and contenders."""
    return {
        setting: {name: records_of(out, setting, name) for name in names}
        for setting in settings
    }


def report(
    out: Path,
    settings: Sequence[Setting],
    contenders: Mapping[str, Contender],
    part: str,
    seeds: Sequence[int],
    *,
    by_task: bool = False,
) -> None:
    """Print the tables, and write them as JSON with every figure of every task.

    Args:
        out: directory of the benchmark.
        settings: to include.
        contenders: to include.
        part: suffix of the file's name.
        seeds: to include, if the baseline has them in every setting.
        by_task: print a table of all tasks, too.
    """
    records = read(out, settings, list(contenders))
    seeds = [seed for seed in shared_seeds(records) if seed in seeds]
    compared = {
        setting: one
        for setting in settings
        if (one := compare(setting, records[setting], contenders, seeds))
    }
    if not compared:
        print(f"{out} holds no whole curve of {BASELINE} yet; there is no report.")
        return
    told_seeds = ", ".join(map(str, seeds))
    print(f"\nOver the seeds {told_seeds}, which {BASELINE} has in every setting.")
    rows: list[dict[str, Any]] = []
    for heading, group in grouped(compared).items():
        rows += _report_group(heading, group, contenders)
    rows += _report_batches(compared)
    rows += _report_tasks(compared, is_shown=by_task)
    path = write_results("robustness", rows, part, seeds=seeds)
    print(f"\nwritten: {path}")


def grouped(
    compared: Mapping[Setting, Compared],
) -> dict[str, dict[Setting, Compared]]:
    """Groups by half, schedule, length and batch size; then by half and size alone."""
    groups: dict[str, dict[Setting, Compared]] = {}
    together: dict[str, dict[Setting, Compared]] = {}
    for setting, one in compared.items():
        half, size = half_of(setting), setting.batch_size
        heading = (
            f"{half} tasks, {setting.schedule} rate, {setting.length} steps of "
            f"{BATCH_SIZE} examples, batches of {size}"
        )
        groups.setdefault(heading, {})[setting] = one
        heading = f"{half} tasks, all schedules and lengths, batches of {size}"
        together.setdefault(heading, {})[setting] = one
    parts = {frozenset(group) for group in groups.values()}
    new = {h: group for h, group in together.items() if frozenset(group) not in parts}
    return groups | new


def half_of(setting: Setting) -> str:
    """The half of the tasks to which a setting belongs."""
    return "choosing" if setting.task in CHOOSING else "judging"


def _report_group(
    heading: str,
    group: Mapping[Setting, Compared],
    contenders: Mapping[str, Contender],
) -> list[dict[str, Any]]:
    print(
        f"\n## {heading}\n\nRatios to {BASELINE}, geometric means over tasks; decades "
        "and shares of runs: plain means.\n"
    )
    summaries = summary_rows(group)
    print_table([told(row) for row in summaries], SUMMARY)
    verdicts = [
        verdict
        for row in summaries
        if not contenders[row["contender"]].reference.startswith(PEERS)
        for verdict in judge(row)
    ]
    if verdicts:
        print("\nTargets:\n")
        columns = {"contender": "contender", "told": "figure", "value": "value"}
        columns |= {"at_most": "at most", "verdict": "verdict"}
        print_table([told(row) for row in verdicts], columns)
    kinds = (("summary", summaries), ("target", verdicts))
    return [
        {"kind": kind, "group": heading, **row} for kind, rows in kinds for row in rows
    ]


def _report_tasks(
    compared: Mapping[Setting, Compared], *, is_shown: bool
) -> list[dict[str, Any]]:
    rows = []
    for setting, one in compared.items():
        facts = {"half": half_of(setting), **dataclasses.asdict(setting)}
        rows += [{**facts, **row} for row in task_rows(setting, one)]
    if is_shown:
        print("\n## Task by task\n")
        print_table([told(row) for row in rows], TASK)
    return [{"kind": "task", **row} for row in rows]


def judge(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare each target with a contender's figure."""
    verdicts = []
    for target in TARGETS:
        value = row.get(target.figure)
        is_reached = value is not None and value <= target.at_most
        verdicts.append(
            {
                "contender": row["contender"],
                "told": target.told,
                "value": value,
                "value_interval": row.get(f"{target.figure}_interval"),
                "at_most": target.at_most,
                "verdict": "reached" if is_reached else "missed",
            }
        )
    return verdicts


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as text, with their intervals: a ratio of 0.9996 is not 1."""
    shown = dict(row)
    for name, value in row.items():
        if not isinstance(value, float):
            continue
        shown[name] = f"{value:.4g}"
        interval = row.get(f"{name}_interval")
        if interval and None not in interval and interval[0] < interval[1]:
            shown[name] += f" ({interval[0]:.3g} ... {interval[1]:.3g})"
    return shown


def _report_batches(compared: Mapping[Setting, Compared]) -> list[dict[str, Any]]:
    """Drift and regret of the tasks that were trained at several batch sizes."""
    rows = []
    by_task = itertools.groupby(
        sorted(compared, key=lambda s: (s.task, s.schedule, s.length, s.batch_size)),
        key=lambda s: (s.task, s.schedule, s.length),
    )
    for (task, schedule, length), settings in by_task:
        of_sizes = {s.batch_size: compared[s] for s in settings}
        if len(of_sizes) > 1:
            facts = {"task": task, "schedule": schedule, "length": length}
            rows += [{**facts, **row} for row in batch_rows(of_sizes)]
    if rows:
        print("\n## Batch sizes, at equal numbers of examples\n")
        print_table(rows, {**BATCHES, "schedule": "schedule", "length": "length"})
    return [{"kind": "batches", **row} for row in rows]


def batch_rows(of_sizes: Mapping[int, Compared]) -> list[dict[str, Any]]:
    """One row per contender that was trained at every batch size."""
    first = next(iter(of_sizes.values()))
    names = [n for n in first.runs if all(n in one.runs for one in of_sizes.values())]
    draws = first.draws
    best = {
        name: np.array(
            [best_losses(one.runs[name], draws) for one in of_sizes.values()]
        )
        for name in names
    }
    shared = np.min([values.min(axis=0) for values in best.values()], axis=0)
    rows = []
    for name in names:
        runs = {size: one.runs[name] for size, one in of_sizes.items()}
        found = batch_figures(runs, draws, shared)
        ratios = (best[name] / best[BASELINE])[:, 0]
        rows.append(
            {
                "contender": name,
                "batch_sizes": ", ".join(map(str, of_sizes)),
                **{figure: float(values[0]) for figure, values in found.items()},
                "best_ratios": ", ".join(f"{ratio:.3f}" for ratio in ratios),
            }
        )
    return rows
