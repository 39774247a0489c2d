"""What users call: check a setting, or continue a check where it ended."""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from tuning.array_data import count_examples
from tuning.checks.loaded_once import LoadedOnce
from tuning.engines.options import EngineOptions
from tuning.fit_workload import FitWorkload
from tuning.grid import Grid
from tuning.optimizer_names import OptimizerFactory, check_names, file_name
from tuning.options import CHECK, SweepOptions
from tuning.records import RunRecord
from tuning.report.setting_card import Card, read_card, write_card_files
from tuning.search.check_oracle import left_out
from tuning.search.check_search import DECIDING
from tuning.setting import (
    MOST_RUNS,
    SEEDS,
    CheckPlan,
    Rule,
    Setting,
    check_rule,
    check_setting,
    checked_rates,
)
from tuning.statistics.setting_card import make_card
from tuning.statistics.summary import summarize
from tuning.sweep import directory as directories
from tuning.sweep.planning import Sweep
from tuning.sweep.progress import ProgressListener
from tuning.sweep.run import carry_out, engine_of
from tuning.system.paths import check_path, in_one_line, show_path
from tuning.trainers.dataset_batches import is_dataset
from tuning.trainers.fit_data import is_batch_source
from tuning.workload import Workload, load_checked_data
from tuning.workload_kinds import AnyWorkload
from tuning.workloads import find_workload

ROBUST = "keras_adam.Adam.robust"
"""The optimizer that the checked one is held against."""


def check(
    workload: AnyWorkload | str,
    *,
    learning_rate: float,
    batch_size: int,
    optimizer: str | Mapping[str, OptimizerFactory] = "keras.Adam",
    out: str | Path | None = None,
    rule: Rule | None = None,
    seeds: int = SEEDS,
    epochs: int | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    max_runs: int = MOST_RUNS,
    max_minutes: float | None = None,
    against: str | Path | None = None,
    on_existing: str = "continue",
    progress: ProgressListener | bool | None = None,
    engine: EngineOptions | str = "local",
    schedule: str | None = None,
    execution: str = "auto",
    command: str = "",
    **engine_options: Any,
) -> Card:
    """Check whether a learning rate and a batch size are safe.

    It trains the setting with several seeds, and then the runs that show how far the
    nearest learning rate is that fails, what a wrong learning rate costs, how half and
    double the batch size do, and how `keras_adam.Adam.robust` does. The same call
    continues an interrupted check.

        card = tuning.check("digits", learning_rate=1e-3, batch_size=64)
        print(card)
        assert card.is_safe

    Args:
        workload: what is trained; see `tuning.run_sweep`.
        learning_rate: to be checked.
        batch_size: to be checked.
        optimizer: a name, or one factory by its name; see `tuning.optimizer_names`.
        out: directory of the check; below ``checks/`` by default, named after the
            workload and the setting.
        rule: when a setting is safe; ``Rule()`` by default.
        seeds: how many, at the setting and near the decision.
        epochs: the workload's own by default.
        options: further optimizer arguments by optimizer name.
        max_runs: the most runs, earlier ones of this check included. The least
            important are left out, and the card names them.
        max_minutes: no run begins later than this.
        against: an earlier ``card.json`` or its directory, with which the card is
            compared.
        on_existing: ``"continue"``, or ``"overwrite"`` to start over.
        progress: see `tuning.run_sweep`, also for the next four.
        engine: where runs are trained.
        schedule: of the learning rate.
        execution: how runs are executed.
        command: how the check was started.
        **engine_options: fields of `tuning.engines.options.EngineOptions`.

    Returns:
        The card, which has been written as ``card.json``, ``card.md`` and
        ``card.html``.

    Raises:
        ValueError: an argument is unusable, ``out`` holds something else, or no run at
            the setting can be judged.
        OSError: something could not be written; the same call continues.
    """
    rule = Rule() if rule is None else rule
    check_setting(learning_rate, batch_size)
    check_rule(rule)
    _check_budget(seeds, max_runs, max_minutes, on_existing)
    custom = optimizer if isinstance(optimizer, Mapping) else None
    setting = Setting(_name_of(optimizer), float(learning_rate), int(batch_size))
    check_names([setting.optimizer], custom)
    earlier = None if against is None else read_card(against)
    found = find_workload(workload) if isinstance(workload, str) else workload
    if earlier is not None and earlier.workload != found.name:
        raise ValueError(
            f"the earlier card is of the workload {earlier.workload!r}, this check "
            f"trains {found.name!r}: only cards of the same training can be compared."
        )
    if schedule is not None:
        found = dataclasses.replace(found, schedule=schedule)
    directory = check_path(_directory(found, setting) if out is None else out, "out")
    directories.check_directory(directory, overwrite=on_existing == "overwrite")
    found, sizes = _with_sizes(found, setting.batch_size)
    grid = Grid(
        optimizers=tuple(dict.fromkeys([setting.optimizer, ROBUST])),
        learning_rates=checked_rates(setting.learning_rate),
        batch_sizes=sizes,
        seeds=tuple(range(seeds)),
        epochs=found.epochs if epochs is None else epochs,
        options=options or {},
    )
    planned = CheckPlan(setting, rule)
    sweep = Sweep(
        workload=found,
        reference=workload if isinstance(workload, str) else None,
        grid=grid,
        directory=directory,
        options=SweepOptions(
            CHECK, max_runs, schedule, execution, command, max_minutes, planned
        ),
        engine=engine_of(engine, engine_options),
        custom=custom,
        progress=progress,
    )
    records = carry_out(sweep, overwrite=on_existing == "overwrite")
    missing = left_out(grid, planned, records)
    content = make_card(
        records,
        grid,
        planned,
        most_runs=min(max_runs, len(grid)),
        left_out=missing,
        undecided=len(DECIDING.intersection(missing)),
    )
    if content is None:
        raise ValueError(_why_unjudged(records, directory))
    summary = summarize(records, grid=grid, strategy="edges")
    curves = [curve for o in summary.optimizers for curve in o.curves]
    at_setting = [curve for curve in curves if curve.batch_size == setting.batch_size]
    card = Card(content)
    write_card_files(directory, card, at_setting)
    if earlier is not None:
        card = card.against(earlier)
        write_card_files(directory, card, at_setting)
    return card


