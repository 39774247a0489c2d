"""A worker process of `tuning.engines.local`.

The worker reads settings, the task and then one run after the other from its standard
input. It writes ``("began",)`` and ``("finished", record, traceback, notes)`` to its
standard output. Output of the user's code goes to standard error, so that it is not
mistaken for an answer.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from tuning.system.process_end import end_at_once


def main() -> None:
    """Train the runs that are sent, until the input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        trainer = _make_trainer(requests)
    except EOFError:
        return
    except BaseException as error:
        from tuning.errors import format_error

        _answer(answers, ("refused", format_error(error)))
        raise
    runs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, runs), daemon=True).start()
    while True:
        run = runs.get()
        _answer(answers, ("began",))
        _answer(answers, ("finished", *trainer.run(run)))


def _make_trainer(requests: BinaryIO) -> Any:
    from tuning.engines.worker import RemoteTrainer, apply_settings

    apply_settings(pickle.load(requests))
    return RemoteTrainer(pickle.load(requests))


def _receive(requests: BinaryIO, runs: queue.SimpleQueue[Any]) -> None:
    """Queue the runs that are sent, and end this process when the input ends.

    The input ends when the process that drives the sweep ends.
    """
    try:
        while True:
            runs.put(pickle.load(requests))
    except BaseException:
        # Not sys.exit: the training in the main thread would go on.
        sys.stderr.flush()
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            # Together with the processes that the user's code has started.
            os.killpg(os.getpid(), signal.SIGKILL)
        end_at_once(0)


def _answer(answers: BinaryIO, message: tuple) -> None:
    pickle.dump(message, answers, protocol=5)
    answers.flush()
