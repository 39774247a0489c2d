"""What has changed between two checks: the verdict, distances and losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tuning.statistics.setting_card import SettingCard
from tuning.statistics.setting_figures import DistanceInterval, Side
from tuning.system.json_values import Number, Text


@dataclasses.dataclass(frozen=True)
class Change:
    """A figure of an earlier card and of this one.

    Attributes:
        name: of the figure.
        before: in the earlier card; ``None`` if it was not known.
        now: in this one.
        overlaps: whether the two intervals have values in common, so that the change
            may be chance; ``None`` if one has no interval.
    """

    name: Text
    before: Number | None
    now: Number | None
    overlaps: bool | None = None


@dataclasses.dataclass(frozen=True)
class CardComparison:
    """This card against an earlier one of the same workload.

    Attributes:
        was_safe: by the earlier card, by its own rule.
        is_safe: by this one. It alone decides the exit status.
        differences: what else differs: the setting, the rule, epochs, versions.
        changes: of the figures.
    """

    was_safe: bool
    is_safe: bool
    differences: Sequence[Text]
    changes: Sequence[Change]


def compare_cards(before: SettingCard, now: SettingCard) -> CardComparison:
    """Hold a card against an earlier one.

    Raises:
        ValueError: the cards are of different workloads or objectives.
    """
    for name in ("workload", "objective"):
        values = getattr(before, name), getattr(now, name)
        if values[0] != values[1]:
            raise ValueError(
                f"the earlier card has the {name} {values[0]!r}, this check "
                f"{values[1]!r}: only cards of the same training can be compared."
            )
    first, second = before.figures, now.figures
    changes = [
        Change(
            "loss",
            first.loss,
            second.loss,
            _overlap(
                (first.lowest_loss, first.highest_loss),
                (second.lowest_loss, second.highest_loss),
            ),
        ),
        Change(
            "share of the improvement missed", *_both(first, second, "missed_share")
        ),
        Change("share of seeds that fail", first.failed_share, second.failed_share),
        _distance("decades below", first.below, second.below),
        _distance("decades above", first.above, second.above),
        Change("best learning rate", *_both(first, second, "best_rate")),
        Change("best loss", *_both(first, second, "best_loss")),
    ]
    return CardComparison(
        before.is_safe, now.is_safe, tuple(_differences(before, now)), tuple(changes)
    )


def _both(first: object, second: object, name: str) -> tuple[float, float]:
    return getattr(first, name), getattr(second, name)


def _distance(name: str, before: Side, now: Side) -> Change:
    overlaps = None
    if before.interval is not None and now.interval is not None:
        overlaps = _overlap(_ends(before.interval), _ends(now.interval))
    return Change(name, before.decades, now.decades, overlaps)


def _ends(interval: DistanceInterval) -> tuple[float, float]:
    high = float("inf") if interval.high is None else interval.high
    return interval.low, high


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _differences(before: SettingCard, now: SettingCard) -> list[str]:
    found = []
    pairs = [
        ("optimizer", before.setting.optimizer, now.setting.optimizer),
        ("learning rate", before.setting.learning_rate, now.setting.learning_rate),
        ("batch size", before.setting.batch_size, now.setting.batch_size),
        ("epochs", before.epochs, now.epochs),
        *(
            (field.name, getattr(before.rule, field.name), value)
            for field in dataclasses.fields(now.rule)
            for value in [getattr(now.rule, field.name)]
        ),
        *(
            (f"version of {name}", version, now.versions.get(name))
            for name, version in before.versions.items()
        ),
    ]
    for name, old, new in pairs:
        if old != new:
            found.append(f"{name} {_text(old)} → {_text(new)}")
    return found


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
