"""Python's language reference, which CPython holds for ``help()`` (embedded data).

The text belongs to the Python that runs: another minor version has another one, and
figures differ with it. Source: `pydoc_data.topics`, licence PSF-2.0.
"""

from __future__ import annotations

import random
import re

CLASSES = (
    "statements",
    "expressions",
    "data model",
    "collections",
    "strings",
    "debugger",
)

_PAGES = {
    "statements": (
        "pass continue break else if while return assert del nonlocal global import "
        "raise try with for class function async await yield augassign assignment "
        "compound exprlists naming execmodel exceptions"
    ),
    "expressions": (
        "lambda lists shifting conversions atom-identifiers atom-literals bitwise "
        "unary attribute-references truth power in slicings subscriptions dict binary "
        "calls operator-summary comparisons booleans numbers integers floating "
        "imaginary identifiers id-classes"
    ),
    "data model": (
        "specialnames customization attribute-access objects types numeric-types "
        "sequence-types callable-types typesmethods typesfunctions typesmodules "
        "specialattrs context-managers bltin-null-object bltin-ellipsis-object "
        "bltin-type-objects bltin-code-objects dynamic-features"
    ),
    "collections": "typesseq typesseq-mutable typesmapping",
    "strings": "string-methods formatstrings strings",
    "debugger": "debugger",
}
"""Which pages of `pydoc_data.topics` make up a class."""

_DRAWN_LINE = re.compile(r"[-=*+]{4,}")
"""Under headings and in tables: the same again and again, and no language."""

PASSAGE_WORDS = 24
"""A passage ends with the paragraph in which it reaches so many words."""

BLOCK_CHARACTERS = 2000
"""The text is split into parts by blocks of whole paragraphs of about this length."""

VALIDATION_EVERY = 10
"""So many blocks, and one of them is for validation."""


def read_passages() -> tuple[list[str], list[int]]:
    """Passages of whole paragraphs, and the class of the page they are from.

    The pages quote each other at length; every paragraph is taken once, from the
    shortest page that holds it, so no two passages have one in common.
    """
    class_of = {
        page: number
        for number, name in enumerate(CLASSES)
        for page in _PAGES[name].split()
    }
    passages, labels = [], []
    for page, paragraphs in _own_paragraphs().items():
        if page not in class_of:
            continue
        words: list[str] = []
        for paragraph in paragraphs:
            words += paragraph.split()
            if len(words) >= PASSAGE_WORDS:
                passages.append(" ".join(words))
                labels.append(class_of[page])
                words = []
    return passages, labels


def read_texts() -> tuple[list[str], list[str]]:
    """The whole reference in blocks: to learn from, and to judge by.

    Every paragraph stands in one block alone. Blocks are put in a random order first,
    the same every time, so both parts hold something of every chapter.
    """
    blocks: list[str] = []
    for paragraphs in _own_paragraphs().values():
        block = ""
        for paragraph in paragraphs:
            block += paragraph + "\n\n"
            if len(block) >= BLOCK_CHARACTERS:
                blocks.append(block)
                block = ""
        if block:
            blocks.append(block)
    random.Random(0).shuffle(blocks)
    held_out = blocks[::VALIDATION_EVERY]
    return [b for i, b in enumerate(blocks) if i % VALIDATION_EVERY], held_out


def _own_paragraphs() -> dict[str, list[str]]:
    """Per page the paragraphs that no shorter page holds, spaces made single.

    A sentence may still stand in two paragraphs: of the validation text, about 1 % of
    all stretches of 50 characters also occur in the training text.
    """
    from pydoc_data.topics import topics

    seen: set[str] = set()
    own: dict[str, list[str]] = {}
    for page in sorted(topics, key=lambda page: (len(topics[page]), page)):
        own[page] = []
        for paragraph in re.split(r"\n\s*\n", topics[page]):
            text = " ".join(_DRAWN_LINE.sub(" ", paragraph).split())
            if text and text not in seen:
                seen.add(text)
                own[page].append(text)
    return own
