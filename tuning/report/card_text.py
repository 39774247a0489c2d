"""A setting's card in sentences."""

from __future__ import annotations

from tuning.objectives import name_of, turned
from tuning.report.number_text import (
    count_of,
    format_number,
    format_rate,
    format_seconds,
    format_share,
    join_words,
)
from tuning.statistics.card_comparison import CardComparison, Change
from tuning.statistics.limits import GOOD_TOLERANCE
from tuning.statistics.scaled_rates import is_sgd
from tuning.statistics.setting_card import Finding, SettingCard
from tuning.statistics.setting_figures import OtherRate, SettingFigures, Side

_FACTORS = {
    2.0: "twice as large",
    0.5: "half as large",
    10.0: "ten times as large",
    0.1: "a tenth as large",
}


def shown_loss(card: SettingCard, loss: float) -> str:
    """A loss as people read it: an objective to be maximised has its own sign."""
    return format_number(turned(loss, card.direction))


def shown_range(card: SettingCard, figures: SettingFigures) -> tuple[str, str]:
    """The least and the greatest value over the seeds, as people read it."""
    ends = figures.lowest_loss, figures.highest_loss
    low, high = ends[::-1] if card.direction == "max" else ends
    return shown_loss(card, low), shown_loss(card, high)


def title_of(card: SettingCard) -> str:
    """The setting and the workload."""
    setting = card.setting
    return (
        f"{setting.optimizer}, learning rate {format_rate(setting.learning_rate)}, "
        f"batch size {setting.batch_size}, on {card.workload}"
    )


def write_card(card: SettingCard) -> tuple[str, ...]:
    """The whole card in sentences, the verdict first."""
    figures = card.figures
    sentences = [
        _verdict(card),
        _rule(card),
        _seeds(figures),
        *_sides(figures),
        _best(card),
        *_costs(figures),
        *(_other_size(card, other) for other in card.other_sizes),
    ]
    if card.robust is not None:
        sentences.append(_robust(card, card.robust))
    sentences.append(_effort(card))
    if card.left_out:
        sentences.append(
            f"Not looked at within the budget: {join_words(list(card.left_out))}. The "
            "same command with a larger budget continues."
        )
    return tuple(sentences)


def write_comparison(compared: CardComparison, card: SettingCard) -> tuple[str, ...]:
    """What has changed since an earlier card, in sentences."""
    words = {True: "safe", False: "not safe"}
    before, now = words[compared.was_safe], words[compared.is_safe]
    first = f"Still {now}." if before == now else f"It was {before}, and is {now} now."
    sentences = [f"Against the earlier card: {first}"]
    if compared.differences:
        sentences.append(f"Changed: {join_words(list(compared.differences))}.")
    changed = [
        _change(change, card)
        for change in compared.changes
        if change.before != change.now
    ]
    sentences.append(
        f"Figures: {'; '.join(changed)}." if changed else "No figure has changed."
    )
    return tuple(sentences)


def show_finding(finding: Finding) -> tuple[str, str, str]:
    """A part of the rule as text: what it asks, what was found, what is allowed."""
    limit, value = finding.limit, finding.value
    if finding.name.startswith("decades"):
        side = finding.name.removeprefix("decades ")
        what = f"Decades to the nearest failing learning rate {side}"
        return what, format_number(value), f"at least {limit:g}"
    if finding.name == "unjudged seeds":
        return "Seeds at the setting whose run raised an error", f"{value:g}", "none"
    if finding.name == "undecided":
        return (
            "Steps of the search that the budget left undecided",
            f"{value:g}",
            "none",
        )
    what = {
        "failed seeds": "Share of seeds that fail",
        "their bound": "Its upper bound, with 95 % confidence",
        "loss gap": "Share of the improvement missed",
    }[finding.name]
    return what, format_share(value), f"at most {format_share(limit)}"


def _verdict(card: SettingCard) -> str:
    if card.is_safe:
        return f"Safe: {title_of(card)}."
    reasons = []
    for finding in card.findings:
        if not finding.is_met:
            what, value, limit = show_finding(finding)
            reasons.append(f"{what[0].lower()}{what[1:]} {value}, {limit} wanted")
    return f"Not safe: {title_of(card)}: {'; '.join(reasons)}."


def _rule(card: SettingCard) -> str:
    rule = card.rule
    bound = ""
    if rule.max_failed_bound is not None:
        bound = f" (upper bound at most {format_share(rule.max_failed_bound)})"
    seeds = "no seed fails"
    if rule.max_failed_share:
        seeds = f"at most {format_share(rule.max_failed_share)} of the seeds fail"
    return (
        f"Rule: {seeds}{bound}, the nearest learning rate "
        f"that fails is at least {rule.min_decades:g} decades away on each side, and "
        f"at most {format_share(rule.max_loss_gap)} of the improvement is missed. A "
        "run fails if it diverges, ends above its initial loss or misses more than "
        "that."
    )


def _seeds(figures: SettingFigures) -> str:
    failed, count = figures.failed_seeds, figures.seeds
    if failed == count:
        return f"Seeds: all fail ({count_of(count, 'run')})."
    return (
        f"Seeds: {failed} of {count} fail. With 95 % confidence at most "
        f"{format_share(figures.failed_bound)} of all seeds do (Clopper-Pearson)."
    )


