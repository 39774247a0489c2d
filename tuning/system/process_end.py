"""Turns attempts of a user's code to end the process into errors.

``sys.exit`` raises ``SystemExit``, which can be caught. ``os._exit`` ends the process
at once, perhaps with a status of success, so it is replaced while the user's code runs.
Other ends (a signal, ``os.abort``, native code) cannot be caught, but do not look like
success either. If runs are trained in separate processes (``--workers 2``,
``--run-timeout``), the sweep survives all of these.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import NoReturn

end_at_once = os._exit
"""Python's own ``os._exit``, even while :func:`os_exit_raises` replaces it."""


@contextlib.contextmanager
def os_exit_raises() -> Iterator[None]:
    """Let ``os._exit`` raise ``SystemExit`` in this thread of this process.

    In other threads and in forked processes it still ends the process:
    ``multiprocessing`` ends its processes with ``os._exit``.
    """
    end = os._exit
    place = os.getpid(), threading.get_ident()

    def refuse(status: int) -> NoReturn:
        if (os.getpid(), threading.get_ident()) != place:
            end(status)
        raise SystemExit(f"os._exit({status}) was called")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end
