"""Objects that a text names: ``package.module:attribute``."""

from __future__ import annotations

import pkgutil
import re
from typing import Any

from tuning.errors import user_code


def resolve_reference(reference: str, what: str) -> Any:
    """Import the object that ``package.module:attribute`` names.

    Args:
        reference: the text.
        what: the kind of object, for messages: ``"workload"``, ``"optimizer"``.

    Raises:
        ValueError: the reference has another form, names nothing, or its import
            raises an error.
    """
    if reference.count(":") != 1 or not all(reference.split(":")):
        raise ValueError(
            f"{what} {reference!r} is neither a built-in name nor of the form "
            "package.module:attribute."
        )
    hint = (
        " (the package tuning is this lab's own; rename yours if you mean one)"
        if re.match(r"tuning[.:]", reference)
        else ""
    )
    with user_code(f"{what} {reference!r} cannot be imported", hint):
        return pkgutil.resolve_name(reference)