def _sides(figures: SettingFigures) -> list[str]:
    if figures.above.failing_rate == figures.setting.learning_rate:
        return ["The learning rate itself fails, on average over its seeds."]
    sides = (("above", figures.above), ("below", figures.below))
    return [_side(figures, side, name) for name, side in sides]


def _side(figures: SettingFigures, side: Side, name: str) -> str:
    start = f"{name.capitalize()}: "
    factor = 10**side.decades
    rate = figures.setting.learning_rate
    at = rate * factor if name == "above" else rate / factor
    where = (
        f"{format_number(side.decades)} decades away, a factor of "
        f"{format_number(factor)}"
    )
    if side.is_lower_bound:
        text = f"no learning rate up to {format_rate(at)} fails ({where})."
        if name == "below":
            text = f"no learning rate down to {format_rate(at)} fails ({where})."
    else:
        text = (
            f"the nearest learning rate that fails is about {format_rate(at)} "
            f"({where})."
        )
    if side.interval is not None:
        low, high = side.interval.low, side.interval.high
        text += (
            f" With another seed it would be {format_number(low)} to "
            f"{format_number(high)} decades "
            f"away (95 % interval from {count_of(side.interval.seeds, 'seed')})."
        )
    if side.stable_decades is not None:
        tolerance = format_share(GOOD_TOLERANCE)
        ends = "reaches at least" if side.is_stable_to_end else "ends"
        text += (
            f" The range of learning rates within {tolerance} of the best {ends} "
            f"{format_number(abs(side.stable_decades))} decades "
            + ("away." if side.stable_decades >= 0 else "before the setting.")
        )
    if side.diverging_rate is not None:
        text += (
            f" Training diverges, or ends worse than it began, at "
            f"{format_rate(side.diverging_rate)}."
        )
    return f"{start}{text}"


def _best(card: SettingCard) -> str:
    figures = card.figures
    here = shown_loss(card, figures.loss)
    low, high = shown_range(card, figures)
    spread = f"{here} here ({low} to {high} over the seeds)"
    initial = f"from {shown_loss(card, figures.initial_loss)} before the first step"
    name = name_of(card.objective)
    if figures.best_rate == figures.setting.learning_rate:
        return f"Best: no tried learning rate is better; {name} {spread}, {initial}."
    return (
        f"Best: learning rate {format_rate(figures.best_rate)} with {name} "
        f"{shown_loss(card, figures.best_loss)}; {spread}, {initial}. It would gain "
        f"{format_share(figures.missed_share)} of the improvement."
    )


def _costs(figures: SettingFigures) -> list[str]:
    parts = []
    for other in figures.others:
        name = next(
            (text for factor, text in _FACTORS.items() if _is(other, factor)), None
        )
        if name is not None:
            parts.append(f"{name} {_cost(other)}")
    if not parts:
        return []
    return [
        f"A learning rate that is {join_words(parts)}. All are shares of the "
        "improvement."
    ]


def _cost(other: OtherRate) -> str:
    about = "about " if other.is_interpolated else ""
    verb = "costs" if other.cost >= 0 else "gains"
    return f"{verb} {about}{format_share(abs(other.cost))}"


def _is(other: OtherRate, factor: float) -> bool:
    return abs(other.factor / factor - 1) < 0.03


def _other_size(card: SettingCard, figures: SettingFigures) -> str:
    text = (
        f"Batch size {figures.setting.batch_size}: the same learning rate misses "
        f"{format_share(figures.missed_share)} of the improvement there"
    )
    if figures.others:
        scaled = figures.others[-1]
        about = "about " if scaled.is_interpolated else ""
        how = "in proportion" if is_sgd(card.setting) else "by the square root"
        rate = figures.setting.learning_rate * scaled.factor
        text += (
            f", {format_rate(rate)} (scaled {how}) {about}"
            f"{format_share(scaled.missed_share)}"
        )
    return f"{text}; {_around(figures)}."


def _robust(card: SettingCard, figures: SettingFigures) -> str:
    return (
        f"{figures.setting.optimizer} in its place: {name_of(card.objective)} "
        f"{shown_loss(card, figures.loss)} ({count_of(figures.seeds, 'seed')}); "
        f"{_around(figures)}; best learning rate {format_rate(figures.best_rate)} with "
        f"{shown_loss(card, figures.best_loss)}."
    )


def _around(figures: SettingFigures) -> str:
    if figures.above.failing_rate == figures.setting.learning_rate:
        return "it fails there"
    parts = [
        f"{'at least ' if side.is_lower_bound else ''}{format_number(side.decades)} "
        f"decades {name}"
        for name, side in (("below", figures.below), ("above", figures.above))
    ]
    return f"learning rates fail {' and '.join(parts)} it"


def _effort(card: SettingCard) -> str:
    failed = f" ({card.failed_runs} raised an error)" if card.failed_runs else ""
    return (
        f"{card.runs} runs of at most {card.most_runs}{failed}: {card.steps} steps in "
        f"{format_seconds(card.seconds)}."
    )


def _change(change: Change, card: SettingCard) -> str:
    show = format_number
    if "share" in change.name:
        show = format_share
    elif "rate" in change.name:
        show = format_rate
    values = [change.before, change.now]
    if "loss" in change.name:
        values = [None if x is None else turned(x, card.direction) for x in values]
    chance = {True: ", the intervals overlap", False: ", the intervals do not overlap"}
    note = "" if change.overlaps is None else chance[change.overlaps]
    return f"{change.name} {show(values[0])} → {show(values[1])}{note}"
