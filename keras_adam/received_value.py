"""How error messages show what was received."""

from __future__ import annotations

from typing import Any

MOST_CHARACTERS = 200


def shown(value: Any) -> str:
    """A value as an error message shows it: short, and never an error itself."""
    try:
        text = repr(value)
    # Python refuses to write out an integer of thousands of digits, and a class of the
    # user's may raise anything.
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
