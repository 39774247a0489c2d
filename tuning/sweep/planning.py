"""The plan of a sweep that is about to start or to be continued."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuning.engines.options import EngineOptions
from tuning.grid import Grid
from tuning.optimizer_names import OptimizerFactory
from tuning.options import SweepOptions
from tuning.plan import Plan
from tuning.records import installed_versions
from tuning.sweep.fingerprint import describe_loss, fingerprint_data, fingerprint_model
from tuning.sweep.progress import ProgressListener
from tuning.system.process_end import os_exit_raises
from tuning.training.model_builder import ModelBuilder
from tuning.workload import Data, Workload

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
        progress: called at the start and after every run.
    """

    workload: Workload
    reference: str | None
    grid: Grid
    directory: Path
    options: SweepOptions
    engine: EngineOptions
    custom: Mapping[str, OptimizerFactory] | None = None
    progress: ProgressListener | None = None


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
        loss=describe_loss(sweep.workload.loss),
        own_optimizers=sorted(set(sweep.custom or {}) & set(sweep.grid.optimizers)),
        fingerprints=fingerprints,
        versions=installed_versions(),
        command=sweep.options.command,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        strategy=sweep.options.strategy,
        max_runs=sweep.options.max_runs,
        schedule=sweep.workload.schedule,
        examples_per_epoch=sweep.workload.examples_per_epoch,
    )


def describe_training(builder: ModelBuilder, data: Data) -> dict[str, Any]:
    """Sizes and fingerprints of data and model, as arguments of :func:`make_plan`."""
    model = None
    with _errors_left_to_runs():
        model = fingerprint_model(builder.build_trial())
    return {
        "data": {"train": len(data.x_train), "validation": len(data.x_val)},
        "fingerprints": {"data": fingerprint_data(data), "model": model},
    }


def shared_values(builder: ModelBuilder) -> Sequence[np.ndarray | None] | None:
    """See `ModelBuilder.shared_values`; ``None`` if no model can be built."""
    with _errors_left_to_runs():
        return builder.shared_values()
    return None


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


def warn_of_other_versions(earlier: Plan, now: Plan) -> None:
    """Log in one line which packages have changed since the sweep was started."""
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


@contextlib.contextmanager
def _errors_left_to_runs() -> Iterator[None]:
    """Ignore errors of ``build_model``: every run will report them.

    A model that is repaired later still belongs to the same sweep.
    """
    try:
        with os_exit_raises():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, too
        logger.debug("No model could be built.", exc_info=True)
