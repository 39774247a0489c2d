"""``keras-adam-sweep claims``: the plan, the runs, the page."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from tuning.claims.budgets import (
    BUDGETS,
    Budget,
    PlannedPart,
    default_workers,
    estimate,
)
from tuning.claims.contenders import CONTENDERS
from tuning.cli.session import drive, log_to, user_errors
from tuning.cli.terminal import quiet_tensorflow, text_table
from tuning.data_sources.public_data import embedded_data
from tuning.engines.options import EngineOptions
from tuning.report.number_text import NOTHING, count_of, format_seconds


def claims(
    out: Annotated[
        Path, typer.Option(help="Directory for results; created if it does not exist.")
    ],
    budget: Annotated[
        str,
        typer.Option(
            help="; ".join(
                f"{b.name}: at most {format_seconds(b.limit_seconds)} on two cores"
                for b in BUDGETS.values()
            )
            + "."
        ),
    ] = "small",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Number of runs at the same time. [default: 2; 1 on a single core]"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be trained, and stop there."),
    ] = False,
) -> None:
    """Test four claims about Adam on the built-in workloads, with embedded data.

    They are trained with our Adam, Keras's Adam and four other optimizers; a page
    states each claim, its measures, and whether the results support it. If it is
    interrupted, the same command continues it.
    """
    with user_errors(), embedded_data():
        if budget not in BUDGETS:
            raise ValueError(
                f"--budget must be one of {', '.join(BUDGETS)}; received {budget!r}."
            )
        chosen = BUDGETS[budget]
        count = default_workers() if workers is None else workers
        engine = EngineOptions("local", count)
        engine.leave_gpus_to_workers()
        console = Console(stderr=True)
        log_to(console)
        with quiet_tensorflow():
            import tensorflow  # noqa: F401 - greets when it is imported

            from tuning.claims import execution, page, results, tables, verdicts
            from tuning.cli import reports
        contenders = CONTENDERS
        execution.check_claims_directory(out, chosen, contenders)
        parts = estimate(chosen, contenders, count)
        Console().print(plan_table(chosen, parts, count))
        if dry_run:
            return
        command = shlex.join(["keras-adam-sweep", *sys.argv[1:]])

        def start(_: Any, show: Any) -> None:
            execution.run_claims(
                out,
                chosen,
                contenders,
                engine=engine,
                command=command,
                progress=show,
                finished=reports.write_reports,
            )

        drive(start, names_workloads=True)
        path = page.write_claims(out)
        tasks = results.read_results(out).tasks
        content = tables.overview_table(verdicts.judge_all(tasks))
        Console().print(text_table(content, "What is claimed of Adam"))
        typer.echo(f"page:  {path}")


def plan_table(budget: Budget, parts: Sequence[PlannedPart], workers: int) -> Table:
    """What a budget of claims trains, and about how long that takes."""
    total = format_seconds(sum(part.seconds for part in parts))
    limit = format_seconds(budget.limit_seconds)
    table = Table(
        title=f"{budget.name}: about {total} with {count_of(workers, 'worker')} "
        f"(at most {limit} on two cores)",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("part", no_wrap=True)
    for header in ("batch sizes", "epochs", "examples", "runs", "about"):
        table.add_column(header, justify="right", no_wrap=True)
    sweeps = {sweep.directory: sweep for sweep in budget.sweeps}
    for part in parts:
        sweep = sweeps.get(part.name)
        cells = [NOTHING] * 3
        if sweep is not None:
            sizes = ", ".join(str(size) for size in sweep.batch_sizes)
            cells = [sizes, str(sweep.epochs), str(sweep.examples or "all")]
        table.add_row(part.name, *cells, str(part.runs), format_seconds(part.seconds))
    return table
