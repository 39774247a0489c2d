"""Writes a benchmark's figures as JSON, with command, versions, machine and date."""

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

ROOT = Path(__file__).parents[1]
DIRECTORY = Path(os.environ.get("KERAS_ADAM_RESULTS") or ROOT / "benchmarks/results")
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
    """Write ``results/NAME.json`` or ``results/NAME_PART.json``; returns its path.

    The environment variable ``KERAS_ADAM_RESULTS`` can name another directory.
    """
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / f"{'_'.join(filter(None, (name, part)))}.json"
    document = {
        "benchmark": name,
        "command": shlex.join(["python", *map(_without_place, _command_line())]),
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


def _command_line() -> list[str]:
    return [str(Path(sys.argv[0]).absolute()), *sys.argv[1:]]


def _without_place(argument: str) -> str:
    """A path from the repository's root, or its last part if it lies elsewhere.

    Its place on this machine is private.
    """
    path = Path(argument)
    if path.is_absolute():
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    return argument


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
