"""The console script: sees that the lab's packages are there, then hands over.

Exit status: 0 when everything was done, also when nobody could read what was shown (a
closed standard output or error, a reader such as ``head`` that has gone, a full disk
behind ``> log``); 1 when there is nothing to judge, because every run failed, or when
what was asked for was only to be shown and could not be; 2 for an error that the user
can mend; 130 after Ctrl-C.
"""

from __future__ import annotations

import importlib.util
import sys

from tuning.standard_streams import protect

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
    finish = protect()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"keras-adam-sweep needs {', '.join(missing)}: "
            "pip install 'keras-adam[tuning]'\n"
        )
        raise SystemExit(2)
    from tuning.cli import app, shows_only

    try:
        app()
    except SystemExit as end:
        if finish() is not None and not end.code and shows_only(sys.argv[1:]):
            raise SystemExit(1) from None
        raise
