"""One process per measurement: no contender inherits another's memory or threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping


def run_worker(
    script: str, arguments: list[str], environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run ``script --worker ARGUMENTS``; its last line of output is the result.

    Args:
        script: path of the benchmark.
        arguments: say what the worker measures.
        environment: further environment variables of the worker.

    Returns:
        What the worker printed as JSON.

    Raises:
        RuntimeError: the worker failed; the message has the end of its error output.
    """
    result = subprocess.run(
        [sys.executable, script, "--worker", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if result.returncode:
        raise RuntimeError(f"{arguments}: {result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1])
