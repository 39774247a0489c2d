"""Scripts and data inside a page, which needs nothing from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

BROWSER = Path(__file__).parent / "browser"
"""Files for the reader's browser: ours, and uPlot, which has a folder of its own."""

TABLES = "tables.js"
PLOTS = ("uplot/uPlot.iife.min.js", "plots.js")

_UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
"""Signs that could end a script or begin a comment of HTML."""


def inline(*names: str) -> Markup:
    """Files of `BROWSER` as script elements.

    Raises:
        ValueError: a file would end its own element.
    """
    elements = []
    for name in names:
        text = (BROWSER / name).read_text(encoding="utf-8")
        if "</script" in text.lower() or "<!--" in text:
            raise ValueError(f"{name} cannot be part of a page: it ends its element.")
        elements.append(f"<script>\n{text.rstrip()}\n</script>\n")
    return Markup("".join(elements))


def inline_style(name: str) -> Markup:
    """A style sheet of `BROWSER` as text for a style element."""
    return Markup((BROWSER / name).read_text(encoding="utf-8"))


def inline_data(data: Any, identifier: str) -> Markup:
    """Data as a script element that is not run; no text in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)
    return Markup(
        f'<script type="application/json" id="{identifier}">{text}</script>\n'
    )
