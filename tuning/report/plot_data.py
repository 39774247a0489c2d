"""What the plots of a page are drawn from, as compact JSON.

Means over seeds are always there. How much of the learning curves is kept says
`tuning.report.plot_histories`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tuning.objectives import name_of, turned
from tuning.records import RunRecord
from tuning.report.number_text import SHARES
from tuning.report.plot_histories import (
    MOST_VALUES,
    OBJECTIVE,
    choose_epochs,
    count_epochs,
    learning_curves,
    mean_and_ends,
    shorten,
)
from tuning.report.svg import series_look
from tuning.statistics.values import Curve, Summary


class Plotted(NamedTuple):
    """A sweep to be plotted.

    Attributes:
        summary: of it.
        records: that the summary was made of.
        plan: fields of its ``sweep.json``.
        name: stands before the names of its optimizers; empty for a single sweep.
    """

    summary: Summary
    records: Sequence[RunRecord]
    plan: Mapping[str, Any]
    name: str = ""


class Series(NamedTuple):
    """One optimizer of one sweep."""

    name: str
    optimizer: str
    sweep: Plotted


def all_series(sweeps: Sequence[Plotted]) -> list[Series]:
    """The lines of a plot: every optimizer of every sweep, in the summaries' order."""
    return [
        Series(f"{sweep.name}: {o.name}" if sweep.name else o.name, o.name, sweep)
        for sweep in sweeps
        for o in sweep.summary.optimizers
    ]


def plot_data(
    sweeps: Sequence[Plotted], most_values: int = MOST_VALUES
) -> dict[str, Any]:
    """Everything that the plots show, as JSON types.

    Args:
        sweeps: judged by the same objective.
        most_values: see `tuning.report.plot_histories.MOST_VALUES`.
    """
    summary = sweeps[0].summary
    series = all_series(sweeps)
    runs = [_runs_of(one) for one in series]
    names = _metrics([run for some in runs for run in some], summary.objective)
    rates = plotted_rates(series)
    every = [run for some in runs for run in some]
    step, has_seeds = choose_epochs(every, names, most_values)
    curves, lines = [], []
    for place, (one, some) in enumerate(zip(series, runs, strict=True)):
        for curve in _curves(one):
            at_size = [r for r in some if r.batch_size == curve.batch_size]
            curves.append(_curve(place, curve, at_size, names, rates, one))
            lines += learning_curves(place, at_size, names, rates, step, has_seeds)
    return {
        "metrics": [_metric(name, summary) for name in names],
        "falls": summary.direction == "min",
        "rates": rates,
        "series": [
            {
                "name": one.name,
                "colour": series_look(place)[0] + 1,
                "dash": series_look(place)[1],
                "command": _command(one),
            }
            for place, one in enumerate(series)
        ],
        "curves": curves,
        "runs": lines,
        "epochs": max((count_epochs(run) for run in every), default=0),
        "step": step,
    }


def plotted_rates(series: Sequence[Series]) -> list[float]:
    """All learning rates of the plot, ascending."""
    return sorted(
        {p.learning_rate for one in series for c in _curves(one) for p in c.points}
    )


def _curves(one: Series) -> tuple[Curve, ...]:
    (found,) = (o for o in one.sweep.summary.optimizers if o.name == one.optimizer)
    return found.curves


def _runs_of(one: Series) -> list[RunRecord]:
    records = one.sweep.records
    longest = max((record.epochs for record in records), default=0)
    return [
        record
        for record in records
        if record.optimizer == one.optimizer
        and record.epochs == longest
        and record.status != "failed"
    ]


def _metrics(runs: Sequence[RunRecord], objective: str) -> list[str]:
    """The objective, then what else was logged: of validation first."""
    logged = dict.fromkeys(name for run in runs for name in run.history)
    others = [name for name in logged if name != objective]
    return [OBJECTIVE, *sorted(others, key=lambda name: not name.startswith("val_"))]


def _metric(name: str, summary: Summary) -> dict[str, Any]:
    key = summary.objective if name == OBJECTIVE else name
    title = name_of(key)
    if title == key:  # neither of the two losses
        rest = key.removeprefix("val_")
        title = f"training {key}" if rest == key else f"validation {rest}"
    return {
        "title": title[:1].upper() + title[1:],
        "share": key.rpartition("_")[2] in SHARES,
    }


def _curve(
    place: int,
    curve: Curve,
    runs: Sequence[RunRecord],
    names: Sequence[str],
    rates: Sequence[float],
    one: Series,
) -> dict[str, Any]:
    """Mean, least and greatest value of each metric, by learning rate."""
    direction = one.sweep.summary.direction
    by_rate: dict[float, list[RunRecord]] = {}
    for run in runs:
        by_rate.setdefault(run.learning_rate, []).append(run)
    points = {point.learning_rate: point for point in curve.points}
    columns: list[list[list[float | None]]] = []
    for name in names:
        rows = []
        for rate in rates:
            if name == OBJECTIVE:
                point = points.get(rate)
                known = (
                    [point.loss, point.lowest_loss, point.highest_loss] if point else []
                )
                values = [turned(value, direction) for value in known]
            else:
                values = mean_and_ends([_last(r, name) for r in by_rate.get(rate, [])])
            low_first = [values[0], *sorted(values[1:])] if values else [None] * 3
            rows.append([shorten(value) for value in low_first])
        columns.append([list(column) for column in zip(*rows, strict=True)])
    return {
        "o": place,
        "b": curve.batch_size,
        "initial": shorten(turned(curve.initial_loss, direction)),
        "values": columns,
        "diverged": [points[r].diverged if r in points else 0 for r in rates],
    }


def _last(run: RunRecord, name: str) -> float | None:
    values = run.history.get(name) or [None]
    return values[-1] if run.status == "ok" else None


def _command(one: Series) -> str:
    """The command that trains a setting of this optimizer again, without the setting.

    Empty if the workload or the optimizer exists only in a program.
    """
    plan = one.sweep.plan
    grid = plan.get("grid") or {}
    own = plan.get("own_optimizers") or ()
    if not plan.get("reference") or one.optimizer in own:
        return ""
    words = ["keras-adam-sweep", "run", str(plan["reference"])]
    words += ["--out", "one-setting", "--optimizers", one.optimizer]
    options = (grid.get("options") or {}).get(one.optimizer, {})
    for name, value in options.items():
        words += ["--set", f"{one.optimizer}.{name}={value}"]
    if grid.get("seeds"):
        words += ["--seeds", str(max(grid["seeds"]) + 1)]
    if grid.get("epochs"):
        words += ["--epochs", str(grid["epochs"])]
    if plan.get("schedule") not in (None, "constant"):
        words += ["--schedule", str(plan["schedule"])]
    return shlex.join(words)
