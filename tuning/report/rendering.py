"""Templates of reports, and how what they show is escaped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2

from tuning.report.number_text import format_rate

TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*|~]|(?<!\w)_|_(?!\w)|\](?=\())")


def html_template(name: str, *folders: Path) -> jinja2.Template:
    """A template of a page; whatever it shows is escaped.

    Args:
        name: of its file.
        folders: looked into before the report's own, whose templates it may include.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["rate"] = format_rate
    return environment.get_template(name)


def markdown_template(name: str, *folders: Path) -> jinja2.Template:
    """A template of GitHub Markdown; whatever it shows is escaped.

    Args:
        name: see :func:`html_template`.
        folders: see :func:`html_template`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        # Not HTML: what comes from records is escaped by `finalize` instead.
        autoescape=False,
        finalize=_escape_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _escape_markdown(value: Any) -> str:
    """Text that shows as itself in a GitHub table: no markup, no HTML, one line."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)
