"""``keras-adam-sweep check``: is this learning rate safe, at this batch size?"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tuning.cli.interruption import CONTINUES_CHECK, STARTS_AGAIN, advise
from tuning.cli.run import check_workload
from tuning.cli.session import drive, user_errors
from tuning.cli.shared_options import (
    DataDirectory,
    EngineName,
    Epochs,
    GpusPerRun,
    RayAddress,
    RunTimeout,
    Schedule,
    Workers,
)
from tuning.data_sources.public_data import real_data_in
from tuning.engines.options import EngineOptions
from tuning.optimizer_names import ALLOWED, check_names
from tuning.optimizer_options import parse_options
from tuning.setting import MOST_RUNS, SEEDS, Rule, check_rule, check_setting

NOT_SAFE = 1
"""Exit status. 0 is safe; 2 is an error that the user can fix."""

_RULE = Rule()


def check(
    workload: Annotated[
        str,
        typer.Argument(
            help="A built-in workload, or your own as package.module:attribute."
        ),
    ],
    learning_rate: Annotated[float, typer.Option(help="The learning rate to check.")],
    batch_size: Annotated[int, typer.Option(help="The batch size to check.")],
    optimizer: Annotated[
        str, typer.Option(help=f"A name as in Python: {ALLOWED}.")
    ] = "keras.Adam",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the check. [default: checks/ and a name made of the "
            "workload and the setting]"
        ),
    ] = None,
    min_decades: Annotated[
        float,
        typer.Option(
            help="Safe only if no learning rate fails within this many powers of ten, "
            "on either side."
        ),
    ] = _RULE.min_decades,
    max_loss_gap: Annotated[
        float,
        typer.Option(
            help="A run fails if it misses more than this share of the improvement "
            "that the best learning rate makes."
        ),
    ] = _RULE.max_loss_gap,
    max_failed_share: Annotated[
        float, typer.Option(help="Safe only if at most this share of seeds fails.")
    ] = _RULE.max_failed_share,
    max_failed_bound: Annotated[
        float | None,
        typer.Option(
            help="Safe only if, with 95 % confidence, at most this share of all seeds "
            "fails; 0.5 needs 5 seeds without failure. [default: not asked for]"
        ),
    ] = _RULE.max_failed_bound,
    seeds: Annotated[
        int, typer.Option(help="Seeds at the setting and near the decision.")
    ] = SEEDS,
    epochs: Epochs = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An optimizer's option as optimizer.option=value, such as "
            "keras.Adam.beta_2=0.99; may be repeated.",
        ),
    ] = None,
    schedule: Schedule = None,
    max_runs: Annotated[
        int,
        typer.Option(help="The most runs; the card says what was left out."),
    ] = MOST_RUNS,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="No run begins later than this. [default: no limit]"),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="An earlier card.json, to say what has changed since."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of text.")
    ] = False,
    data_dir: DataDirectory = None,
    engine: EngineName = "local",
    workers: Workers = None,
    run_timeout: RunTimeout = None,
    ray_address: RayAddress = None,
    gpus_per_run: GpusPerRun = 0.0,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Delete the check in --out, and start over."),
    ] = False,
) -> None:
    """Say whether a learning rate and a batch size are safe, with few runs.

    Exit status 0 if safe by the rule, 1 if not, 2 for an error in the command or the
    training. If it is interrupted, the same command continues it.
    """
    # As in `run`: appended, so that the user's files hide no installed package.
    with contextlib.suppress(OSError):
        sys.path.append(str(Path.cwd()))
    advise(STARTS_AGAIN if overwrite else CONTINUES_CHECK)
    found: list[Any] = []
    with user_errors(), real_data_in(data_dir):
        where = EngineOptions(engine, workers, run_timeout, ray_address, gpus_per_run)
        where.leave_gpus_to_workers()  # before TensorFlow starts
        where.check_reachable()
        rule = Rule(min_decades, max_loss_gap, max_failed_share, max_failed_bound)
        check_rule(rule)
        check_setting(learning_rate, batch_size)
        check_names([optimizer])
        set_options = parse_options(settings or [])
        if set_options.swept:
            raise ValueError(
                "a check trains one value of each option; received several for "
                f"{list(set_options.swept)}."
            )
        check_workload(workload)

        def start(_: Any, show: Any) -> None:
            from tuning.checks.execution import check as check_safely

            found.append(
                check_safely(
                    workload,
                    learning_rate=learning_rate,
                    batch_size=batch_size,
                    optimizer=optimizer,
                    out=out,
                    rule=rule,
                    seeds=seeds,
                    epochs=epochs,
                    options=set_options.fixed,
                    max_runs=max_runs,
                    max_minutes=max_minutes,
                    against=against,
                    on_existing="overwrite" if overwrite else "continue",
                    progress=show,
                    engine=where,
                    schedule=schedule,
                    command=shlex.join(["keras-adam-sweep", *sys.argv[1:]]),
                )
            )

        drive(start)
    (card,) = found
    typer.echo(json.dumps(card.to_dict(), indent=1) if as_json else str(card))
    if not card.is_safe:
        raise typer.Exit(NOT_SAFE)
