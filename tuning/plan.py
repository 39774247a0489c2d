"""The plan of a sweep: what its runs are, and how it is told from another one.

``sweep.json`` is written before the first run and never changed afterwards. It says
what every record in ``runs.jsonl`` belongs to, so a directory can be continued,
refused or cleared without guessing.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.grid import Grid

logger = logging.getLogger(__name__)

PLAN_FILE = "sweep.json"
UNFINISHED_PLAN_FILE = "sweep.json.new"
FORMAT = 1
"""Raised when a later version can no longer read what an earlier one wrote."""

STRATEGIES = ("grid", "edges", "random", "bayesian", "hyperband")
"""Which runs of the grid are done; `tuning.strategies` makes their oracles."""

COUNTED_STRATEGIES = ("random", "bayesian")
"""Those that are told how many runs to do."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a sweep's directory is for.

    Attributes:
        workload: name of what is trained.
        grid: the runs.
        data: number of examples, ``{"train": ..., "validation": ...}``.
        reference: how the workload is found again from the command line; ``None``
            for one that exists only in the Python program that started the sweep.
        description: the workload's own sentence.
        target_val_loss: the validation loss that ``steps_to_target`` counts to.
        loss: what is minimised, as `tuning.fingerprint.describe_loss` puts it.
        own_optimizers: those of the grid that the Python program brought along.
        fingerprints: of ``data`` and ``model``; ``None`` for what could not be had.
        versions: of Python and the packages when the sweep was started.
        command: what started the sweep.
        created: when, ISO 8601 with time zone.
        strategy: which of the grid's runs are done; see `STRATEGIES`.
        max_runs: how many at most; ``None`` leaves it to the strategy.
        schedule: course of the learning rate; see `tuning.course.scheduled_rate`.
        examples_per_epoch: see `tuning.workload.Workload`.
    """

    workload: str
    grid: Grid
    data: Mapping[str, int]
    reference: str | None = None
    description: str = ""
    target_val_loss: float | None = None
    loss: str = ""
    own_optimizers: Sequence[str] = ()
    fingerprints: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    created: str = ""
    strategy: str = "grid"
    max_runs: int | None = None
    schedule: str = "constant"
    examples_per_epoch: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types; :meth:`from_dict` reads it back."""
        fields = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return {"format": FORMAT, **fields, "grid": self.grid.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Plan:
        """Read a plan that :meth:`to_dict` wrote; unknown fields are ignored.

        Raises:
            ValueError: another format, or a field is missing or unusable.
        """
        if plain.get("format") != FORMAT:
            raise ValueError(f"format {plain.get('format')!r} is not {FORMAT}")
        names = {field.name for field in dataclasses.fields(cls)} & set(plain)
        fields = {name: plain[name] for name in names}
        try:
            return cls(**{**fields, "grid": Grid.from_dict(fields["grid"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a plan of a sweep: {error}") from None

    def differences(self, other: Plan) -> list[str]:
        """What other runs ``other`` would do, one phrase per point of difference.

        Descriptions, versions and dates may differ: the runs stay the same.
        """
        mine, theirs = _comparable(self), _comparable(other)
        found = [
            f"{name} is {mine[name]} there, {theirs[name]} here"
            for name in mine
            if mine[name] != theirs[name]
        ]
        references = {self.reference, other.reference} - {None}
        if len(references) > 1:
            found.append(f"reference is {self.reference} there, {other.reference} here")
        if self._is_other("data", other) and self.data == other.data:
            found.append(
                "the values of the data are others (load_data must return the same "
                "each time)"
            )
        # Another Keras may describe the same model in other words.
        is_same_keras = self.versions.get("keras") == other.versions.get("keras")
        if is_same_keras and self._is_other("model", other):
            found.append("build_model makes another model")
        return found

    def _is_other(self, what: str, other: Plan) -> bool:
        marks = {self.fingerprints.get(what), other.fingerprints.get(what)}
        return len(marks - {None}) > 1


def read_plan(directory: Path) -> Plan:
    """The plan of a sweep's directory.

    Raises:
        ValueError: the directory holds none, or none that can be read.
    """
    path = directory / PLAN_FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict):
            raise ValueError("not a JSON object")
        return Plan.from_dict(plain)
    except FileNotFoundError:
        raise ValueError(
            f"{directory} holds no {PLAN_FILE}: it is not the directory of a sweep."
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); use another directory, or overwrite."
        ) from None


def write_plan(directory: Path, plan: Plan) -> None:
    """Write ``sweep.json`` so that it is there whole or not at all."""
    fresh = directory / UNFINISHED_PLAN_FILE
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(plan.to_dict(), file, indent=2, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, directory / PLAN_FILE)


def check_strategy(strategy: str, max_runs: int | None) -> None:
    """See that runs can be chosen that way.

    Raises:
        ValueError: ``strategy`` is none of `STRATEGIES`, or ``max_runs`` does not go
            with it.
    """
    if strategy not in STRATEGIES:
        raise ValueError(
            f"strategy must be one of {list(STRATEGIES)}; received {strategy!r}."
        )
    if strategy in COUNTED_STRATEGIES and max_runs is None:
        raise ValueError(
            f"strategy {strategy!r} has no end of its own; say max_runs (--max-runs)."
        )
    if strategy not in COUNTED_STRATEGIES and max_runs is not None:
        raise ValueError(
            f"max_runs goes with {' and '.join(COUNTED_STRATEGIES)}; strategy "
            f"{strategy!r} ends by itself."
        )
    if max_runs is not None and max_runs < 1:
        raise ValueError(f"max_runs must be at least 1; received {max_runs}.")


def check_same(earlier: Plan, now: Plan, directory: Path) -> None:
    """See that a sweep is continued as it was begun.

    Raises:
        ValueError: ``now`` plans other runs than ``earlier``; the message names what
            differs.
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


def _comparable(plan: Plan) -> dict[str, Any]:
    """What decides the runs, as JSON reads it back: tuples are lists there."""
    fields = {
        "workload": plan.workload,
        **plan.grid.to_dict(),
        "own optimizers": plan.own_optimizers,
        "loss": plan.loss,
        "target_val_loss": plan.target_val_loss,
        "data": plan.data,
        "strategy": plan.strategy,
        "max_runs": plan.max_runs,
        "schedule": plan.schedule,
        "examples_per_epoch": plan.examples_per_epoch,
    }
    return json.loads(json.dumps(fields, default=str))
