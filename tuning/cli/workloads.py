"""``keras-adam-sweep workloads``: list what can be trained."""

from __future__ import annotations

import typer

from tuning.workloads import BUILT_IN, find_workload


def workloads() -> None:
    """List the built-in workloads."""
    for name in BUILT_IN:
        typer.echo(f"{name}  {find_workload(name).description}")
