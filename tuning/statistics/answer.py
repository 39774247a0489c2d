"""The answer of a sweep: what to use, what else works, and how sure that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tuning.records import RunRecord
from tuning.statistics.confidence import Confidence, judge_confidence
from tuning.statistics.recommendation import (
    Recommendation,
    recommend_setting,
    runs_at,
)
from tuning.statistics.values import Curve, GoodRegion, Summary


@dataclasses.dataclass(frozen=True)
class Rival:
    """Another optimizer at the recommended batch size.

    Attributes:
        optimizer: its name.
        stable_range: its own; ``None`` if it learned nothing there.
        best: the best mean of the objective that it reaches there.
        is_as_good: whether that is within the summary's tolerance of what the
            recommended setting reaches, as a share of the improvement.
    """

    optimizer: str
    stable_range: GoodRegion | None
    best: float
    is_as_good: bool


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a sweep says to someone who wants to train.

    Attributes:
        recommendation: optimizer, learning rate and batch size.
        worst: the objective with the worst seed; it counts as
            `tuning.statistics.seed_losses.judged_loss` has it.
        best: the objective with the best seed.
        confidence: in the recommendation.
        rivals: the other optimizers, the widest stable range first.
    """

    recommendation: Recommendation
    worst: float
    best: float
    confidence: Confidence
    rivals: tuple[Rival, ...]


def answer(summary: Summary, records: Sequence[RunRecord]) -> Answer | None:
    """Recommend a setting, and put it beside the other optimizers.

    Args:
        summary: of the sweep.
        records: that the summary was made of.

    Returns:
        ``None`` if no setting improved on its initial loss.
    """
    found = recommend_setting(summary, records) if records else None
    if found is None:
        return None
    curves = [
        curve
        for optimizer in summary.optimizers
        for curve in optimizer.curves
        if curve.batch_size == found.batch_size
    ]
    (chosen,) = (curve for curve in curves if curve.optimizer == found.optimizer)
    (point,) = (p for p in chosen.points if p.learning_rate == found.learning_rate)
    longest = max(record.epochs for record in records)
    runs = runs_at(
        [record for record in records if record.epochs == longest],
        found.optimizer,
        found.batch_size,
        found.learning_rate,
    )
    limit = point.loss + summary.good_tolerance * (chosen.initial_loss - point.loss)
    rivals = [_rival(summary, curve, limit) for curve in curves if curve is not chosen]
    return Answer(
        recommendation=found,
        worst=summary.shown(point.highest_loss),
        best=summary.shown(point.lowest_loss),
        confidence=judge_confidence(found, summary, chosen, runs),
        rivals=tuple(sorted(rivals, key=_width, reverse=True)),
    )


def _rival(summary: Summary, curve: Curve, limit: float) -> Rival:
    return Rival(
        optimizer=curve.optimizer,
        stable_range=curve.good_region,
        best=summary.shown(curve.best_loss),
        is_as_good=curve.good_region is not None and curve.best_loss <= limit,
    )


def _width(rival: Rival) -> float:
    return rival.stable_range.decades if rival.stable_range else -1.0
