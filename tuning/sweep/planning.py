"""The plan of a sweep that is about to start or to be continued."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Mapping
from pathlib import Path

from tuning.engines.options import EngineOptions
from tuning.grid import Grid
from tuning.objectives import direction_of
from tuning.optimizer_names import OptimizerFactory
from tuning.options import SweepOptions
from tuning.plan import SETTINGS, Plan
from tuning.records import installed_versions
from tuning.sweep.fingerprint import describe, describe_loss
from tuning.sweep.progress import ProgressListener
from tuning.workload_kinds import AnyWorkload

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Everything that decides what a sweep does and where.

    Attributes:
        workload: what is trained, with the schedule of the options.
        reference: the name by which the command line finds the workload again;
            ``None`` if it exists only in the Python program.
        grid: the runs.
        directory: of the sweep.
        options: how runs are chosen and trained.
        engine: where runs are trained.
        custom: the Python program's own optimizer factories by name.
        progress: see `tuning.sweep.display.listening`.
    """

    workload: AnyWorkload
    reference: str | None
    grid: Grid
    directory: Path
    options: SweepOptions
    engine: EngineOptions
    custom: Mapping[str, OptimizerFactory] | None = None
    progress: ProgressListener | bool | None = None

    @property
    def own_optimizers(self) -> list[str]:
        """Optimizers of the grid that only a Python program has."""
        return sorted(set(self.custom or {}) & set(self.grid.optimizers))


def make_plan(
    sweep: Sweep,
    data: Mapping[str, int],
    fingerprints: Mapping[str, str | None],
) -> Plan:
    """The plan of a sweep, as ``sweep.json`` holds it.

    Args:
        sweep: what is planned.
        data: number of examples, ``{"train": ..., "validation": ...}``.
        fingerprints: of ``data`` and ``model``.
    """
    return Plan(
        workload=sweep.workload.name,
        grid=sweep.grid,
        data=data,
        reference=sweep.reference,
        description=sweep.workload.description,
        target_val_loss=sweep.workload.target_val_loss,
        loss=describe_loss(getattr(sweep.workload, "loss", "")),
        own_optimizers=sweep.own_optimizers,
        fingerprints=fingerprints,
        versions=installed_versions(),
        command=sweep.options.command,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        strategy=sweep.options.strategy,
        max_runs=sweep.options.max_runs,
        schedule=sweep.workload.schedule,
        examples_per_epoch=sweep.workload.examples_per_epoch,
        settings=_settings_of(sweep.workload),
        check=sweep.options.check,
    )


def _settings_of(workload: AnyWorkload) -> dict[str, str]:
    """The fields of `SETTINGS` that the workload has and that are set."""
    values = {name: getattr(workload, name, None) for name in SETTINGS}
    # As it is used: what is given may be what the objective's name says, too.
    values["direction"] = "max" if direction_of(workload) == "max" else None
    return {name: describe(value) for name, value in values.items() if value}


def check_same(earlier: Plan, now: Plan, directory: Path) -> None:
    """Check that a sweep is continued with the plan it was started with.

    Raises:
        ValueError: ``now`` plans other runs than ``earlier``; the message names the
            differences.
    """
    differences = earlier.differences(now)
    if differences:
        raise ValueError(
            f"{directory} holds another sweep: {'; '.join(differences)}. Use another "
            "directory, or overwrite."
        )


def warn_of_changes(earlier: Plan, now: Plan) -> None:
    """Log what has changed since the sweep was started and may change its results.

    A training function may have been repaired, so that other code is no other sweep.
    """
    functions = {p.fingerprints.get("function") for p in (earlier, now)} - {None}
    if len(functions) > 1:
        logger.warning(
            "The training function of %r has changed since this sweep was started. "
            "Runs that are recorded are not trained again; with --overwrite "
            "(on_existing='overwrite') all are.",
            now.workload,
        )
    changed = [
        f"{name} {earlier.versions.get(name)} -> {version}"
        for name, version in now.versions.items()
        if earlier.versions.get(name) != version
    ]
    if changed:
        logger.warning(
            "This sweep was started with other versions, which its records tell "
            "apart: %s.",
            ", ".join(changed),
        )
