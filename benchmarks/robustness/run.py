"""How little an optimizer cares about its learning rate and batch size.

    python benchmarks/robustness/run.py --out OUT --half judging
        [--tasks a,b] [--contenders keras-adam,robust] [--variant 'label:{...}']
        [--schedules constant,linear] [--lengths 300,3000] [--batches 32]
        [--seeds 3] [--report-only] [--by-task] [--part NAME]

Each contender trains each task at twelve learning rates from 1e-5 to 3.16. A killed
benchmark continues where it stopped. Several processes may share one ``OUT`` if they
have different tasks. The report at the end includes all runs in ``OUT`` of the chosen
tasks, contenders and seeds. Later calls can add more of each.

A length is a number of steps of 32 examples. At other batch sizes, more or fewer steps
see the same number of examples. A run has 12 epochs, and a batch must fit into one, so
``--lengths 1536 --batches 4,16,64,256,1024`` compares 12,288 steps with 48. A task is
left out if a batch is larger than the task's data or an epoch.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A script finds only modules next to it; the path of the root adds the others.
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.robustness.contenders import CONTENDERS, Contender, read_variants
from benchmarks.robustness.report import report
from benchmarks.robustness.sweeps import Setting, limit_threads, run
from benchmarks.robustness.tasks import BATCH_SIZE, HALVES, TASKS


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line, with lists and numbers parsed.

    Raises:
        SystemExit: an argument is invalid.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", choices=[*HALVES, "both"], default="both")
    parser.add_argument("--tasks", help="separated by commas; default: all of the half")
    parser.add_argument("--contenders", help="separated by commas; default: all")
    parser.add_argument("--variant", action="append", default=[], dest="variants")
    parser.add_argument("--schedules", default="constant,linear")
    parser.add_argument("--lengths", default="300")
    parser.add_argument("--batches", default=str(BATCH_SIZE))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report-only", action="store_true")
    parser.add_argument("--by-task", action="store_true", help="a table of all tasks")
    parser.add_argument("--part", default="", help="suffix of the results' file")
    read = parser.parse_args(arguments)
    try:
        variants = read_variants(read.variants)
        read.contenders = _chosen(
            read.contenders, CONTENDERS | variants, "contenders", always=[*variants]
        )
        tasks = TASKS if read.half == "both" else HALVES[read.half]
        read.tasks = _chosen(read.tasks, tasks, "tasks")
        read.schedules = read.schedules.split(",")
        read.lengths = [int(length) for length in read.lengths.split(",")]
        read.batches = [int(size) for size in read.batches.split(",")]
    except ValueError as error:
        parser.error(str(error))
    return read


def _chosen(
    names: str | None, table: dict[str, Any], what: str, always: list[str] | None = None
) -> dict[str, Any]:
    chosen = list(table) if names is None else [*names.split(","), *(always or [])]
    unknown = sorted(set(chosen) - set(table))
    if unknown:
        raise ValueError(f"unknown {what} {unknown}; there are {', '.join(table)}.")
    return {name: table[name] for name in chosen}


def settings_of(arguments: argparse.Namespace) -> list[Setting]:
    """Every combination of the chosen lengths, batch sizes, tasks and schedules."""
    axes = arguments.lengths, arguments.batches, arguments.tasks, arguments.schedules
    return [
        Setting(task, schedule, length, size)
        for length, size, task, schedule in itertools.product(*axes)
    ]


def train(arguments: argparse.Namespace) -> None:
    """Train the missing runs, and print how long each sweep took."""
    limit_threads(arguments.threads)
    work = list(itertools.product(settings_of(arguments), arguments.contenders.items()))
    for number, (setting, (name, contender)) in enumerate(work, start=1):
        _train_one(arguments, setting, name, contender, f"{number} of {len(work)}")


def _train_one(
    arguments: argparse.Namespace,
    setting: Setting,
    name: str,
    contender: Contender,
    place: str,
) -> None:
    start = time.perf_counter()
    records: list[Any] = []

    def note(progress: Any) -> None:
        if progress.record is not None:
            records.append(progress.record)

    try:
        run(arguments.out, setting, name, contender, range(arguments.seeds), note)
    except ValueError as error:
        # Another process may be training it, a batch may be larger than an epoch, or a
        # class may be missing. The other sweeps can still be trained.
        print(f"{place}: {setting.path} {name} is LEFT OUT: {error}", flush=True)
    if not records:
        return
    seconds = time.perf_counter() - start
    per_step = sorted(r.seconds_per_step or 0.0 for r in records)[len(records) // 2]
    failed = sum(record.status == "failed" for record in records)
    print(
        f"{place}: {setting.path} {name}: {len(records)} runs in {seconds:.0f} s, "
        f"{1000 * per_step:.2f} ms a step, {records[-1].execution}"
        + (f", {failed} FAILED: {records[-1].message}" if failed else ""),
        flush=True,
    )


def main() -> None:
    arguments = read_arguments()
    if not arguments.report_only:
        train(arguments)
    report(
        arguments.out,
        settings_of(arguments),
        arguments.contenders,
        arguments.part,
        range(arguments.seeds),
        by_task=arguments.by_task,
    )


if __name__ == "__main__":
    main()
