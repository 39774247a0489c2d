"""The console script: sees that the lab's packages are there, then hands over."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = (
    "cloudpickle",
    "jinja2",
    "keras_tuner",
    "matplotlib",
    "pydantic",
    "rich",
    "sklearn",
    "tensorboard",
    "typer",
)
"""Import names of what the lab imports, all of it in the extra ``tuning``."""


def main() -> None:
    """Run ``keras-adam-sweep``, or say in one line how to install what it needs."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"keras-adam-sweep needs {', '.join(missing)}: "
            "pip install 'keras-adam[tuning]'\n"
        )
        raise SystemExit(2)
    from tuning.cli import app

    app()
