"""Python's language reference, which CPython contains for ``help()`` (embedded data).

The text is that of the running Python. Another minor version has another text, and
other figures. Source: `pydoc_data.topics`, licence PSF-2.0.
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
"""Lines under headings and in tables: they repeat, and are not language."""

PASSAGE_WORDS = 24
"""A passage ends with the paragraph in which it reaches this many words."""

BLOCK_CHARACTERS = 2000
"""Approximate length of a block of whole paragraphs; the text is split by blocks."""

VALIDATION_EVERY = 10
"""Every n-th block is for validation."""


def read_passages() -> tuple[list[str], list[int]]:
    """Passages of whole paragraphs, and the class of the page they are from.

    The pages quote each other at length. Every paragraph is taken once, from the
    shortest page that holds it, so no two passages share a paragraph.
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
    """The whole reference in blocks, for training and for validation.

    Every paragraph is in one block only. Blocks are shuffled first, in the same way
    every time, so both parts hold something of every chapter.
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
    """The paragraphs of each page that no shorter page holds, with single spaces.

    Two paragraphs may still share a sentence: of the validation text, about 1 % of all
    sequences of 50 characters also occur in the training text.
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
