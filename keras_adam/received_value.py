"""How error messages show what was received."""

from __future__ import annotations

from typing import Any

MOST_CHARACTERS = 200


def shown(value: Any) -> str:
    """A value as an error message shows it: short, and without ever raising."""
    try:
        text = repr(value)
    # Python refuses to print an integer of thousands of digits, and a user's class may
    # raise anything.
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
