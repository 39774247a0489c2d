"""The comparison of two sweeps, for people: HTML, Markdown and JSON.

:func:`write_comparison` reads two sweeps' directories and writes ``comparison.html``,
``comparison.md`` and ``comparison.json`` into the second one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tuning.objectives import short_name_of, title_of
from tuning.report import colours
from tuning.report.number_text import format_number, format_share, join_words
from tuning.report.plot import plot_content
from tuning.report.plot_data import Plotted
from tuning.report.rendering import html_template, markdown_template
from tuning.report.results import read_results
from tuning.report.tables import Cell, Table, brackets
from tuning.statistics.comparison import (
    ComparedOptimizer,
    Comparison,
    Difference,
    compare,
)
from tuning.system.files import write_whole
from tuning.system.paths import check_path


def write_comparison(first: Path, second: Path) -> Path:
    """Compare two sweeps and write the comparison into the second one's directory.

    Args:
        first: directory of the baseline sweep.
        second: directory of the other sweep.

    Returns:
        The path of ``comparison.html``.

    Raises:
        FileNotFoundError: a directory holds no records.
        ValueError: the sweeps have nothing in common, or a plan cannot be read.
    """
    first, second = check_path(first, "first"), check_path(second, "second")
    results = [read_results(first), read_results(second)]
    comparison = compare(results[0].records, results[1].records)
    plans = [result.plan for result in results]
    names = _names(first, second)
    content = {
        "workload": comparison.workload,
        "names": names,
        "loss_title": title_of(short_name_of(comparison.objective)),
        "verdict": write_comparison_verdict(comparison, names, plans),
        "table": comparison_table(comparison.optimizers, _words(comparison)),
        "curve_table": comparison_table(comparison.curves, _words(comparison)),
        "definitions": _definitions(names, _words(comparison)),
        "commands": [
            (name, plan.get("command") or "")
            for name, plan in zip(names, plans, strict=True)
        ],
    }
    plain = {
        "first": str(first),
        "second": str(second),
        "verdict": list(content["verdict"]),
        **dataclasses.asdict(comparison),
    }
    write_whole(
        second / "comparison.json", json.dumps(plain, indent=1, allow_nan=False) + "\n"
    )
    markdown = markdown_template("comparison.md.j2").render(**content)
    write_whole(second / "comparison.md", markdown)
    style = {
        "series_colours": colours.SERIES_COLOURS,
        "colour_bar": colours.colour_bar(),
        "map_width": 0,
    }
    sweeps = [
        Plotted(result.summary, result.records, result.plan, name)
        for result, name in zip(results, names, strict=True)
    ]
    page = html_template("comparison.html.j2").render(
        **content, **style, **plot_content(sweeps)
    )
    write_whole(second / "comparison.html", page)
    return second / "comparison.html"


def write_comparison_verdict(
    comparison: Comparison,
    names: tuple[str, str],
    plans: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """What follows from a comparison, in sentences.

    The rules, in this order:

    1. Other differences between the plans: data, model, epochs, options.
    2. For each optimizer, which sweep is better in mean loss over the shared learning
       rates, lowest loss and width of the good region. A sweep is better if the
       interval of the difference excludes 0 and the two figures differ in three
       digits. Figures without a clear difference are named together.
    3. Without an interval, that the difference may be chance.
    4. Optimizers that only one of the sweeps has.
    """
    sentences = [*_other_plans(plans)]
    for optimizer in comparison.optimizers:
        sentences.append(_sentence(optimizer, names, _words(comparison)))
    for only, name in zip(
        (comparison.only_first, comparison.only_second), names, strict=True
    ):
        if only:
            sentences.append(f"Only in {name}: {join_words(list(only))}.")
    return tuple(sentences)


class Words(NamedTuple):
    """How the objective of two sweeps is spoken of.

    Attributes:
        direction: ``"min"`` or ``"max"``.
        loss: the objective in few letters.
        best: what its best value is.
        better: what a better value is.
    """

    direction: str
    loss: str
    best: str
    better: str


def _words(comparison: Comparison) -> Words:
    loss = short_name_of(comparison.objective)
    if comparison.direction == "max":
        return Words("max", loss, "highest", "higher")
    return Words("min", loss, "lowest", "lower")


def comparison_table(rows: tuple[ComparedOptimizer, ...], words: Words) -> Table:
    """The figures of both sweeps and their differences, one row per comparison."""
    headers = (
        "Optimizer",
        f"Mean {words.loss}",
        "difference",
        f"{words.best.capitalize()} {words.loss}",
        "difference",
        "Stable range, decades",
        "difference",
        "Diverged",
        "Time per step, ratio",
        "Runs of each",
    )
    return Table(headers, tuple(_row(row, words.direction) for row in rows))


def _row(row: ComparedOptimizer, direction: str) -> tuple[Cell, ...]:
    name = _name(row)
    if row.batch_size is not None:
        name += f", {row.batch_size}"
    shares = " → ".join(format_share(share) for share in row.diverged_shares)
    return (
        Cell(name),
        *_difference_cells(row.mean_loss.turned(direction)),
        *_difference_cells(row.best_loss.turned(direction)),
        *_difference_cells(row.good_decades),
        Cell(shares),
        Cell(format_number(row.step_time_ratio)),
        Cell(str(row.shared_runs)),
    )


def _difference_cells(difference: Difference) -> tuple[Cell, Cell]:
    values = (difference.first, difference.second)
    return (
        Cell(" → ".join(format_number(value) for value in values)),
        Cell(
            _signed(difference.value),
            difference.is_clear,
            brackets(difference.interval),
        ),
    )


def _sentence(row: ComparedOptimizer, names: tuple[str, str], words: Words) -> str:
    name = _name(row)
    mean, best = (d.turned(words.direction) for d in (row.mean_loss, row.best_loss))
    sign = 1 if words.direction == "max" else -1
    if mean.interval is None:
        first, second = mean.first, mean.second
        return (
            f"{name}: mean {words.loss} {format_number(first)} in {names[0]}, "
            f"{format_number(second)} in {names[1]}; fewer than two seeds are shared, "
            "so the difference may be chance."
        )
    figures = (
        (f"mean {words.loss} over the rates", mean, words.better, sign, ""),
        (f"{words.best} {words.loss}", best, words.better, sign, ""),
        ("stable range of learning rates", row.good_decades, "wider", 1, " decades"),
    )
    clear, open_ = [], []
    for figure, difference, better, sign, unit in figures:
        values = [format_number(v) for v in (difference.first, difference.second)]
        if not difference.is_clear or values[0] == values[1]:
            open_.append(figure)
            continue
        winner = names[1] if difference.value * sign > 0 else names[0]
        clear.append(
            f"the {figure} is {better} in {winner} ({' → '.join(values)}{unit})"
        )
    parts = [join_words(clear)] if clear else []
    if open_:
        parts.append(f"over the seeds, no clear difference in {join_words(open_)}")
    note = ""
    if mean.interval.seeds == 2 and clear:
        note = " Two seeds agree half of the time by chance."
    return f"{name}: {'; '.join(parts)}.{note}"


def _other_plans(plans: Sequence[Mapping[str, Any]]) -> list[str]:
    first, second = plans
    differ = []
    for what in ("data", "model"):
        marks = [plan.get("fingerprints", {}).get(what) for plan in plans]
        if None not in marks and marks[0] != marks[1]:
            differ.append(f"the {what}")
    grids = [plan.get("grid") or {} for plan in (first, second)]
    if all(grids):
        epochs = [grid.get("epochs") for grid in grids]
        if epochs[0] != epochs[1]:
            differ.append(f"the epochs ({epochs[0]} and {epochs[1]})")
        if grids[0].get("options") != grids[1].get("options"):
            differ.append("the optimizers' options")
    if not differ:
        return []
    return [f"Beside what the names say, the sweeps differ in {join_words(differ)}."]


def _definitions(names: tuple[str, str], words: Words) -> list[tuple[str, str]]:
    bound = "at least" if words.direction == "max" else "at most"
    return [
        (
            "What is compared",
            f"runs that both sweeps have, {names[0]} → {names[1]}: the same learning "
            "rate, batch size and seed; of one optimizer, or of two where each sweep "
            "has one only.",
        ),
        (
            "Difference",
            f"the figure of {names[1]} less that of {names[0]}; in brackets the 95 % "
            "bootstrap interval over seeds, drawn alike for both. Bold where it leaves "
            "out 0.",
        ),
        (
            f"Mean {words.loss}",
            f"the judged {words.loss} ({bound} the initial one) averaged over seeds, "
            "shared rates and batch sizes: what a rate chosen blindly gives.",
        ),
        (
            f"{words.best.capitalize()} {words.loss}",
            "at the best shared rate, averaged over batch sizes.",
        ),
        (
            "Stable range",
            "width of the unbroken range of learning rates that miss at most 5 % of "
            "the improvement, averaged over batch sizes.",
        ),
        (
            "Time per step, ratio",
            f"{names[1]} over {names[0]}, median over pairs of runs.",
        ),
    ]


def _names(first: Path, second: Path) -> tuple[str, str]:
    if first.resolve().name != second.resolve().name:
        return first.resolve().name, second.resolve().name
    return str(first), str(second)


def _name(row: ComparedOptimizer) -> str:
    if row.first_name == row.second_name:
        return row.first_name
    return f"{row.first_name} → {row.second_name}"


def _signed(value: float) -> str:
    if value == 0:
        return "0"
    return ("+" if value > 0 else "") + format_number(value)
