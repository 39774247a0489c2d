"""The card of a check: as text, JSON, Markdown and a page; and its files."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuning.report.card_pages import render_card_html, render_card_markdown
from tuning.report.card_text import write_card, write_comparison
from tuning.statistics.card_comparison import CardComparison, compare_cards
from tuning.statistics.setting_card import SettingCard
from tuning.statistics.values import Curve
from tuning.system.files import write_whole
from tuning.system.json_files import read_text
from tuning.system.json_values import InvalidFileError, parse
from tuning.system.paths import check_path, show_path

CARD_FILES = ("card.json", "card.md", "card.html")
"""The files of a card in the directory of its check."""

_WIDTH = 88


@dataclasses.dataclass(frozen=True)
class Card:
    """Whether a setting is safe, with every figure; ``str(card)`` says it in words.

    Attributes:
        content: the figures.
        comparison: with an earlier card; ``None`` if there was none.
    """

    content: SettingCard
    comparison: CardComparison | None = None

    @property
    def is_safe(self) -> bool:
        """Whether the setting meets every part of the rule."""
        return self.content.is_safe

    def sentences(self) -> tuple[str, ...]:
        """The card in sentences, the verdict first."""
        compared = ()
        if self.comparison is not None:
            compared = write_comparison(self.comparison, self.content)
        return (*write_card(self.content), *compared)

    def __str__(self) -> str:
        """The card as lines of text."""
        return "\n".join(
            textwrap.fill(
                sentence,
                _WIDTH,
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            for sentence in self.sentences()
        )

    def _repr_html_(self) -> str:
        """The sentences, for a notebook."""
        from markupsafe import escape

        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences())
        return f"<ul>{items}</ul>"

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON types; `tuning.report.setting_card.read_card` reads it."""
        plain = self.content.to_dict()
        if self.comparison is not None:
            plain["comparison"] = dataclasses.asdict(self.comparison)
        return {**plain, "sentences": list(self.sentences())}

    def against(self, earlier: SettingCard) -> Card:
        """This card, held against an earlier one.

        Raises:
            ValueError: that is the card of another workload.
        """
        return Card(self.content, compare_cards(earlier, self.content))


def write_card_files(directory: Path, card: Card, curves: Sequence[Curve] = ()) -> None:
    """Write ``card.json``, ``card.md`` and ``card.html``, each whole or not at all.

    Args:
        directory: of the check.
        card: that is written.
        curves: at the setting's batch size, to be drawn.
    """
    writers: tuple[Callable[[], str], ...] = (
        lambda: json.dumps(card.to_dict(), indent=1, allow_nan=False) + "\n",
        lambda: render_card_markdown(card.content, card.sentences()),
        lambda: render_card_html(card.content, card.sentences(), curves),
    )
    for name, write in zip(CARD_FILES, writers, strict=True):
        write_whole(directory / name, write())


def read_card(path: str | Path) -> SettingCard:
    """Read a ``card.json``, or that of a check's directory.

    Raises:
        ValueError: there is no such file, or it is no card.
    """
    path = check_path(path, "against")
    if path.is_dir():
        path = path / CARD_FILES[0]
    try:
        return SettingCard.from_dict(parse(read_text(path)))
    except FileNotFoundError:
        raise InvalidFileError(
            f"{show_path(path)} does not exist; name the card.json of an earlier check."
        ) from None
    except InvalidFileError as error:
        text = str(error)
        if text.startswith(show_path(path)):
            raise
        raise InvalidFileError(
            f"{show_path(path)} is not the card of a check: {text}."
        ) from None
