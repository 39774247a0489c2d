"""A setting's card as one HTML page, and the same as Markdown.

The page needs no other file and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from tuning.objectives import name_of, short_name_of
from tuning.objectives import title_of as in_title
from tuning.report import colours, svg
from tuning.report.card_text import show_finding, shown_loss, shown_range, title_of
from tuning.report.figures import draw_loss_curves
from tuning.report.number_text import (
    count_of,
    format_number,
    format_rate,
    format_share,
)
from tuning.report.rendering import html_template, markdown_template
from tuning.report.tables import Cell, Table
from tuning.statistics.setting_card import SettingCard
from tuning.statistics.setting_figures import SettingFigures, Side
from tuning.statistics.values import Curve

_STYLE = {
    "series_colours": colours.SERIES_COLOURS,
    "colour_bar": colours.colour_bar(),
    "map_width": 0,
}


def render_card_html(
    card: SettingCard, sentences: Sequence[str], curves: Sequence[Curve] = ()
) -> str:
    """The card as one HTML page.

    Args:
        card: the figures.
        sentences: the card in words, the verdict first.
        curves: at the setting's batch size, to be drawn.
    """
    drawing = _drawing(card, curves) if curves else {"svg": "", "legend": []}
    content = {**_content(card, sentences), **_STYLE, **drawing}
    return html_template("card.html.j2").render(**content)


def render_card_markdown(card: SettingCard, sentences: Sequence[str]) -> str:
    """The card as GitHub Markdown: the same sentences and tables.

    Args:
        card: see :func:`render_card_html`.
        sentences: see :func:`render_card_html`.
    """
    return markdown_template("card.md.j2").render(**_content(card, sentences))


def _drawing(card: SettingCard, curves: Sequence[Curve]) -> dict[str, Any]:
    """The objective against the learning rate, with a line at the setting's."""
    styles = svg.series_styles([curve.optimizer for curve in curves])
    points = [point for curve in curves for point in curve.points]
    losses = [point.loss for point in points] + [c.initial_loss for c in curves]
    drawn = draw_loss_curves(
        curves,
        styles,
        sorted({point.learning_rate for point in points}),
        colours.loss_scale(losses),
        identifier="setting",
        loss_name=name_of(card.objective),
        direction=card.direction,
        mark=card.setting.learning_rate,
    )
    legend = [(name, Markup(style.legend)) for name, style in styles.items()]
    return {"svg": Markup(drawn), "legend": legend}


def _content(card: SettingCard, sentences: Sequence[str]) -> dict[str, Any]:
    return {
        "title": title_of(card),
        "is_safe": card.is_safe,
        "loss": short_name_of(card.objective),
        "learning_rate": format_rate(card.setting.learning_rate),
        "sentences": sentences,
        "rule_table": _rule_table(card),
        "setting_table": _setting_table(card),
        "rate_table": _rate_table(card),
        "definitions": _definitions(card),
    }


def _rule_table(card: SettingCard) -> Table:
    rows = []
    for finding in card.findings:
        texts = show_finding(finding)
        rows.append((*map(Cell, texts), Cell("yes" if finding.is_met else "no")))
    return Table(("Rule", "Found", "Wanted", "Met"), tuple(rows))


def _setting_table(card: SettingCard) -> Table:
    name = short_name_of(card.objective)
    headers = (
        "Setting",
        in_title(name),
        "Misses",
        "Failed seeds",
        "Fails below, decades",
        "Fails above, decades",
        "Within 5 %, below",
        "above",
        "Best rate",
        f"Best {name}",
        "Runs",
    )
    settings = [card.figures, *card.other_sizes]
    if card.robust is not None:
        settings.append(card.robust)
    return Table(headers, tuple(_setting_row(card, figures) for figures in settings))


def _setting_row(card: SettingCard, figures: SettingFigures) -> tuple[Cell, ...]:
    setting = figures.setting
    return (
        Cell(
            f"{setting.optimizer}, {format_rate(setting.learning_rate)}, "
            f"{setting.batch_size}"
        ),
        Cell(
            shown_loss(card, figures.loss),
            note="[{}, {}]".format(*shown_range(card, figures)),
        ),
        Cell(format_share(figures.missed_share)),
        Cell(
            f"{figures.failed_seeds} of {figures.seeds}",
            note=f"at most {format_share(figures.failed_bound)}",
        ),
        _distance_cell(figures.below),
        _distance_cell(figures.above),
        _stable_cell(figures.below),
        _stable_cell(figures.above),
        Cell(format_rate(figures.best_rate)),
        Cell(shown_loss(card, figures.best_loss)),
        Cell(str(figures.runs)),
    )


def _stable_cell(side: Side) -> Cell:
    bound = "\N{GREATER-THAN OR EQUAL TO} " if side.is_stable_to_end else ""
    return Cell(bound + format_number(side.stable_decades))


def _distance_cell(side: Side) -> Cell:
    bound = "\N{GREATER-THAN OR EQUAL TO} " if side.is_lower_bound else ""
    note = ""
    if side.interval is not None:
        low, high = side.interval.low, side.interval.high
        note = f"[{format_number(low)}, {format_number(high)}]"
    return Cell(bound + format_number(side.decades), note=note)


def _rate_table(card: SettingCard) -> Table:
    name = in_title(short_name_of(card.objective))
    headers = ("Setting", "times", "Learning rate", name, "Misses", "Costs", "Runs")
    rows = []
    settings = [card.figures, *card.other_sizes]
    for figures in settings if card.robust is None else [*settings, card.robust]:
        setting = figures.setting
        for other in figures.others:
            about = "\N{ALMOST EQUAL TO} " if other.is_interpolated else ""
            rows.append(
                (
                    Cell(f"{setting.optimizer}, {setting.batch_size}"),
                    Cell(format_number(other.factor)),
                    Cell(format_rate(setting.learning_rate * other.factor)),
                    Cell(about + shown_loss(card, other.loss)),
                    Cell(about + format_share(other.missed_share)),
                    Cell(about + format_share(other.cost)),
                    Cell(count_of(other.seeds, "seed")),
                )
            )
    return Table(headers, tuple(rows))


def _definitions(card: SettingCard) -> list[tuple[str, str]]:
    return [
        (
            in_title(short_name_of(card.objective)),
            f"the final {name_of(card.objective)}, but never worse than before the "
            "first step, averaged over seeds; in brackets the range over seeds.",
        ),
        (
            "Misses",
            "(loss - best loss) / (initial loss - best loss), with the lowest mean "
            "loss of the same optimizer at the same batch size: the share of the "
            "improvement that is missed.",
        ),
        (
            "Fails",
            "a run that diverges, ends above its initial loss or misses more than "
            f"{format_share(card.rule.max_loss_gap)}; a learning rate whose mean over "
            "seeds misses more than that.",
        ),
        (
            "Failed seeds",
            "below, the one-sided 95 % upper bound of the share of all seeds that fail "
            "(Clopper and Pearson 1934). It is exact for seeds drawn at random.",
        ),
        (
            "Fails below, above",
            "powers of ten from the setting to the learning rate at which the mean "
            "starts to fail, interpolated between two tried ones; in brackets the 95 % "
            "prediction interval for another seed, if distances are normally "
            "distributed over seeds. There is none where a seed never failed.",
        ),
        (
            "Within 5 %",
            "powers of ten to the ends of the range of learning rates that miss at "
            "most 5 %; negative if the setting lies outside of it.",
        ),
        (
            "Costs",
            "how much more of the improvement is missed than at the setting, over "
            "shared seeds. ≈ is interpolated between the tried learning rates.",
        ),
    ]
