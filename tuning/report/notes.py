"""Notes of a report: what its figures mean, and what was run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuning.objectives import title_of
from tuning.report.number_text import format_rate, format_seconds, format_share
from tuning.statistics.confidence import LEAST_SEEDS, LEAST_STEPS
from tuning.statistics.values import Summary


def definitions(summary: Summary) -> list[tuple[str, str]]:
    """What each figure means, one sentence each."""
    tolerance, loss = format_share(summary.good_tolerance), summary.short_name
    is_rising = summary.direction == "max"
    bound, side = ("at least", "below") if is_rising else ("at most", "above")
    return [
        (
            title_of(loss),
            f"the {summary.loss_name} after the last epoch, {bound} that before the "
            "first step (a diverged run counts as one that learned nothing), averaged "
            "over the seeds that the compared optimizers share.",
        ),
        (
            "S, learning-rate sensitivity",
            "the mean over the grid's learning rates of the distance between the "
            f"{loss} and the best {loss}: what a rate chosen blindly costs; 0 is ideal "
            "(Wortsman et al. 2023, arXiv:2309.14322).",
        ),
        (
            "S, best of any",
            f"the same with the best {loss} of any optimizer at that batch size, so "
            "that an optimizer that is equally bad everywhere does not look robust; it "
            "decides the ranking.",
        ),
        (
            "Brackets at S",
            "95 % bootstrap interval over seeds (percentiles). Per seed, optimizers "
            "share weights and data order, so brackets that overlap are no tie: that "
            "is decided by the interval of the difference of S. With two seeds "
            "intervals are coarse (two agree half of the time by chance), with one "
            "there are none.",
        ),
        (
            "Partial, learned nothing",
            "the optimizer lacks runs, at some rate and batch size, with a seed that "
            f"the others have; or it improved on the initial {loss} nowhere. It is not "
            "ranked.",
        ),
        (
            "Stable range, learning rates that work",
            f"the unbroken range of rates around the best one that miss at most "
            f"{tolerance} of the improvement from the initial to the best {loss}, "
            "interpolated over the logarithm of the rate; beyond its ends is the "
            "cliff. ≥ means that it reaches the end of the grid and may be wider.",
        ),
        (
            "Stable at every batch size",
            "the part that the stable ranges of all batch sizes share, as a share of "
            "all that they cover, in decades: 100 % if the learning rate need not "
            "follow the batch size.",
        ),
        (
            "Worst regret",
            f"the distance between the worst {loss} in the grid and the best of any "
            "optimizer at that batch size.",
        ),
        ("Diverged", "share of runs in which a loss became infinite or undefined."),
        (
            "Not improved",
            f"share of runs that diverged or ended {side} their initial {loss}.",
        ),
        (
            "± over seeds",
            f"standard deviation of the {loss} at the best rate (n - 1).",
        ),
        (
            "Arrow beside a rate",
            "only the lowest (↓) or highest (↑) rate of the grid is best, so a better "
            "one may lie outside.",
        ),
        (
            "Steps to target",
            "median over seeds at the best rate of the steps until the workload's "
            f"target {loss}; a run that never reached it counts as infinite.",
        ),
        ("State", "bytes of the optimizer's variables."),
        (
            "Confidence",
            "high without a doubt, fair with one, low with two or with a single seed. "
            f"Doubts: fewer than {LEAST_SEEDS} seeds; runs of fewer than {LEAST_STEPS} "
            "steps; a stable range that goes on beyond an edge of the sweep less than "
            "a decade away; no other learning rate in the stable range; missing runs.",
        ),
    ]


_DEFINED_AS = {
    "S, best of any": "S, best of any",
    "S, own best": "S, learning-rate sensitivity",
    "its median": "S, learning-rate sensitivity",
    "Stable range, decades": "Stable range, learning rates that work",
    "Stable at every batch size": "Stable at every batch size",
    "every batch size": "Stable at every batch size",
    "Worst regret": "Worst regret",
    "Diverged": "Diverged",
    "Not improved": "Not improved",
    "± over seeds": "± over seeds",
    "at rate": "Arrow beside a rate",
    "Steps to target": "Steps to target",
    "State": "State",
}
"""Headers of tables -> the term that defines them."""


def meanings(summary: Summary) -> dict[str, str]:
    """What the columns of the tables mean, by header."""
    known = dict(definitions(summary))
    return {header: known[term] for header, term in _DEFINED_AS.items()}


def budget(summary: Summary, plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, with which settings and at what cost, as far as known."""
    grid = plan.get("grid") or {}
    runs = str(summary.runs)
    if summary.planned_runs is not None:
        runs += f" of {summary.planned_runs} planned"
        if summary.strategy != "grid":
            runs = f"{summary.runs}, where the grid has {summary.planned_runs}"
    rates = ", ".join(format_rate(rate) for rate in summary.learning_rates)
    entries = [
        ("Command", plan.get("command")),
        ("Optimizers", ", ".join(o.name for o in summary.optimizers)),
        ("Options", json.dumps(grid["options"]) if grid.get("options") else None),
        ("Learning rates", rates),
        ("Batch sizes", ", ".join(str(size) for size in summary.batch_sizes)),
        ("Seeds", ", ".join(str(seed) for seed in summary.seeds)),
        ("Epochs", grid.get("epochs")),
        ("Examples per epoch", plan.get("examples_per_epoch")),
        ("Schedule of the rate", _unless(plan.get("schedule"), "constant")),
        ("Examples", _pairs(plan.get("data"))),
        ("Strategy", _unless(summary.strategy, "grid")),
        ("Runs", runs),
        ("Time of all runs", format_seconds(summary.seconds)),
        ("Date", plan.get("created")),
        ("Versions", _pairs(plan.get("versions"))),
    ]
    return [(name, str(value)) for name, value in entries if value]


def _unless(value: str | None, usual: str) -> str | None:
    return None if value == usual else value


def _pairs(mapping: Any) -> str | None:
    if not isinstance(mapping, Mapping):
        return None
    return ", ".join(f"{name} {value}" for name, value in mapping.items())
