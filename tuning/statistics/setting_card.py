"""Is a setting safe? The answer and its figures, from the records of a check."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter

from tuning.grid import Grid
from tuning.objectives import DIRECTIONS
from tuning.records import RunRecord
from tuning.setting import CheckPlan, Rule, Setting
from tuning.statistics.failing_rates import TriedRates, collect
from tuning.statistics.scaled_rates import scaled_rate
from tuning.statistics.seed_losses import objective_of
from tuning.statistics.setting_figures import (
    COARSE,
    FACTORS,
    SettingFigures,
    describe_setting,
)
from tuning.system.json_values import (
    Count,
    InvalidFileError,
    Number,
    Positive,
    Seconds,
    Text,
    check,
    one_of,
    show_value,
)

FORMAT = 1
"""Version of ``card.json``."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One part of the rule, and whether the setting meets it.

    Attributes:
        name: ``failed seeds``, ``their bound``, ``decades below``, ``decades above``,
            ``loss gap``, or ``undecided`` if the budget was too small for a verdict.
        value: what was found.
        limit: what the rule allows.
        is_met: whether that is enough.
    """

    name: Text
    value: Number
    limit: Number
    is_met: bool


@dataclasses.dataclass(frozen=True)
class SettingCard:
    """Whether a setting is safe, and what surrounds it.

    Attributes:
        workload: what was trained.
        objective: the quantity by which runs were judged.
        epochs: of every run.
        rule: of the verdict.
        findings: one for each part of the rule. The setting is safe if all are met.
        figures: of the setting.
        other_sizes: of half and double the batch size at the same learning rate; the
            last of their other learning rates is the scaled one.
        robust: of ``keras_adam.Adam.robust`` at the same learning rate and batch size;
            ``None`` if it was not run.
        runs: that were trained.
        failed_runs: of them raised an error, and have no figures.
        most_runs: that the budget allows.
        steps: optimizer steps of all runs.
        seconds: of all runs.
        left_out: what the budget has cut off.
        versions: of Python and the packages.
        direction: ``"min"`` or ``"max"``: which of its values are better. With
            ``"max"`` every loss here is the negative of the objective.
    """

    workload: Text
    objective: Text
    epochs: Positive
    rule: Rule
    findings: Sequence[Finding]
    figures: SettingFigures
    other_sizes: Sequence[SettingFigures]
    robust: SettingFigures | None
    runs: Positive
    failed_runs: Count
    most_runs: Positive
    steps: Count
    seconds: Seconds
    left_out: Sequence[Text] = ()
    versions: Mapping[Text, Text] = dataclasses.field(default_factory=dict)
    direction: Annotated[Text, one_of(DIRECTIONS)] = "min"

    @property
    def is_safe(self) -> bool:
        """Whether the setting meets every part of the rule."""
        return all(finding.is_met for finding in self.findings)

    @property
    def setting(self) -> Setting:
        """What was checked."""
        return self.figures.setting

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON types; :meth:`from_dict` reads it back."""
        plain = dataclasses.asdict(self)
        return {"format": FORMAT, "is_safe": self.is_safe, **plain}

    @classmethod
    def from_dict(cls, plain: Any) -> SettingCard:
        """Read a card that :meth:`to_dict` wrote; unknown fields are ignored.

        Raises:
            InvalidFileError: it is no card, or one of another format; a ``ValueError``.
        """
        if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
            found = plain.get("format") if isinstance(plain, Mapping) else plain
            raise InvalidFileError(
                f"format must be {FORMAT}; received {show_value(found)}"
            )
        return check(_schema(), plain)


@functools.cache
def _schema() -> TypeAdapter[SettingCard]:
    return TypeAdapter(SettingCard)


