"""What a sweep says about its optimizers, in sentences.

Every sentence follows from the figures of a `Summary` by a fixed rule, told with
the function that writes it. No sentence rests on a judgement beyond these rules.
"""

from __future__ import annotations

from collections.abc import Callable

from tuning.curves import Curve
from tuning.number_text import count_of, format_number, format_rate, join_words
from tuning.robustness import OptimizerSummary, Summary


def write_verdict(summary: Summary) -> tuple[str, ...]:
    """All sentences about a sweep, the most important first.

    The rules, in this order:

    1. *Most robust*: among the optimizers with a result at every rate and batch
       size, the least mean S against the best loss of any optimizer. Where the
       leader's and the next one's intervals over seeds overlap it is called a tie;
       without intervals it says that chance is not known.
    2. *Steadiest*: if another of them has a lower mean S against its own best loss,
       it is named, with what its best loss lies above the best of any optimizer.
    3. *Lowest validation loss*: the least mean loss over seeds of any rate and batch
       size, with the next optimizer's.
    4. Optimizers whose best rate lies on an edge of the grid, per edge.
    5. Optimizers that improved on the initial loss at no rate of a batch size.
    6. Runs that diverged; further runs that ended above their initial loss; runs
       that could not be judged; runs that are missing.
    """
    sentences = [
        *_most_robust(summary),
        *_steadiest(summary),
        *_lowest_loss(summary),
        *_edges(summary),
        *_no_learning(summary),
        *_diverged(summary),
        *_ended_worse(summary),
        *_excluded(summary),
        *_missing(summary),
    ]
    return tuple(sentences)


def ranked_optimizers(summary: Summary) -> list[OptimizerSummary]:
    """The optimizers that are compared for robustness, the most robust first."""
    return [
        optimizer
        for optimizer in summary.optimizers
        if optimizer.is_complete
        and optimizer.mean_sensitivity_to_best_of_any is not None
    ]


def _most_robust(summary: Summary) -> list[str]:
    if len(summary.learning_rates) < 2:
        return ["The grid has one learning rate: robustness to it cannot be judged."]
    ranked = ranked_optimizers(summary)
    left_out = [o.name for o in summary.optimizers if not o.is_complete]
    aside = [f"Not compared, because runs are missing: {join_words(left_out)}."]
    aside = aside if left_out else []
    if not ranked:
        return [
            "No optimizer has a result at every rate and batch size yet: none is "
            "called the most robust."
        ]
    first = ranked[0]
    figure = format_number(first.mean_sensitivity_to_best_of_any)
    if len(ranked) == 1:
        text = f"Only {first.name} can be judged for robustness so far (S {figure})."
        if not left_out:
            text = f"Learning-rate sensitivity of {first.name}: S {figure}."
        return [text, *aside]
    following = ranked[1]
    next_figure = format_number(following.mean_sensitivity_to_best_of_any)
    text = (
        f"Most robust to the learning rate: {first.name} (S {figure} against the best "
        f"loss of any optimizer; next {following.name} {next_figure})."
    )
    return [text + _certainty(first, following), *aside]


def _certainty(first: OptimizerSummary, following: OptimizerSummary) -> str:
    ours = first.sensitivity_to_best_of_any_interval
    theirs = following.sensitivity_to_best_of_any_interval
    if ours is None or theirs is None:
        return " Too few seeds for an interval: the difference may be chance."
    if ours.overlaps(theirs):
        return " Their intervals over seeds overlap: read it as a tie."
    return ""


def _steadiest(summary: Summary) -> list[str]:
    ranked = ranked_optimizers(summary)
    if len(ranked) < 2:
        return []
    steadiest = min(ranked, key=lambda optimizer: optimizer.mean_sensitivity or 0.0)
    own = steadiest.mean_sensitivity or 0.0
    if own >= (ranked[0].mean_sensitivity or 0.0):
        return []
    gap = (steadiest.mean_sensitivity_to_best_of_any or 0.0) - own
    return [
        f"{steadiest.name} varies least around its own best loss (S "
        f"{format_number(own)}), but that lies {format_number(gap)} above the best "
        "loss of any optimizer, on average over batch sizes."
    ]


def _lowest_loss(summary: Summary) -> list[str]:
    reached = sorted(
        (o.best_loss, index, o)
        for index, o in enumerate(summary.optimizers)
        if o.best_loss is not None
    )
    if not reached:
        return ["No run could be judged."]
    best = reached[0][2]
    text = (
        f"Lowest validation loss: {best.name}, {format_number(best.best_loss)} at rate "
        f"{format_rate(best.best_loss_rate)} and batch {best.best_loss_batch_size}"
    )
    if len(reached) > 1:
        following = reached[1][2]
        text += f" (next {following.name}, {format_number(following.best_loss)})"
    return [f"{text}."]


def _edges(summary: Summary) -> list[str]:
    sentences = []
    for edge, name, direction in (
        ("low", "lower", "downwards"),
        ("high", "upper", "upwards"),
    ):
        places = _places(
            summary,
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
    places = _places(summary, lambda curve: curve.good_region is None)
    if not places:
        return []
    return [f"No rate improved on the initial loss for {join_words(places)}."]


def _places(summary: Summary, is_there: Callable[[Curve], bool]) -> list[str]:
    """Each optimizer with a curve of that kind, and at which batch sizes."""
    places = []
    for optimizer in summary.optimizers:
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
    return [f"{count_of(total, 'further run')} ended above the initial loss: {parts}."]


def _excluded(summary: Summary) -> list[str]:
    total, parts = _tally(summary, lambda optimizer: optimizer.excluded_runs)
    if not total:
        return []
    verb = "is" if total == 1 else "are"
    return [
        f"{count_of(total, 'run')} could not be judged and {verb} left out: {parts}."
    ]


def _missing(summary: Summary) -> list[str]:
    total, parts = _tally(summary, lambda optimizer: optimizer.missing_runs)
    if not total:
        return []
    verb = "is" if total == 1 else "are"
    return [f"{count_of(total, 'planned run')} {verb} missing: {parts}."]


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
