"""Sentences of a verdict that compare optimizers.

`tuning.report.verdict.write_verdict` states their rules.
"""

from __future__ import annotations

from tuning.report.number_text import format_number, format_rate, join_words
from tuning.report.tables import shown_loss
from tuning.statistics.values import Interval, OptimizerSummary, Summary


def name_most_robust(summary: Summary) -> list[str]:
    """Which optimizer is most robust, how sure that is, and which were not compared."""
    if len(summary.learning_rates) < 2:
        return ["The grid has one learning rate: robustness to it cannot be judged."]
    ranked = _ranked(summary)
    partial = [o.name for o in summary.optimizers if not o.is_complete]
    aside = []
    if partial:
        aside = [
            "Not compared for robustness, because runs are missing or failed: "
            f"{join_words(partial)}."
        ]
    if not ranked:
        learned = (
            " that learned anything" if len(partial) < len(summary.optimizers) else ""
        )
        return [
            f"No optimizer{learned} has a result at every rate and batch size yet: "
            "none is called the most robust."
        ]
    first = ranked[0]
    figure = _figure(first)
    if len(ranked) == 1:
        text = f"Only {first.name} can be judged for robustness (S {figure})."
        if len(summary.optimizers) == 1:
            text = f"Learning-rate sensitivity of {first.name}: S {figure}."
        return [text, *aside]
    equal = [o for o in ranked if _figure(o) == figure]
    following = ranked[len(equal) :]
    after = ""
    if following:
        after = f"; next {following[0].name} {_figure(following[0])}"
    against = f"against the best {summary.short_name} of any optimizer"
    if len(equal) > 1:
        names = join_words([optimizer.name for optimizer in equal])
        text = (
            f"{names} are equally robust to the learning rate (S {figure} each "
            f"{against}{after})."
        )
    else:
        text = (
            f"Most robust to the learning rate: {first.name} (S {figure} "
            f"{against}{after})."
        )
    return [text + _certainty(following), *aside]


def name_steadiest(summary: Summary) -> list[str]:
    """Which optimizer has the lowest S to its own best loss, if not the most robust."""
    ranked = _ranked(summary)
    # At a batch size where nothing was learned, a curve is flat and its own S is 0.
    candidates = [o for o in ranked if all(c.good_region for c in o.curves)]
    if len(ranked) < 2 or not candidates:
        return []
    steadiest = min(candidates, key=lambda optimizer: optimizer.mean_sensitivity or 0.0)
    own = steadiest.mean_sensitivity or 0.0
    leading = ranked[0].mean_sensitivity or 0.0
    if own >= leading or format_number(own) == format_number(leading):
        return []
    away = "below" if summary.direction == "max" else "above"
    gap = (steadiest.mean_sensitivity_to_best_of_any or 0.0) - own
    return [
        f"{steadiest.name} varies least around its own best {summary.short_name} (S "
        f"{format_number(own)}; {ranked[0].name} {format_number(leading)}), but that "
        f"lies {format_number(gap)} {away} the best {summary.short_name} of any "
        "optimizer, on average over batch sizes."
    ]


def describe_strategy(summary: Summary) -> list[str]:
    """How runs were chosen if not all were trained, and whose region is widest."""
    share = f"{summary.runs} of the grid's {summary.planned_runs} runs"
    if summary.strategy == "check":
        return [
            f"A check chose {share}, to judge one setting (card.html); optimizers are "
            "not compared for robustness."
        ]
    if summary.strategy != "edges":
        return [
            f"KerasTuner's {summary.strategy} search chose {share}: it looks for the "
            f"{summary.best_word} {summary.short_name}, so optimizers are not compared "
            "for robustness."
        ]
    learned = [o for o in summary.optimizers if o.has_learned]
    sentence = (
        f"The edges of the stable ranges were found with {share}; S, a mean over all "
        "rates, needs the whole grid."
    )
    if not learned:
        return [sentence]
    width = _width(learned[0])
    equal = [o.name for o in learned if _width(o) == width]
    following = learned[len(equal) :]
    after = f" (next {following[0].name}, {_width(following[0])})" if following else ""
    return [
        f"Widest stable range of learning rates: {join_words(equal)}, {width} decades "
        f"on average over batch sizes{after}.",
        sentence,
    ]


def name_lowest_loss(summary: Summary) -> list[str]:
    """Which optimizer reached the lowest loss, where, and which comes next."""
    reached = sorted(
        (o for o in summary.optimizers if o.best_loss is not None and o.has_learned),
        key=lambda optimizer: optimizer.best_loss or 0.0,
    )
    if not reached:
        return ["No run could be judged."]

    def best_of(optimizer: OptimizerSummary) -> str:
        return shown_loss(optimizer.best_loss, summary.direction)

    lowest = best_of(reached[0])
    names: dict[str, list[str]] = {}
    for optimizer in reached:
        if best_of(optimizer) == lowest:
            rate = format_rate(optimizer.best_loss_rate)
            place = f"at rate {rate} and batch {optimizer.best_loss_batch_size}"
            names.setdefault(place, []).append(optimizer.name)
    parts = [f"{join_words(those)}, {lowest} {place}" for place, those in names.items()]
    following = reached[sum(len(those) for those in names.values()) :]
    after = ""
    if following:
        after = f" (next {following[0].name}, {best_of(following[0])})"
    best = summary.best_word.capitalize()
    return [f"{best} {summary.loss_name}: {'; '.join(parts)}{after}."]


def _ranked(summary: Summary) -> list[OptimizerSummary]:
    """The optimizers that are compared for robustness, the most robust first."""
    return [optimizer for optimizer in summary.optimizers if optimizer.is_ranked]


def _width(optimizer: OptimizerSummary) -> str:
    bound = "at least " if optimizer.is_good_decades_lower_bound else ""
    return bound + format_number(optimizer.mean_good_decades)


def _figure(optimizer: OptimizerSummary) -> str:
    return format_number(optimizer.mean_sensitivity_to_best_of_any)


def _certainty(following: list[OptimizerSummary]) -> str:
    """How certain the difference to the following optimizers is, over the seeds."""
    if not following:
        return ""
    behind = [optimizer.behind_first_interval for optimizer in following]
    if behind[0] is None:
        return " Too few seeds for an interval: the difference may be chance."
    ties = [
        optimizer.name
        for optimizer, interval in zip(following, behind, strict=True)
        if interval is not None and _reaches_zero(interval, optimizer)
    ]
    if ties:
        return (
            f" Over the seeds, the difference to {join_words(ties)} may be 0: read it "
            "as a tie."
        )
    if behind[0].seeds == 2:
        return " Both seeds agree, as two do half of the time by chance."
    return ""


def _reaches_zero(interval: Interval, optimizer: OptimizerSummary) -> bool:
    """Whether the distance to the first may be 0, up to rounding of the means."""
    return interval.low <= 1e-9 * (optimizer.mean_sensitivity_to_best_of_any or 0.0)
