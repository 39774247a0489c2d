"""The plan of a sweep: which runs it has, and how it differs from another one.

``sweep.json`` is written before the first run and never changed afterwards. It says
to which sweep the records in ``runs.jsonl`` belong, so a directory can be continued,
refused or cleared without guessing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter

from tuning.grid import Grid
from tuning.optimizer_names import earlier_names
from tuning.options import CHECK, SCHEDULES, STRATEGIES, check_strategy
from tuning.setting import CheckPlan
from tuning.system.files import write_whole
from tuning.system.json_files import read_text
from tuning.system.json_values import (
    Count,
    InvalidFileError,
    NotJSONError,
    Number,
    Positive,
    Text,
    check,
    check_present,
    one_of,
    parse,
    show_value,
    storable,
)
from tuning.system.paths import check_directory, show_path

PLAN_FILE = "sweep.json"
"""Name of the file with the sweep's plan inside its directory."""

FORMAT = 1
"""Version of the format, increased when earlier files can no longer be read."""


SETTINGS = (
    "objective",
    "direction",
    "max_steps",
    "fit_options",
    "loss_weights",
    "hyperparameters",
)
"""Fields that only some kinds of workloads have, and that decide their runs."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The plan of a sweep: what is trained, and with which runs.

    Attributes:
        workload: name of what is trained.
        grid: the runs.
        data: number of examples, ``{"train": ..., "validation": ...}``.
        reference: the name by which the command line finds the workload again;
            ``None`` if it exists only in the Python program that started the sweep.
        description: of the workload, one sentence.
        target_val_loss: the validation loss that ``steps_to_target`` counts to.
        loss: a text from `tuning.sweep.fingerprint.describe_loss`.
        own_optimizers: optimizers of the grid that only a Python program has.
        fingerprints: of ``data`` and ``model``; ``None`` where there is none.
        versions: of Python and the packages when the sweep was started.
        command: what started the sweep.
        created: when, ISO 8601 with time zone.
        strategy: which of the grid's runs are trained; see `STRATEGIES`.
        max_runs: the most runs to train; ``None`` leaves that to the strategy.
        schedule: of the learning rate; see `tuning.trainers.schedule.scheduled_rate`.
        examples_per_epoch: see `tuning.workload.Workload`.
        settings: further fields of the workload that decide its runs, as text.
        check: the setting and the rule of a check; ``None`` for other sweeps.
    """

    workload: Text
    grid: Grid
    data: Mapping[Text, Count]
    reference: Text | None = None
    description: Text = ""
    target_val_loss: Number | None = None
    loss: Text = ""
    own_optimizers: Sequence[Text] = ()
    fingerprints: Mapping[Text, Text | None] = dataclasses.field(default_factory=dict)
    versions: Mapping[Text, Text] = dataclasses.field(default_factory=dict)
    command: Text = ""
    created: Text = ""
    strategy: Annotated[Text, one_of(STRATEGIES)] = "grid"
    max_runs: Positive | None = None
    schedule: Annotated[Text, one_of(SCHEDULES)] = "constant"
    examples_per_epoch: Positive | None = None
    settings: Mapping[Text, Text] = dataclasses.field(default_factory=dict)
    check: CheckPlan | None = None

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types; :meth:`from_dict` reads it back."""
        fields = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        if self.check is None:
            del fields["check"]
        else:
            fields["check"] = dataclasses.asdict(self.check)
        return {"format": FORMAT, **fields, "grid": self.grid.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Plan:
        """Read a plan that :meth:`to_dict` wrote; unknown fields are ignored.

        Raises:
            InvalidFileError: the format is another one, or a field is missing or
                unusable; a ``ValueError``.
        """
        if plain.get("format") != FORMAT:
            raise InvalidFileError(
                f"format must be {FORMAT}; received {show_value(plain.get('format'))}"
            )
        plan = check(_schema(), plain)
        try:
            check_strategy(plan.strategy, plan.max_runs)
            if (plan.strategy == CHECK) != (plan.check is not None):
                raise ValueError("strategy and check do not fit each other")
        except ValueError as error:
            raise InvalidFileError(str(error).rstrip(".")) from None
        return plan

    def differences(self, other: Plan) -> list[str]:
        """How the runs of ``other`` would differ, one phrase per difference.

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
        # Another version of Keras may give the same model another configuration.
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
        InvalidFileError: the directory holds no plan, or the plan cannot be read; a
            ``ValueError``.
    """
    directory = check_directory(directory, "the directory of a sweep")
    path = directory / PLAN_FILE
    try:
        plain = _read_object(path)
        with _named(path):
            plan = Plan.from_dict(plain)
        _check_current_names(path, plan.grid.optimizers, plan.own_optimizers)
        return plan
    except FileNotFoundError:
        raise InvalidFileError(
            f"{show_path(directory)} holds no {PLAN_FILE}: it is not the directory of "
            "a sweep."
        ) from None


def read_plan_fields(path: Path) -> dict[str, Any]:
    """The fields of ``sweep.json``, even if some are missing; empty without the file.

    This is for reports, which need fewer fields than a sweep.

    Raises:
        InvalidFileError: the file cannot be read, or a field is unusable; a
            ``ValueError``.
    """
    try:
        plain = _read_object(path)
    except FileNotFoundError:
        return {}
    with _named(path):
        check_present(_schema(), plain)
    names = (plain.get("grid") or {}).get("optimizers", ())
    _check_current_names(path, names, plain.get("own_optimizers", ()))
    return plain


def may_be_plan(path: Path) -> bool:
    """Whether a file is a plan of any format, or one that was only partly written."""
    try:
        text = read_text(path)
    except (OSError, InvalidFileError):
        return False
    try:
        plain = parse(text)
    except NotJSONError:
        return text.strip("\0 \r\n\t")[:1] in ("{", "")
    except InvalidFileError:  # such as NaN in a plan that somebody has edited
        return '"format"' in text and '"grid"' in text
    return isinstance(plain, dict) and {"format", "grid"} <= set(plain)


def check_writable(plan: Plan) -> None:
    """Check that a plan can be read back when it has been written.

    Raises:
        ValueError: a field has the wrong type, such as a description that is not text.
    """
    try:
        Plan.from_dict(json.loads(_to_json(plan)))
    except InvalidFileError as error:
        raise ValueError(f"the sweep cannot be planned: {error}.") from None


def write_plan(directory: Path, plan: Plan) -> None:
    """Write ``sweep.json`` atomically: the whole file or nothing."""
    write_whole(directory / PLAN_FILE, _to_json(plan) + "\n")


def _check_current_names(
    path: Path, names: Sequence[str], custom: Sequence[str]
) -> None:
    """Refuse a plan of an earlier version, which called optimizers by other names.

    Raises:
        InvalidFileError: the plan has such a name.
    """
    renamed = earlier_names(names, custom)
    if renamed:
        raise InvalidFileError(
            f"{show_path(path)} was written by an earlier version, which called "
            f"optimizers by other names: {renamed} now. Use another directory, or "
            "start over with --overwrite (on_existing='overwrite'); the version that "
            "wrote it can still report it."
        )


def _to_json(plan: Plan) -> str:
    return json.dumps(storable(plan.to_dict()), indent=2, default=str)


@functools.cache
def _schema() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def _read_object(path: Path) -> dict[str, Any]:
    text = read_text(path)
    with _named(path):
        plain = parse(text)
        if not isinstance(plain, dict):
            raise InvalidFileError(
                f"it must be an object; received {show_value(plain)}"
            )
    return plain


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add the path of a plan, and what to do, to an error in it."""
    try:
        yield
    except InvalidFileError as error:
        raise InvalidFileError(
            f"{show_path(path)} cannot be read: {error}. Repair or restore the file, "
            "use another directory, or start over with --overwrite "
            "(on_existing='overwrite')."
        ) from None


def _comparable(plan: Plan) -> dict[str, Any]:
    """The fields that decide the runs, as read back from JSON: lists, not tuples."""
    fields = {
        "workload": plan.workload,
        **plan.grid.to_dict(),
        "custom optimizers": plan.own_optimizers,
        "loss": plan.loss,
        "target_val_loss": plan.target_val_loss,
        "data": plan.data,
        "strategy": plan.strategy,
        # A check that is given a larger budget goes on.
        "max_runs": None if plan.check else plan.max_runs,
        "check": dataclasses.asdict(plan.check) if plan.check else None,
        "schedule": plan.schedule,
        "examples_per_epoch": plan.examples_per_epoch,
        **{name: plan.settings.get(name) for name in SETTINGS},
    }
    return json.loads(json.dumps(storable(fields), default=str))
