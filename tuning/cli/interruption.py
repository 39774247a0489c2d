"""Ends the program at Ctrl-C and SIGTERM with one line and the right exit status.

If nothing would be lost, for example while libraries are imported or a report is
written, the program ends at once. While a sweep runs, an exception first ends the run
and the workers. If that takes too long, or the signal comes again, the program ends
anyway. Records are kept in both cases.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tuning.system.process_end import end_at_once

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SECONDS_TO_UNWIND = 10.0
"""Long enough for Ray to be shut down, which takes a few seconds."""

SECONDS_TO_NOTICE = 0.5
"""Time for the main thread to notice a signal, unless it is in native code."""

SHOW_CURSOR = b"\x1b[?25h"

STARTS_AGAIN = "Interrupted; the same command starts again."
CONTINUES = "Interrupted; the same command continues the sweep."
CONTINUES_CHECK = "Interrupted; the same command continues the check."
CONTINUES_WITHOUT_OVERWRITE = (
    "Interrupted; the same command without --overwrite continues the sweep."
)


def continues_in(directory: str) -> str:
    """The line for a sweep whose directory the user has not named."""
    command = shlex.join(["keras-adam-sweep", "run", "--resume", "--out", directory])
    return f"Interrupted; this continues the sweep: {command}"


class _Program:
    """State of the program that the signal handlers use."""

    def __init__(self) -> None:
        self.advice = CONTINUES
        self.is_told = False
        self.unwinds = False
        self.has_ended = False
        self.received: int | None = None
        self.terminal = 2
        self.earlier: dict[int, Any] = {}


_program = _Program()


@contextlib.contextmanager
def signals_caught(advice: str) -> Iterator[None]:
    """Unblock `SIGNALS` and handle them until the end of the process.

    Signals that are ignored, for example because of ``nohup``, stay ignored.

    Args:
        advice: the line that an interruption shows; see :func:`advise`.
    """
    global _program  # noqa: PLW0603 - signals belong to the process
    previous = _program
    program = _program = _Program()
    program.advice = advice
    # While TensorFlow is imported, standard error is a file that nobody reads.
    with contextlib.suppress(OSError):
        program.terminal = os.dup(2)
    for number in SIGNALS:
        earlier = signal.getsignal(number)
        if earlier is _handle:  # a program has called the command before
            earlier = previous.earlier.get(number, signal.SIG_DFL)
        if earlier not in (signal.SIG_IGN, None):
            program.earlier[number] = earlier
            signal.signal(number, _handle)
    stop = _watch_signals()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        program.has_ended = True
        stop()


def advise(advice: str) -> None:
    """Change the line that an interruption shows from now on.

    Args:
        advice: says how to continue after the interruption.
    """
    _program.advice = advice


def take_advice() -> str:
    """The line for an interruption; the caller shows it instead of the handler."""
    _program.is_told = True
    return _program.advice


def exit_status() -> int:
    """The exit status of an interrupted program, by the convention of shells.

    It is not passed in an exception: Ray's native code raises its own one instead.
    """
    return 128 + (_program.received or signal.SIGINT)


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Let a signal raise ``KeyboardInterrupt``, not end the program at once."""
    _program.unwinds = True
    try:
        yield
    finally:
        _program.unwinds = False


def _handle(number: int, frame: FrameType | None) -> None:
    """The handler; Python calls it in the main thread."""
    program = _program
    if program.has_ended and threading.main_thread().is_alive():
        # Another program called this one and still runs.
        _handle_as_before(number, frame)
        return
    is_first = program.received is None
    program.received = number
    if is_first and program.unwinds:
        raise KeyboardInterrupt
    _end(program, number)


def _handle_as_before(number: int, frame: FrameType | None) -> None:
    earlier = _program.earlier.get(number)
    if callable(earlier):
        earlier(number, frame)
        return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _end(program: _Program, number: int) -> None:
    if not program.is_told:
        program.is_told = True
        line = f"{program.advice}\n".encode()
        with contextlib.suppress(OSError):
            if os.isatty(program.terminal):
                line = b"\r" + SHOW_CURSOR + line
            os.write(program.terminal, line)
    end_at_once(128 + number)


def _watch_signals() -> Callable[[], None]:
    """Start a thread that ends the program if the main thread does not.

    Python calls a handler only between two operations of the main thread, and one
    operation may be a whole epoch in native code.

    Returns:
        A function that stops the thread.
    """
    if os.name != "posix":
        return lambda: None
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    owner = os.getpid()
    program = _program
    threading.Thread(
        target=_watch, args=(reader, program), name="signals", daemon=True
    ).start()

    def leave_to_parent() -> None:
        # A forked process would write its own signals into the same pipe.
        if program.has_ended:
            return
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
            for number, handler in program.earlier.items():
                signal.signal(number, handler)

    os.register_at_fork(after_in_child=leave_to_parent)

    def stop() -> None:
        if os.getpid() == owner:
            signal.set_wakeup_fd(earlier)
            os.close(writer)

    return stop


def _watch(reader: int, program: _Program) -> None:
    deadline: float | None = None
    received: int = signal.SIGINT
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], left)[0]:
            _end(program, received)
        numbers = os.read(reader, 64)
        if not numbers:
            os.close(reader)
            return
        for number in numbers:
            # The user's code may have a handler of its own.
            if number in SIGNALS and signal.getsignal(number) is _handle:
                may_unwind = deadline is None and program.unwinds
                seconds = SECONDS_TO_UNWIND if may_unwind else SECONDS_TO_NOTICE
                deadline = time.monotonic() + seconds
                received = number