def _name_of(optimizer: str | Mapping[str, OptimizerFactory]) -> str:
    if isinstance(optimizer, Mapping):
        if len(optimizer) != 1:
            raise ValueError(
                "optimizer must be a name or one factory by its name; received "
                f"{list(optimizer)}."
            )
        return next(iter(optimizer))
    if not isinstance(optimizer, str):
        raise TypeError(
            "optimizer must be a name such as 'keras.Adam', or {name: factory}; "
            f"received {type(optimizer).__name__}."
        )
    return optimizer


def _check_budget(
    seeds: Any, max_runs: Any, max_minutes: float | None, on_existing: str
) -> None:
    for name, value in (("seeds", seeds), ("max_runs", max_runs)):
        is_count = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not is_count or int(value) < 1:
            raise ValueError(f"{name} must be at least 1; received {value!r}.")
    if max_minutes is not None and not (math.isfinite(max_minutes) and max_minutes > 0):
        raise ValueError(
            f"max_minutes must be a positive number; received {max_minutes}."
        )
    if on_existing not in ("continue", "overwrite"):
        raise ValueError(
            f"on_existing must be 'continue' or 'overwrite'; received {on_existing!r}."
        )


def _directory(workload: AnyWorkload, setting: Setting) -> Path:
    """Where a check is kept unless said otherwise."""
    name = re.sub(r"[^\w.=+-]+", "-", workload.name).strip("-.") or "training"
    optimizer = re.sub(r"[^\w.=+-]+", "-", file_name(setting.optimizer))
    what = f"lr={setting.learning_rate:.6g}-batch={setting.batch_size}"
    return Path("checks") / f"{name}-{optimizer}-{what}"


def _with_sizes(
    workload: AnyWorkload, batch_size: int
) -> tuple[AnyWorkload, tuple[int, ...]]:
    """Half the batch size, itself and its double, as far as the data allow."""
    sizes = [batch_size // 2, batch_size, 2 * batch_size]
    if isinstance(workload, Workload):
        workload = dataclasses.replace(
            workload, load_data=LoadedOnce(workload.load_data)
        )
        data = load_checked_data(workload, [batch_size])
        available = count_examples(data.x_train)
        most = min(available, workload.examples_per_epoch or available)
        sizes = [size for size in sizes if size <= most]
    elif isinstance(workload, FitWorkload):
        if is_batch_source(workload.data) and not is_dataset(workload.data):
            sizes = [batch_size]  # these batches cannot be cut anew
        most = _examples_of(workload)
        sizes = [size for size in sizes if most is None or size <= most]
    # That of the setting first: it decides whether the training can be done at all.
    others = (size for size in sizes if size >= 1 and size != batch_size)
    return workload, (batch_size, *others)


def _examples_of(workload: FitWorkload) -> int | None:
    """Training examples of a workload whose data are arrays; else ``None``."""
    data = workload.data
    if not isinstance(data, Mapping) or is_batch_source(data.get("x")):
        return None
    parts = keras.tree.flatten(data.get("x"))
    counts = [part.shape[0] for part in parts if getattr(part, "shape", None)]
    share = {**workload.fit_options, **data}.get("validation_split") or 0.0
    return math.floor(min(counts) * (1 - share)) if counts else None


def _why_unjudged(records: Sequence[RunRecord], directory: Path) -> str:
    failed = [record for record in records if record.status == "failed"]
    first = "there is no record"
    if failed:
        first = f"the first of {len(failed)} failed with {failed[0].message}"
    return in_one_line(
        f"no run at the setting can be judged: {first} (tracebacks: "
        f"{show_path(directory / directories.FAILURES_FILE)}). Repair the training; "
        "the same command tries again."
    )
