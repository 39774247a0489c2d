"""The results of a sweep about its optimizers, in sentences.

Every sentence follows from the figures of a `Summary` by a fixed rule, which
`write_verdict` states. No sentence needs any other judgement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuning.report.number_text import count_of, join_words
from tuning.report.ranking_text import (
    describe_strategy,
    name_lowest_loss,
    name_most_robust,
    name_steadiest,
)
from tuning.statistics.values import Curve, OptimizerSummary, Summary


def write_verdict(summary: Summary) -> tuple[str, ...]:
    """All sentences about a sweep, the most important first.

    The rules, in this order:

    1. *Most robust*: the optimizer with the lowest mean S against the best loss of any
       optimizer. Only optimizers count that learned something and have a result at
       every learning rate and batch size. Those with the same three digits are equally
       robust. Those with an interval of their distance to the first that reaches 0 are
       tied with it. Without intervals, the sentence says that the difference may be
       chance; with two seeds, how little their agreement proves.
       Optimizers with missing or failed runs are named as left out. If no optimizer
       learned anything, a sentence says so, and 2 to 5 are left out.
    2. *Steadiest*: another ranked optimizer that learned at every batch size, if it has
       the lowest mean S against its own best loss. The sentence also says how far that
       loss lies above the best loss of any optimizer.
    3. *Lowest validation loss*, or other objective: the lowest mean loss over seeds of
       any learning rate and batch size, and the next optimizer's. Optimizers with the
       same three digits are named together.
       With another strategy than ``grid``, a sentence on how runs were chosen replaces
       1 and 2. With ``edges`` there is also the *widest stable range*: the
       largest mean width in decades over batch sizes.
    4. Optimizers whose best learning rate lies on an edge of the grid, per edge.
    5. Optimizers that never improved on the initial loss; others that did not improve
       on it at some batch size.
    6. Runs that diverged; further runs that ended above their initial loss; runs that
       could not be judged; runs left out because their seeds are not shared; missing
       runs; runs with fewer epochs than the others.
    """
    if summary.judged_runs and not any(o.has_learned for o in summary.optimizers):
        leading = [
            f"No optimizer improved on the initial {summary.short_name}: robustness "
            "cannot be judged."
        ]
    else:
        robust = (
            [*name_most_robust(summary), *name_steadiest(summary)]
            if summary.strategy == "grid"
            else describe_strategy(summary)
        )
        leading = [
            *robust,
            *name_lowest_loss(summary),
            *_edges(summary),
            *_no_learning(summary),
        ]
    sentences = [
        *leading,
        *_diverged(summary),
        *_ended_worse(summary),
        *_excluded(summary),
        *_unshared(summary),
        *_missing(summary),
        *_short(summary),
    ]
    return tuple(sentences)


def _edges(summary: Summary) -> list[str]:
    sentences = []
    for edge, name, direction in (
        ("low", "lower", "downwards"),
        ("high", "upper", "upwards"),
    ):
        places = _places(
            summary.optimizers,
            lambda curve, edge=edge: (
                curve.best_rate_edge == edge and curve.good_region is not None
            ),
        )
        if places:
            lies = "The best rate lies" if len(places) == 1 else "Best rates lie"
            sentences.append(
                f"{lies} on the grid's {name} edge for {join_words(places)}: widen the "
                f"grid {direction}."
            )
    return sentences


def _no_learning(summary: Summary) -> list[str]:
    nothing = [o.name for o in summary.optimizers if _learned_nothing(o)]
    sentences = []
    if nothing:
        sentences.append(
            f"{join_words(nothing)} learned nothing: no rate improved on the initial "
            f"{summary.short_name} at any batch size."
        )
    places = _places(
        [o for o in summary.optimizers if not _learned_nothing(o)],
        lambda curve: curve.good_region is None,
    )
    if places:
        sentences.append(
            f"No rate improved on the initial {summary.short_name} for "
            f"{join_words(places)}."
        )
    return sentences


def _learned_nothing(optimizer: OptimizerSummary) -> bool:
    """Whether a complete optimizer never learned; a partial one may still learn."""
    return optimizer.is_complete and not optimizer.has_learned


def _places(
    optimizers: Sequence[OptimizerSummary], is_there: Callable[[Curve], bool]
) -> list[str]:
    """Each optimizer with a curve of that kind, and the batch sizes of these curves."""
    places = []
    for optimizer in optimizers:
        sizes = [str(c.batch_size) for c in optimizer.curves if is_there(c)]
        if len(sizes) > 1 and len(sizes) == len(optimizer.curves):
            places.append(f"{optimizer.name} (every batch size)")
        elif sizes:
            places.append(f"{optimizer.name} (batch {', '.join(sizes)})")
    return places


def _diverged(summary: Summary) -> list[str]:
    if not summary.judged_runs:
        return []
    total, parts = _tally(summary, lambda optimizer: optimizer.diverged_runs)
    if not total:
        return ["No run diverged."]
    return [f"{total} of {count_of(summary.judged_runs, 'run')} diverged: {parts}."]


def _ended_worse(summary: Summary) -> list[str]:
    total, parts = _tally(summary, lambda o: o.bad_runs - o.diverged_runs)
    if not total:
        return []
    side = "below" if summary.direction == "max" else "above"
    return [
        f"{count_of(total, 'further run')} ended {side} the initial "
        f"{summary.short_name}: {parts}."
    ]


def _excluded(summary: Summary) -> list[str]:
    total, parts = _tally(summary, lambda optimizer: optimizer.excluded_runs)
    if not total:
        return []
    verb = "is" if total == 1 else "are"
    return [
        f"{count_of(total, 'run')} could not be judged and {verb} left out: {parts}."
    ]


def _unshared(summary: Summary) -> list[str]:
    total, parts = _tally(summary, lambda optimizer: optimizer.unshared_runs)
    if not total:
        return []
    verb = "is" if total == 1 else "are"
    return [
        "Compared over the seeds that all share at a rate and batch size; "
        f"{count_of(total, 'run')} {verb} set aside: {parts}."
    ]


def _missing(summary: Summary) -> list[str]:
    total, parts = _tally(summary, lambda optimizer: optimizer.missing_runs)
    if not total:
        return []
    verb = "is" if total == 1 else "are"
    return [f"{count_of(total, 'planned run')} {verb} missing: {parts}."]


def _short(summary: Summary) -> list[str]:
    if not summary.short_runs:
        return []
    verb = "is" if summary.short_runs == 1 else "are"
    return [
        f"{count_of(summary.short_runs, 'run')} with fewer epochs than the others "
        f"{verb} left out of every figure."
    ]


def _tally(
    summary: Summary, count: Callable[[OptimizerSummary], int]
) -> tuple[int, str]:
    """The total, and the optimizers that make it up, the largest part first."""
    counts = [(count(optimizer), optimizer.name) for optimizer in summary.optimizers]
    parts = sorted((c for c in counts if c[0]), key=lambda part: -part[0])
    return (
        sum(part for part, _ in parts),
        ", ".join(f"{name} {part}" for part, name in parts),
    )
