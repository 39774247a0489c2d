"""Ends the program, even if threads or processes of the user's code still run.

At its end Python waits for threads, for processes of ``multiprocessing`` and for
functions registered with ``atexit``. By then the sweep and its report are written.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any

from tuning.system.process_end import end_at_once

SECONDS_TO_END = 5.0
"""How long to wait for threads and processes: an upload that is nearly done may end."""


def end_in_time(status: int, seconds: float = SECONDS_TO_END) -> None:
    """End this process soon after its main thread, even if other threads still run.

    Call this last in the main thread.

    Args:
        status: exit status of the process.
        seconds: to wait for threads and processes that still run.
    """
    threading.Thread(
        target=_watch, args=(status, seconds, time.monotonic()), name="end", daemon=True
    ).start()


def _watch(status: int, seconds: float, called: float) -> None:
    threading.main_thread().join()  # until Python starts to shut down
    if time.monotonic() - called > seconds:
        return  # another program called this one and went on afterwards
    time.sleep(seconds)
    children = _children()
    left = [
        *(f"thread {thread.name!r}" for thread in _threads()),
        *(f"process {child.name!r}" for child in children),
    ]
    what = ", ".join(left) or "a function registered with atexit"
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.write(
            "keras-adam-sweep: leaving, although the training's code has left "
            f"something running: {what}\n"
        )
        sys.stderr.flush()
    for child in children:
        with contextlib.suppress(Exception):
            child.kill()
    end_at_once(status)


def _threads() -> list[threading.Thread]:
    """Threads that Python waits for."""
    ours = threading.main_thread(), threading.current_thread()
    return [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread not in ours
    ]


def _children() -> list[Any]:
    """Processes of ``multiprocessing`` that still run."""
    multiprocessing = sys.modules.get("multiprocessing")
    return [] if multiprocessing is None else multiprocessing.active_children()
