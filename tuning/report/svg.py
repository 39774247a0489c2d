"""Drawings as SVG elements of a page, in the page's colours and line styles.

Colours in the SVG are CSS variables of the page (``var(--series-1)``, ``var(--ink)``),
so that one drawing serves light and dark pages. Text stays text, in the page's font.
"""

from __future__ import annotations

import dataclasses
import html
import io
import re
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tuning.report.colours import SERIES_COLOURS

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
INK, SOFT, LINE = "#0000f0", "#0000f1", "#0000f2"
"""Placeholder colours, which :func:`to_svg` replaces by CSS variables of the page."""

PANEL_INCHES = (4.4, 3.3)


@dataclasses.dataclass(frozen=True)
class SeriesStyle:
    """The style of one series in every panel; styles never differ by colour alone.

    Attributes:
        colour: a CSS variable.
        marker: in Matplotlib's letters.
        dashes: a Matplotlib line style.
        legend: a small SVG drawing of line and marker.
    """

    colour: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]]
    legend: str


def series_look(index: int) -> tuple[int, int]:
    """The colour and the dashes of a series: the same in drawings and in the browser.

    Args:
        index: place of the series.

    Returns:
        A place in `SERIES_COLOURS`, and one among four line styles, 0 being solid.
    """
    count = len(SERIES_COLOURS)
    return index % count, (index + index // count) % len(_DASHES)


def series_styles(names: Sequence[str], kind: str = "legend") -> dict[str, SeriesStyle]:
    """A style per series, in the given order; repeats only after 32 of them.

    Args:
        names: of the series.
        kind: prefix of the ids of the legends' drawings, which are unique in the page.
    """
    styles = {}
    for index, name in enumerate(names):
        number, dash = series_look(index)
        marker, dashes = _MARKERS[number], _DASHES[dash]
        colour = _placeholder(number)
        styles[name] = SeriesStyle(colour, marker, dashes, "")
    return {
        name: dataclasses.replace(style, legend=_draw_legend(style, name, kind))
        for name, style in styles.items()
    }


def set_page_inks(axes: Axes, x_label: str, y_label: str) -> None:
    """Draw axes in the page's colours: a light grid, no frame at the top and right."""
    axes.set_xlabel(x_label, color=SOFT)
    axes.set_ylabel(y_label, color=SOFT)
    axes.grid(visible=True, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LINE, labelcolor=INK, length=3)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(LINE)


def _draw_legend(style: SeriesStyle, name: str, kind: str) -> str:
    figure = Figure(figsize=(0.55, 0.22))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(-1, 1))
    axes.plot([0.02, 0.98], [0, 0], color=style.colour, linestyle=style.dashes, lw=1.8)
    axes.plot(
        [0.5], [0], color=style.colour, marker=style.marker, ms=5.5, markeredgewidth=0
    )
    identifier = f"{kind}-{style.colour[-2:]}-{style.marker}"
    return to_svg(figure, identifier, f"line of {name}")


def _placeholder(index: int) -> str:
    """A colour Matplotlib accepts, which `to_svg` turns into a CSS variable."""
    return f"#0000{index + 1:02x}"


def to_svg(figure: Figure, identifier: str, description: str) -> str:
    """The figure as an HTML element, of any width, in the page's colours."""
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier}):
        figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen; six decimals double the page.
    text = re.sub(
        r' (?:d|x|y)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), text
    )
    # Several drawings share one page: their ids must differ.
    text = re.sub(r'\bid="', f'id="{identifier}-', text)
    text = re.sub(r'href="#', f'href="#{identifier}-', text)
    text = re.sub(r"url\(#", f"url(#{identifier}-", text)
    for colour, variable in ((INK, "ink"), (SOFT, "ink-soft"), (LINE, "line")):
        text = text.replace(colour, f"var(--{variable})")
    for index in range(len(SERIES_COLOURS)):
        text = text.replace(_placeholder(index), f"var(--series-{index + 1})")
    label = html.escape(description, quote=True)
    opening = f'<svg role="img" aria-label="{label}" '
    text = re.sub(r"^<svg ", lambda _: opening, text)
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
