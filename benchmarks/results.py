"""Where a benchmark's figures go: JSON with the command, versions, machine and date."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "results"
PACKAGES = (
    "keras-adam",
    "keras",
    "tensorflow",
    "keras-tuner",
    "numpy",
    "jax",
    "optax",
    "torch",
    "bitsandbytes",
    "torchao",
)


def write_results(
    name: str, rows: Sequence[Mapping[str, Any]], part: str = "", **facts: Any
) -> Path:
    """Write ``results/NAME.json`` or ``results/NAME_PART.json``; returns its path."""
    DIRECTORY.mkdir(exist_ok=True)
    path = DIRECTORY / f"{'_'.join(filter(None, (name, part)))}.json"
    document = {
        "benchmark": name,
        "command": shlex.join(
            ["python", f"benchmarks/{name}.py", *map(_without_place, sys.argv[1:])]
        ),
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {"processor": _processor(), "cores": os.cpu_count()},
        **facts,
        "rows": list(rows),
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Print rows as a Markdown table.

    Args:
        rows: values by key.
        columns: headings by key, in order.
    """
    print("| " + " | ".join(columns.values()) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(_text(row.get(key)) for key in columns) + " |")


def _without_place(argument: str) -> str:
    """A path's last part: where it lay on this machine is nobody else's concern."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _text(value: Any) -> str:
    if value is None:
        return "--"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()
