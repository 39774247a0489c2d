"""What a sweep recommends, in words and as the line to paste."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.objectives import turned
from tuning.optimizer_names import is_name, parse_name
from tuning.report.number_text import count_of, format_number, format_rate
from tuning.report.results import read_results
from tuning.statistics.limits import GOOD_TOLERANCE
from tuning.statistics.recommendation import (
    Recommendation,
    Spread,
    recommend_setting,
)
from tuning.system.paths import check_path, show_path


@dataclasses.dataclass(frozen=True)
class Advice:
    """A recommendation with its reasons.

    Attributes:
        recommendation: what to use.
        reasons: why, one sentence each.
        compile_line: to paste into a training script.
    """

    recommendation: Recommendation
    reasons: tuple[str, ...]
    compile_line: str

    def __str__(self) -> str:
        """The advice as lines of text."""
        found = self.recommendation
        title = (
            f"{found.optimizer}, learning rate {format_rate(found.learning_rate)}, "
            f"batch size {found.batch_size}"
        )
        return "\n".join([title, *(f"  {r}" for r in self.reasons), self.compile_line])

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON types."""
        return {
            **dataclasses.asdict(self.recommendation),
            "loss": self.recommendation.loss._asdict(),
            "metrics": {
                name: spread._asdict()
                for name, spread in self.recommendation.metrics.items()
            },
            "reasons": list(self.reasons),
            "compile_line": self.compile_line,
        }


def recommend(directory: str | Path, *, tolerance: float = GOOD_TOLERANCE) -> Advice:
    """The optimizer, learning rate and batch size that a sweep recommends.

    Of all optimizers and batch sizes that end nearly as low as the best one, the one
    with the widest range of stable learning rates, at the middle of that range: not the
    luckiest single run.

    Args:
        directory: of a sweep, which may still be running.
        tolerance: share of the improvement that counts as nearly as low.

    Raises:
        FileNotFoundError: the directory holds no records.
        ValueError: no record can be read, or no run improved on the initial loss.
    """
    directory = check_path(directory, "directory")
    records, plan, _, summary = read_results(directory, tolerance)
    found = recommend_setting(summary, records)
    if found is None:
        raise ValueError(
            f"no run in {show_path(directory)} ended below its initial loss, so "
            "nothing can be recommended: try other learning rates or more epochs."
        )
    return advise(found, plan, tolerance)


def advise(found: Recommendation, plan: Mapping[str, Any], tolerance: float) -> Advice:
    """A recommendation with its reasons and the line to paste.

    Args:
        found: the recommendation.
        plan: fields of ``sweep.json``; options of the optimizer are taken from it.
        tolerance: see `recommend`.
    """
    own = found.optimizer in (plan.get("own_optimizers") or ())
    if own or not is_name(found.optimizer):
        line = (
            f"# {found.optimizer} is made by your own program: give it learning_rate="
            f"{found.learning_rate:g}"
        )
    else:
        options = (plan.get("grid") or {}).get("options") or {}
        line = compile_line(found, options.get(found.optimizer, {}))
    return Advice(found, reasons_for(found, tolerance), line)


def reasons_for(found: Recommendation, tolerance: float) -> tuple[str, ...]:
    """Why this is recommended, one sentence each."""
    region = found.stable_range
    reasons = [
        f"{found.objective} {_with_spread(found.loss)} over "
        f"{count_of(found.seeds, 'seed')}, from {format_number(found.initial_loss)}"
        + "".join(
            f"; {name} {_with_spread(spread)}" for name, spread in found.metrics.items()
        )
        + ".",
        f"Learning rates from {format_rate(region.low_rate)} to "
        f"{format_rate(region.high_rate)} ({format_number(region.decades)} decades) "
        f"do nearly as well. {format_rate(found.learning_rate)} is the trained one "
        "nearest to their middle.",
    ]
    ends = [
        end
        for end, touches in (
            ("lowest", region.touches_low_edge),
            ("highest", region.touches_high_edge),
        )
        if touches
    ]
    if ends:
        reasons.append(
            f"The range reaches the {' and the '.join(ends)} learning rate of the "
            "sweep, so it may go on."
        )
    share = f"{100 * tolerance:g} %"
    if found.settings_as_good > 1:
        reasons.append(
            f"{found.settings_as_good} of {found.settings} settings (optimizer and "
            f"batch size) end within {share} of the largest improvement. This one has "
            "the widest range."
        )
    elif found.settings > 1:
        reasons.append(
            f"No other of the {found.settings} settings (optimizer and batch size) "
            f"ends within {share} of its improvement."
        )
    losses = found.luckiest_loss, found.loss.mean
    if turned(losses[0], found.direction) < turned(losses[1], found.direction):
        reasons.append(
            f"The best single run, {found.luckiest_run}, ended at "
            f"{format_number(found.luckiest_loss)}; the mean over its seeds is "
            f"{format_number(found.luckiest_mean)}."
        )
    return tuple(reasons)


def compile_line(found: Recommendation, options: Mapping[str, Any]) -> str:
    """The call of ``compile`` and the batch size, as one line of Python."""
    parsed = parse_name(found.optimizer)
    arguments = {
        "learning_rate": found.learning_rate,
        **parsed.arguments,
        **options,
    }
    written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    target = parsed.reference.replace(":", ".")
    peak = ", the largest of its schedule" if found.follows_schedule else ""
    return (
        f"model.compile(optimizer={target}({written}), ...)"
        f"  # fit(batch_size={found.batch_size}){peak}"
    )


def _with_spread(spread: Spread) -> str:
    if spread.deviation is None:
        return format_number(spread.mean)
    return f"{format_number(spread.mean)} ± {format_number(spread.deviation)}"
