"""``keras-adam-sweep claims``: the plan, the runs, the page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tuning.claims.budgets import BUDGETS, CONTENDERS, default_workers, estimate
from tuning.claims.page import write_claims
from tuning.claims.results import read_results
from tuning.claims.tables import overview_table
from tuning.claims.verdicts import judge_all
from tuning.cli.session import drive, log_to, user_errors, write_reports
from tuning.cli.terminal import claims_plan_table, quiet_tensorflow, text_table
from tuning.data_sources.public_data import embedded_data
from tuning.engines.choice import EngineChoice
from tuning.report.number_text import format_seconds


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
        choice = EngineChoice("local", count)
        choice.leave_gpus_to_workers()
        console = Console(stderr=True)
        log_to(console)
        with quiet_tensorflow():
            import tensorflow  # noqa: F401 - greets when it is imported

            from tuning.claims import execution
        contenders = CONTENDERS
        execution.check_claims_directory(out, chosen, contenders)
        parts = estimate(chosen, contenders, count)
        Console().print(claims_plan_table(chosen, parts, count))
        if dry_run:
            return
        command = shlex.join(["keras-adam-sweep", *sys.argv[1:]])

        def start(_: Any, show: Any) -> None:
            execution.run_claims(
                out,
                chosen,
                contenders,
                workers=count,
                command=command,
                progress=show,
                finished=write_reports,
            )

        drive(start, names_workloads=True)
        page = write_claims(out)
        content = overview_table(judge_all(read_results(out).tasks))
        Console().print(text_table(content, "What is claimed of Adam"))
        typer.echo(f"page:  {page}")
