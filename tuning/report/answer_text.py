"""The answer of a sweep in words: the card on top of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tuning.objectives import name_of, title_of
from tuning.report.number_text import (
    count_of,
    format_metric,
    format_rate,
    format_ratio,
    join_words,
)
from tuning.report.range_text import format_range
from tuning.report.recommendation import advise
from tuning.statistics.answer import Answer, Rival
from tuning.statistics.confidence import Reason
from tuning.statistics.recommendation import Recommendation
from tuning.statistics.values import Summary

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
        others: what works with other optimizers and batch sizes, one sentence each.
        compile_line: to paste.
        reasons: why this was chosen, one sentence each.
    """

    call: str
    batch_size: str
    figures: tuple[Figure, ...]
    others: tuple[str, ...]
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
        others=(
            *(_rival(rival, summary) for rival in found.rivals[:MOST_RIVALS]),
            *_other_sizes(recommended, summary),
        ),
        compile_line=advice.compile_line,
        reasons=advice.reasons,
    )


def write_call(optimizer: str, learning_rate: float) -> str:
    """An optimizer with its learning rate, as in Python: ``keras.Adam(1e-4)``."""
    name, _, arguments = optimizer.partition("(")
    rate = format_rate(learning_rate)
    return f"{name}({rate}, {arguments}" if arguments else f"{name}({rate})"


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
    return Figure("Learning rates that work", format_range(region), note)


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
        return f"{rival.optimizer} works from {format_range(region)}."
    return (
        f"{rival.optimizer} does not get as far: {best} at best, from "
        f"{format_range(region)}."
    )


def _other_sizes(found: Recommendation, summary: Summary) -> list[str]:
    """Whether the learning rate has to follow the batch size."""
    (optimizer,) = (o for o in summary.optimizers if o.name == found.optimizer)
    sizes = [curve.batch_size for curve in optimizer.curves]
    if len(sizes) < 2:
        return []
    where = f"at every batch size from {min(sizes)} to {max(sizes)}"
    if optimizer.shared_range is None:
        return [f"No one learning rate of {found.optimizer} works {where}."]
    rates = format_range(optimizer.shared_range)
    return [f"{found.optimizer} works from {rates} {where}."]
