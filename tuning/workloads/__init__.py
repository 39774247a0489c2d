"""The built-in workloads: one file each, found by name in one table."""

from __future__ import annotations

from collections.abc import Mapping

from tuning.workload import Workload, resolve_reference

BUILT_IN: Mapping[str, str] = {
    "digits": "tuning.workloads.digits:WORKLOAD",
}
"""Name -> where the workload is; imported only when it is asked for."""


def find_workload(name: str) -> Workload:
    """The workload of that name, or the one at ``package.module:attribute``.

    An attribute may be a `Workload` or a function without arguments that returns
    one.

    Raises:
        ValueError: nothing of that name; the message lists the built-in names.
    """
    if name not in BUILT_IN and ":" not in name:
        raise ValueError(
            f"unknown workload {name!r}; use {', '.join(BUILT_IN)} or "
            "package.module:attribute."
        )
    found = resolve_reference(BUILT_IN.get(name, name), "workload")
    if not isinstance(found, Workload) and callable(found):
        found = found()
    if not isinstance(found, Workload):
        raise ValueError(
            f"workload {name!r} must be a tuning.Workload or a function that "
            f"returns one; received {type(found).__name__}."
        )
    return found
