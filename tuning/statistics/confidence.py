"""How far a recommendation can be trusted, by a fixed rule."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tuning.records import RunRecord
from tuning.statistics.recommendation import Recommendation
from tuning.statistics.values import Curve, Summary

Level = Literal["high", "fair", "low"]
Doubt = Literal["seeds", "steps", "edge", "narrow", "unfinished"]

LEAST_SEEDS = 3
"""Two seeds agree half of the time by chance; see `tuning.statistics.values.Interval`.
"""

LEAST_STEPS = 300
"""Optimizer steps that a run should take: in fewer, Adam's second moment, a mean over
1 / (1 - 0.999) = 1000 steps, has hardly begun to settle, and the learning rate that
falls fastest wins over the one that ends lowest."""

EDGE_DECADES = 1.0
"""A rate nearer than this to an edge of the sweep is not the middle of what works, if
what works goes on beyond that edge."""


class Reason(NamedTuple):
    """Something that lowers the confidence.

    Attributes:
        doubt: which.
        count: of seeds, of steps, or of missing runs; 0 for the others.
    """

    doubt: Doubt
    count: int = 0


@dataclasses.dataclass(frozen=True)
class Confidence:
    """One word and what it rests on.

    Attributes:
        level: ``"high"``, ``"fair"`` or ``"low"``.
        reasons: the doubts, the gravest first; empty if the level is high.
    """

    level: Level
    reasons: tuple[Reason, ...]


def judge_confidence(
    found: Recommendation, summary: Summary, curve: Curve, runs: Sequence[RunRecord]
) -> Confidence:
    """Say how far a recommendation can be trusted.

    There are five doubts:

    1. *seeds*: fewer than `LEAST_SEEDS` runs stand behind the recommended rate.
    2. *steps*: these runs took fewer than `LEAST_STEPS` optimizer steps. Runs that do
       not say how many they took raise no doubt.
    3. *edge*: the stable range goes up to an edge of the sweep, and the recommended
       rate lies within `EDGE_DECADES` of that edge: a better one may lie outside.
    4. *narrow*: no other rate that was trained lies in the stable range.
    5. *unfinished*: planned runs are missing.

    Confidence is high without a doubt, fair with one, and low with two or more, or with
    a single seed.

    Args:
        found: the recommendation.
        summary: of the sweep.
        curve: of the recommended optimizer and batch size.
        runs: at the recommended setting and learning rate.
    """
    region = found.stable_range
    steps = max((run.steps for run in runs if run.status == "ok"), default=0)
    inside = [point for point in curve.points if region.contains(point.learning_rate)]
    to_low, to_high = (
        abs(math.log10(found.learning_rate / end))
        for end in (region.low_rate, region.high_rate)
    )
    is_at_edge = (region.touches_low_edge and to_low < EDGE_DECADES) or (
        region.touches_high_edge and to_high < EDGE_DECADES
    )
    missing = len(summary.missing_runs)
    doubts = [
        (found.seeds < LEAST_SEEDS, Reason("seeds", found.seeds)),
        (0 < steps < LEAST_STEPS, Reason("steps", steps)),
        (is_at_edge, Reason("edge")),
        (len(inside) == 1 and len(curve.points) > 1, Reason("narrow")),
        (missing > 0, Reason("unfinished", missing)),
    ]
    reasons = tuple(reason for is_raised, reason in doubts if is_raised)
    if len(reasons) > 1 or found.seeds == 1:
        return Confidence("low", reasons)
    return Confidence("fair" if reasons else "high", reasons)
