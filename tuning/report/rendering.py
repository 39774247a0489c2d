"""Templates of reports, and how what they show is escaped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2

from tuning.number_text import format_rate

TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*|~]|(?<!\w)_|_(?!\w)|\](?=\())")


def html_template(name: str) -> jinja2.Template:
    """A template of a page; whatever it shows is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["rate"] = format_rate
    return environment.get_template(name)


def markdown_template(name: str) -> jinja2.Template:
    """A template of GitHub Markdown; whatever it shows is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        # Not HTML: what comes from records is escaped by `finalize` instead.
        autoescape=False,
        finalize=_escape_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def read_plan_file(path: Path) -> dict[str, Any]:
    """What ``sweep.json`` holds; nothing if it is not there.

    Raises:
        ValueError: it is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    if not isinstance(plan, dict):
        raise ValueError(f"{path} must hold a JSON object; received {plan!r:.80}.")
    return plan


def _escape_markdown(value: Any) -> str:
    """Text that shows as itself in a GitHub table: no markup, no HTML, one line."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)
