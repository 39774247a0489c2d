"""Templates of reports, and the escaping of values in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from tuning.report.number_text import format_rate

TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*|~]|(?<!\w)_|_(?!\w)|\](?=\())")


def html_template(name: str, *folders: Path) -> jinja2.Template:
    """A template of an HTML page; all values are escaped.

    Args:
        name: of its file.
        folders: searched before the report's own folder, whose templates the template
            may include.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["rate"] = format_rate
    environment.filters["breakable"] = breakable
    return environment.get_template(name)


def breakable(name: str) -> Markup:
    """A name whose lines may break after the signs of a call, not within a word."""
    parts = re.split(r"(?<=[.,:(=/_])(?<!\d\.)(?=\S)", name)
    return Markup("<wbr>").join(escape(part) for part in parts)


def markdown_template(name: str, *folders: Path) -> jinja2.Template:
    """A template of GitHub Markdown; all values are escaped.

    Args:
        name: see :func:`html_template`.
        folders: see :func:`html_template`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        # `finalize` escapes the values, for Markdown instead of HTML.
        autoescape=False,
        finalize=_escape_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _escape_markdown(value: Any) -> str:
    """Text that a GitHub table shows unchanged: no markup, no HTML, one line."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)
