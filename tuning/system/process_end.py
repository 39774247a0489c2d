"""What a user's code can do to end the process, and how that becomes an error.

``sys.exit`` raises ``SystemExit``, which can be caught. ``os._exit`` ends the process
at once, and its status may say that all went well; so it is replaced while the user's
code runs. Other ends (a signal, ``os.abort``, native code) cannot be caught, but they
do not look like success either. Where runs have processes of their own
(``--workers 2``, ``--run-timeout``), the sweep survives all of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import NoReturn

end_at_once = os._exit
"""Python's own ``os._exit``, whatever has taken its name since."""


@contextlib.contextmanager
def os_exit_raises() -> Iterator[None]:
    """Have ``os._exit`` raise ``SystemExit`` in this thread of this process.

    Other threads and forked processes end as ever: ``multiprocessing`` ends its own
    with ``os._exit``.
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
