"""The report of a sweep as one HTML page, and the same as Markdown.

The page needs no other file and no network. A summary goes in, a text comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tuning.objectives import title_of
from tuning.records import RunRecord
from tuning.report import colours, figures, notes, svg, tables
from tuning.report.answer_text import write_answer
from tuning.report.number_text import format_number
from tuning.report.plot import plot_content
from tuning.report.plot_data import Plotted
from tuning.report.range_table import range_table
from tuning.report.rendering import html_template, markdown_template
from tuning.report.verdict import write_verdict
from tuning.statistics.answer import Answer, answer
from tuning.statistics.values import Summary


def render_html(
    summary: Summary,
    plan: Mapping[str, Any] | None = None,
    records: Sequence[RunRecord] = (),
) -> str:
    """The report as one HTML page that needs nothing else.

    Args:
        summary: of the sweep.
        plan: fields of ``sweep.json``; the page shows those that exist.
        records: that the summary was made of; without them nothing is recommended.
    """
    found = answer(summary, records)
    plotted = Plotted(summary, records, plan or {})
    return html_template("report.html.j2").render(
        **_content(summary, plan or {}, found),
        **_drawings(summary),
        **plot_content([plotted], found.recommendation if found else None),
    )


def render_markdown(
    summary: Summary,
    plan: Mapping[str, Any] | None = None,
    records: Sequence[RunRecord] = (),
) -> str:
    """The report as GitHub Markdown: the same sentences and tables, no drawings.

    Args:
        summary: of the sweep.
        plan: fields of ``sweep.json``.
        records: see :func:`render_html`.
    """
    template = markdown_template("report.md.j2")
    heat_tables = [
        (optimizer.name, tables.heat_table(optimizer, summary.direction))
        for optimizer in summary.optimizers
    ]
    content = _content(summary, plan or {}, answer(summary, records))
    return template.render(**content, heat_tables=heat_tables)


def _content(
    summary: Summary, plan: Mapping[str, Any], found: Answer | None
) -> dict[str, Any]:
    """The content of both forms of the report."""
    meanings = notes.meanings(summary)

    def explained(table: tables.Table) -> tables.Table:
        return table._replace(meanings=meanings)

    return {
        "answer": write_answer(found, summary, plan) if found else None,
        "workload": summary.workload,
        "loss": summary.short_name,
        "loss_title": title_of(summary.short_name),
        "best": summary.best_word,
        "better": "higher" if summary.direction == "max" else "lower",
        "description": plan.get("description") or "",
        "verdict": write_verdict(summary),
        "order": "widest region" if summary.strategy == "edges" else "most robust",
        "optimizer_table": explained(tables.optimizer_table(summary)),
        "curve_table": explained(tables.curve_table(summary)),
        "range_table": explained(range_table(summary)),
        "excluded_table": tables.excluded_table(summary),
        "definitions": notes.definitions(summary),
        "budget": notes.budget(summary, plan),
    }


def _drawings(summary: Summary) -> dict[str, Any]:
    """The content of the HTML page alone: heat maps, curves and their colours."""
    curves = [curve for o in summary.optimizers for curve in o.curves]
    scale = colours.sweep_scale(summary)
    heat_maps = []
    for optimizer in summary.optimizers:
        rows = [
            (rate, [(cell, _cell_style(cell, scale)) for cell in cells])
            for rate, cells in tables.heat_cells(optimizer, summary.direction)
        ]
        sizes = optimizer.heat_map.batch_sizes
        heat_maps.append({"name": optimizer.name, "sizes": sizes, "rows": rows})
    styles = svg.series_styles([o.name for o in summary.optimizers])
    rates = sorted(
        {*summary.learning_rates, *(p.learning_rate for c in curves for p in c.points)}
    )
    run_rates = sorted({p.learning_rate for c in curves for p in c.points})
    panels = []
    for size in sorted({curve.batch_size for curve in curves}):
        drawing = figures.draw_loss_curves(
            [curve for curve in curves if curve.batch_size == size],
            styles,
            rates,
            scale,
            identifier=f"batch-{size}",
            loss_name=summary.loss_name,
            direction=summary.direction,
        )
        panels.append({"batch_size": size, "svg": Markup(drawing)})
    sizes = sorted({curve.batch_size for curve in curves})
    size_styles = svg.series_styles([str(size) for size in sizes], "size")
    optimizer_panels = [
        {
            "name": optimizer.name,
            "svg": Markup(
                figures.draw_loss_curves(
                    optimizer.curves,
                    size_styles,
                    rates,
                    scale,
                    identifier=f"optimizer-{index}",
                    by_batch_size=True,
                    loss_name=summary.loss_name,
                    direction=summary.direction,
                )
            ),
        }
        for index, optimizer in enumerate(summary.optimizers)
        if optimizer.curves and len(sizes) > 1
    ]
    return {
        "plotted_rates": {rate: place for place, rate in enumerate(run_rates)},
        "optimizer_panels": optimizer_panels,
        "size_legend": [(name, Markup(s.legend)) for name, s in size_styles.items()],
        "heat_maps": heat_maps,
        "map_width": _map_width(summary),
        "panels": panels,
        "legend": [(name, Markup(style.legend)) for name, style in styles.items()],
        "series_colours": colours.SERIES_COLOURS,
        "colour_bar": colours.colour_bar(),
        "scale_low": format_number(summary.shown(scale.low)),
        "scale_high": format_number(summary.shown(scale.high)),
        "is_logarithmic": scale.is_logarithmic,
    }


def _cell_style(cell: tables.HeatCell, scale: colours.LossScale) -> str:
    if cell.loss is None:
        return ""
    background, ink = colours.cell_colours(cell.loss, scale)
    return f"background-color:{background};color:{ink}"


def _map_width(summary: Summary) -> float:
    """Least width of a heat map in rem: the rates' names and the longest numbers."""
    rows = [
        row
        for o in summary.optimizers
        for row in tables.heat_cells(o, summary.direction)
    ]
    cells = [cell for _, row in rows for cell in row]
    characters = [len(cell.text) + 2 * bool(cell.diverged) for cell in cells]
    columns = max(len(row) for _, row in rows)
    return round(4.2 + columns * max(3.0, 0.7 + 0.5 * max(characters)), 1)
