"""Opens the chosen engine, and imports it only then."""

from __future__ import annotations

import pkgutil
from pathlib import Path

from tuning.engines.engine import Engine
from tuning.engines.options import ENGINES, EngineOptions
from tuning.trainers.task import Task


def open_engine(options: EngineOptions, task: Task, logs: Path) -> Engine:
    """The engine that was chosen, ready for runs.

    Args:
        options: of the user.
        task: what all runs have in common.
        logs: directory for the standard error of workers.

    Raises:
        ValueError: Ray is not installed, cannot be reached, or has no room for a run.
    """
    return pkgutil.resolve_name(ENGINES[options.name].open)(task, options, logs)
