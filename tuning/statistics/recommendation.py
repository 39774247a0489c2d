"""Which optimizer, learning rate and batch size to use: the middle of a stable range.

A *setting* is an optimizer at a batch size. Its *stable range* is the unbroken range of
learning rates around its best that are nearly as good as that
(`tuning.statistics.curves.find_good_region`).
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tuning.records import RunRecord
from tuning.statistics.seed_losses import judged_loss
from tuning.statistics.values import Curve, GoodRegion, Point, Summary


class Spread(NamedTuple):
    """A quantity over the seeds.

    Attributes:
        mean: over the seeds that have it.
        deviation: standard deviation (n - 1); ``None`` with one seed.
    """

    mean: float
    deviation: float | None


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """The setting and the learning rate to use.

    Attributes:
        optimizer: name in the sweep.
        learning_rate: of those that were trained, the one nearest to the middle of the
            stable range.
        batch_size: examples per step.
        follows_schedule: whether the learning rate is the largest of a schedule.
        objective: the quantity by which runs were judged.
        direction: ``"min"`` or ``"max"``: which of its values are better.
        loss: the objective over seeds, as `tuning.statistics.seed_losses.judged_loss`
            has it: a run that diverged counts with its initial one.
        initial_loss: the objective before the first step.
        metrics: the others, by name, over seeds.
        seeds: runs at this setting and learning rate.
        stable_range: of the setting.
        settings: of the sweep that learned anything.
        settings_as_good: how many of them reach nearly the same loss in the middle of
            their stable range; this one has the widest.
        luckiest_run: the single run that ended best.
        luckiest_loss: the objective it ended with.
        luckiest_mean: mean over all seeds of that run.
    """

    optimizer: str
    learning_rate: float
    batch_size: int
    follows_schedule: bool
    objective: str
    direction: str
    loss: Spread
    initial_loss: float
    metrics: Mapping[str, Spread]
    seeds: int
    stable_range: GoodRegion
    settings: int
    settings_as_good: int
    luckiest_run: str
    luckiest_loss: float
    luckiest_mean: float


class _Candidate(NamedTuple):
    curve: Curve
    region: GoodRegion
    point: Point


def recommend_setting(
    summary: Summary, records: Sequence[RunRecord]
) -> Recommendation | None:
    """Choose the setting with the widest stable range among those that end as low.

    A setting ends as low if the mean loss in the middle of its stable range is within
    the summary's tolerance of the lowest such loss, as a share of the improvement from
    the initial loss. A single run that ended lower by chance does not count: a rate
    next to it may fail.

    Args:
        summary: of the sweep.
        records: that the summary was made of.

    Returns:
        ``None`` if no setting improved on the initial loss.
    """
    candidates = [
        _Candidate(curve, curve.good_region, _middle(curve, curve.good_region))
        for optimizer in summary.optimizers
        for curve in optimizer.curves
        if curve.good_region is not None
    ]
    if not candidates:
        return None
    lowest = min(candidate.point.loss for candidate in candidates)
    initial = statistics.fmean(c.curve.initial_loss for c in candidates)
    limit = lowest + summary.good_tolerance * (initial - lowest)
    as_good = [c for c in candidates if c.point.loss <= limit]
    curve, region, point = max(as_good, key=lambda c: (c.region.decades, -c.point.loss))
    longest = max(record.epochs for record in records)
    records = [record for record in records if record.epochs == longest]
    chosen = runs_at(records, curve.optimizer, curve.batch_size, point.learning_rate)
    judged = {r.run_id: judged_loss(r) for r in records}
    loss, luckiest = min((j, i) for i, j in judged.items() if j is not None)
    luckiest_record = next(r for r in records if r.run_id == luckiest)
    beside_luckiest = runs_at(
        records,
        luckiest_record.optimizer,
        luckiest_record.batch_size,
        luckiest_record.learning_rate,
    )

    def shown(some: Sequence[RunRecord]) -> Spread:
        losses = [judged[r.run_id] for r in some]
        return _spread([None if x is None else summary.shown(x) for x in losses])

    return Recommendation(
        optimizer=curve.optimizer,
        learning_rate=point.learning_rate,
        batch_size=curve.batch_size,
        follows_schedule=_follows_schedule(chosen[0]),
        objective=summary.objective,
        direction=summary.direction,
        loss=shown(chosen),
        initial_loss=summary.shown(curve.initial_loss),
        metrics=_metrics_of(chosen),
        seeds=len(chosen),
        stable_range=region,
        settings=len(candidates),
        settings_as_good=len(as_good),
        luckiest_run=luckiest,
        luckiest_loss=summary.shown(loss),
        luckiest_mean=shown(beside_luckiest).mean,
    )


def _follows_schedule(record: RunRecord) -> bool:
    rate = record.optimizer_config.get("learning_rate")
    return record.schedule != "constant" or isinstance(rate, Mapping)


def _middle(curve: Curve, region: GoodRegion) -> Point:
    """The trained learning rate of a region that is nearest to its middle.

    Of two equally near ones the one with the lower loss.
    """
    middle = math.sqrt(region.low_rate * region.high_rate)
    # The best rate lies in it, so there is one.
    inside = [point for point in curve.points if region.contains(point.learning_rate)]
    return min(
        inside,
        key=lambda point: (
            round(abs(math.log10(point.learning_rate / middle)), 6),
            point.loss,
        ),
    )


def runs_at(
    records: Sequence[RunRecord], optimizer: str, batch_size: int, rate: float
) -> list[RunRecord]:
    """The runs of a setting at one learning rate that did not fail."""
    return [
        record
        for record in records
        if (record.optimizer, record.batch_size) == (optimizer, batch_size)
        and record.learning_rate == rate
        and record.status != "failed"
    ]


def _metrics_of(records: Sequence[RunRecord]) -> dict[str, Spread]:
    names = dict.fromkeys(name for record in records for name in record.val_metrics)
    values = {
        name: [record.val_metrics.get(name) for record in records] for name in names
    }
    return {
        name: _spread(some)
        for name, some in values.items()
        if any(value is not None for value in some)
    }


def _spread(values: Sequence[float | None]) -> Spread:
    """Mean and deviation of the known values, of which there is at least one."""
    known = [value for value in values if value is not None]
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Spread(statistics.fmean(known), deviation)