def make_card(
    records: Sequence[RunRecord],
    grid: Grid,
    planned: CheckPlan,
    *,
    most_runs: int,
    left_out: Sequence[str] = (),
    undecided: int = 0,
) -> SettingCard | None:
    """The card of a check; ``None`` if no run at the setting can be judged.

    Args:
        records: of the grid's runs that were trained.
        grid: of the check.
        planned: the setting and the rule.
        most_runs: that the budget allows.
        left_out: what it has cut off.
        undecided: how much of that the verdict needs.
    """
    if not records:
        return None
    setting, rule = planned.setting, planned.rule
    tried = by_group(records, grid)
    objective, direction = objective_of(records)
    own = tried[setting.optimizer, setting.batch_size]
    rates = [setting.learning_rate * factor for factor in FACTORS]
    figures = describe_setting(own, setting, rule, rates)
    if figures is None:
        return None
    sizes = [
        dataclasses.replace(setting, batch_size=size)
        for size in sorted(grid.batch_sizes)
        if size != setting.batch_size
    ]
    other_sizes = [
        describe_setting(
            tried[other.optimizer, other.batch_size],
            other,
            rule,
            [scaled_rate(setting, other.batch_size)],
            COARSE,
        )
        for other in sizes
    ]
    rivals = [
        describe_setting(
            tried[name, setting.batch_size],
            dataclasses.replace(setting, optimizer=name),
            rule,
            rates,
            COARSE,
        )
        for name in grid.optimizers
        if name != setting.optimizer
    ]
    return SettingCard(
        workload=records[0].workload,
        objective=objective,
        epochs=grid.epochs,
        rule=rule,
        findings=judge(figures, rule, undecided, _unjudged(own, setting)),
        figures=figures,
        other_sizes=tuple(other for other in other_sizes if other is not None),
        robust=rivals[0] if rivals else None,
        runs=len(records),
        failed_runs=sum(record.status == "failed" for record in records),
        most_runs=most_runs,
        steps=sum(record.steps for record in records),
        seconds=sum(record.seconds for record in records),
        left_out=tuple(left_out),
        versions=dict(records[-1].versions),
        direction=direction,
    )


def by_group(
    records: Sequence[RunRecord], grid: Grid
) -> dict[tuple[str, int], TriedRates]:
    """The results of every optimizer and batch size of a grid."""
    rates, seeds = sorted(grid.learning_rates), list(grid.seeds)
    groups: dict[tuple[str, int], list[RunRecord]] = {
        (name, size): [] for name in grid.optimizers for size in grid.batch_sizes
    }
    for record in records:
        groups[record.optimizer, record.batch_size].append(record)
    return {group: collect(some, rates, seeds) for group, some in groups.items()}


ROUNDED_DECADES = 1e-3
"""The learning rates of a check are rounded to four digits."""


def _unjudged(tried: TriedRates, setting: Setting) -> int:
    """Seeds at the setting whose run raised an error."""
    start = list(tried.rates).index(setting.learning_rate)
    return sum(loss is None for (i, _), loss in tried.losses.items() if i == start)


def judge(
    figures: SettingFigures, rule: Rule, undecided: int = 0, unjudged: int = 0
) -> tuple[Finding, ...]:
    """Hold a setting against the parts of the rule.

    Args:
        figures: of the setting.
        rule: of the verdict.
        undecided: steps of the search that the verdict needs and the budget has cut
            off. A better learning rate, or one that fails, may have been missed.
        unjudged: seeds at the setting that gave no result.
    """
    findings = [
        Finding(
            "failed seeds",
            figures.failed_share,
            rule.max_failed_share,
            figures.failed_share <= rule.max_failed_share,
        )
    ]
    if rule.max_failed_bound is not None:
        bound = figures.failed_bound
        is_met = bound <= rule.max_failed_bound
        findings.append(Finding("their bound", bound, rule.max_failed_bound, is_met))
    for name, side in (("below", figures.below), ("above", figures.above)):
        is_met = side.decades >= rule.min_decades - ROUNDED_DECADES
        findings.append(
            Finding(f"decades {name}", side.decades, rule.min_decades, is_met)
        )
    gap = figures.missed_share
    findings.append(
        Finding("loss gap", gap, rule.max_loss_gap, gap <= rule.max_loss_gap)
    )
    if unjudged:
        findings.append(Finding("unjudged seeds", unjudged, 0.0, False))
    if undecided:
        findings.append(Finding("undecided", undecided, 0.0, False))
    return tuple(findings)
