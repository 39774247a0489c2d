"""The answer of a sweep in words: the card on top of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tuning.objectives import name_of, title_of
from tuning.report.number_text import (
    count_of,
    format_metric,
    format_rate,
    format_ratio,
    join_words,
)
from tuning.report.recommendation import advise
from tuning.statistics.answer import Answer, Rival
from tuning.statistics.confidence import Reason
from tuning.statistics.recommendation import Recommendation
from tuning.statistics.values import GoodRegion, Summary

MOST_RIVALS = 3
"""Other optimizers that the card names; the figures below show all of them."""


class Figure(NamedTuple):
    """One figure of the card: its name, its value, and a remark."""

    name: str
    text: str
    note: str


class AnswerCard(NamedTuple):
    """The card as text.

    Attributes:
        call: the optimizer with its learning rate, as in Python.
        batch_size: as text.
        figures: what it reaches, how far one can go, how sure that is.
        rivals: what works with other optimizers, one sentence each.
        compile_line: to paste.
        reasons: why this was chosen, one sentence each.
    """

    call: str
    batch_size: str
    figures: tuple[Figure, ...]
    rivals: tuple[str, ...]
    compile_line: str
    reasons: tuple[str, ...]


def write_answer(
    found: Answer, summary: Summary, plan: Mapping[str, Any]
) -> AnswerCard:
    """Put the answer of a sweep into words.

    Args:
        found: the answer.
        summary: of the sweep.
        plan: fields of ``sweep.json``.
    """
    recommended = found.recommendation
    advice = advise(recommended, plan, summary.good_tolerance)
    metrics = [
        Figure(title_of(name), format_metric(name, spread.mean), "mean over seeds")
        for name, spread in recommended.metrics.items()
        if recommended.objective not in {name, f"val_{name}"}
    ]
    return AnswerCard(
        call=write_call(recommended.optimizer, recommended.learning_rate),
        batch_size=str(recommended.batch_size),
        figures=(
            _objective(found, summary),
            *metrics[:1],
            _range_figure(recommended),
            _confidence(found),
        ),
        rivals=tuple(_rival(rival, summary) for rival in found.rivals[:MOST_RIVALS]),
        compile_line=advice.compile_line,
        reasons=advice.reasons,
    )


def write_call(optimizer: str, learning_rate: float) -> str:
    """An optimizer with its learning rate, as in Python: ``keras.Adam(1e-4)``."""
    name, _, arguments = optimizer.partition("(")
    rate = format_rate(learning_rate)
    return f"{name}({rate}, {arguments}" if arguments else f"{name}({rate})"


def write_range(region: GoodRegion) -> str:
    """A stable range as text: ``1e-4 to 3``.

    Ends that lie between trained learning rates get two digits, rounded inwards.
    """
    ends = (region.low_rate, region.high_rate)
    low = ends[0] if region.touches_low_edge else _round(ends[0], math.ceil)
    high = ends[1] if region.touches_high_edge else _round(ends[1], math.floor)
    low, high = (low, high) if low < high else ends
    return f"{format_rate(low)} to {format_rate(high)}"


def _round(rate: float, direction: Callable[[float], int]) -> float:
    unit = 10.0 ** (math.floor(math.log10(rate)) - 1)
    # Nine digits: what is whole but for float rounding stays as it is.
    return direction(round(rate / unit, 9)) * unit


def _objective(found: Answer, summary: Summary) -> Figure:
    name = summary.objective
    recommended = found.recommendation
    seeds = count_of(recommended.seeds, "seed")
    ends = [format_metric(name, value) for value in (found.best, found.worst)]
    note = f"{seeds}: {ends[0]} to {ends[1]}" if recommended.seeds > 1 else seeds
    text = format_metric(name, recommended.loss.mean)
    return Figure(title_of(name_of(name)), text, note)


def _range_figure(found: Recommendation) -> Figure:
    region, rate = found.stable_range, found.learning_rate
    up = f"{format_ratio(region.high_rate / rate)} above"
    down = f"{format_ratio(rate / region.low_rate)} below"
    if region.touches_low_edge and region.touches_high_edge:
        note = "no cliff within the sweep"
    elif region.touches_high_edge:
        note = f"no cliff above within the sweep, one {down}"
    elif region.touches_low_edge:
        note = f"cliff {up}, none below within the sweep"
    else:
        note = f"cliffs {up} and {down}"
    return Figure("Learning rates that work", write_range(region), note)


def _confidence(found: Answer) -> Figure:
    reasons = found.confidence.reasons
    seeds = count_of(found.recommendation.seeds, "seed")
    note = (
        join_words([_doubt(reason) for reason in reasons])
        if reasons
        else f"{seeds}, enough steps, no edge of the sweep near"
    )
    return Figure("Confidence", found.confidence.level, note)


def _doubt(reason: Reason) -> str:
    if reason.doubt == "seeds":
        return f"only {count_of(reason.count, 'seed')}"
    if reason.doubt == "steps":
        return f"runs of only {reason.count} steps"
    if reason.doubt == "unfinished":
        return f"{count_of(reason.count, 'run')} missing"
    return {
        "edge": "the edge of the sweep is near",
        "narrow": "no neighbouring learning rate works",
    }[reason.doubt]


def _rival(rival: Rival, summary: Summary) -> str:
    region = rival.stable_range
    if region is None:
        return f"{rival.optimizer} learned nothing at this batch size."
    best = format_metric(summary.objective, rival.best)
    if rival.is_as_good:
        return f"{rival.optimizer} works from {write_range(region)}."
    return (
        f"{rival.optimizer} does not get as far: {best} at best, from "
        f"{write_range(region)}."
    )
