"""The engine of worker processes on this machine.

Each worker is a new Python process (:mod:`tuning.engines.local_worker`) that talks to
this one over its standard input and output. It inherits no threads, as TensorFlow
requires, and does not import this process's ``__main__``, which therefore needs no
guard. A worker ends when this process ends for any reason, because its standard input
ends then.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cloudpickle

from tuning.engines.engine import (
    Began,
    Engine,
    Event,
    Finished,
    Lost,
    WorkerStartError,
    explain_unsendable,
)
from tuning.engines.options import EngineOptions
from tuning.engines.worker import Settings, current_settings, worker_environment
from tuning.grid import Run
from tuning.records import RunRecord
from tuning.trainers.task import Task

START_WORKER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tuning.engines.local_worker import main; main()"
)
"""Code of a worker, run with ``-c`` and this process's ``sys.path``. With ``-m`` the
current directory comes first, so a project's own package ``tuning`` would be used."""

SECONDS_TO_END = 10.0

NATIVE_LOG_LINE = re.compile(r"[IWE]\d{4} \d\d:|WARNING: All log messages before absl")
"""Lines that TensorFlow's native code logs at every start, even if nothing is wrong."""


class _Message(NamedTuple):
    """A message from a worker, with the number of the process that sent it."""

    worker: int
    generation: int
    content: Any


class _Ended(NamedTuple):
    """The end of a worker's output."""


def open_engine(task: Task, options: EngineOptions, logs: Path) -> Engine:
    """Worker processes, or this process if there is one worker without a time limit.

    A second process would make a single worker no safer, since an interrupted sweep can
    be continued.
    """
    if options.is_in_process:
        from tuning.engines.in_process import InProcessEngine

        return InProcessEngine(task)
    return LocalEngine(task, options, logs)


class LocalEngine:
    """Worker processes on this machine.

    Args:
        task: what all runs have in common. It is sent with cloudpickle, so it may
            contain functions of the program itself, even lambdas.
        options: the number of processes; each starts with its first run.
        logs: directory for the standard error of workers, one file each; ``None``
            lets them write to this process's standard error.
    """

    def __init__(
        self, task: Task, options: EngineOptions, logs: Path | None = None
    ) -> None:
        self.workers = options.workers or 1
        self._task = task
        self._logs = logs
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._processes: dict[int, _WorkerProcess] = {}
        self._started = 0

    def start(self, worker: int, run: Run) -> None:
        """See `tuning.engines.engine.Engine`."""
        process = self._processes.get(worker)
        if process is None:
            self._started += 1
            process = _WorkerProcess(
                worker,
                self._started,
                self._task,
                self._messages,
                self._log_of(worker),
                workers=self.workers,
            )
            self._processes[worker] = process
        process.send(run)

    def wait(self, seconds: float | None) -> Event | None:
        """See `tuning.engines.engine.Engine`."""
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            return None
        process = self._processes.get(message.worker)
        if process is None or process.generation != message.generation:
            return None  # from a process that has been ended since
        if isinstance(message.content, _Ended):
            del self._processes[message.worker]
            return Lost(message.worker, process.how_it_ended())
        kind, *content = message.content
        if kind == "refused":
            raise WorkerStartError(content[0])
        if kind == "began":
            return Began(message.worker)
        line, traceback, notes = content
        return Finished(message.worker, RunRecord.from_json(line), traceback, notes)

    def end(self, worker: int) -> None:
        """See `tuning.engines.engine.Engine`."""
        process = self._processes.pop(worker, None)
        if process is not None:
            process.kill()

    def close(self) -> None:
        """See `tuning.engines.engine.Engine`."""
        for worker in list(self._processes):
            self.end(worker)
        if self._logs is not None and self._logs.is_dir():
            _remove_empty_files(self._logs)

    def _log_of(self, worker: int) -> Path | None:
        return None if self._logs is None else self._logs / f"worker-{worker}.log"


class _WorkerProcess:
    """One process of a worker, with a thread that writes to it and one that reads."""

    def __init__(
        self,
        worker: int,
        generation: int,
        task: Task,
        messages: queue.SimpleQueue[_Message],
        log: Path | None,
        *,
        workers: int,
    ) -> None:
        self.generation = generation
        self._log = log
        self._log_start = 0
        self._unsendable = ""
        self._outbox: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        settings = current_settings(max(1, cores // workers) if workers > 1 else None)
        self._process = self._spawn(workers)
        streams = self._process.stdin, self._process.stdout
        if streams[0] is None or streams[1] is None:
            raise OSError("a worker's process has no standard streams.")
        # A worker needs seconds before it reads; sending data must not wait for that.
        self._writer = threading.Thread(
            target=self._write, args=(streams[0], settings, task), daemon=True
        )
        self._reader = threading.Thread(
            target=self._read, args=(streams[1], worker, messages), daemon=True
        )
        self._ending = threading.Thread(
            target=_end_what_is_left, args=(self._process.pid,), daemon=True
        )
        self._writer.start()
        self._reader.start()
        self._ending.start()

    def send(self, run: Run) -> None:
        self._outbox.put(run)

    def kill(self) -> None:
        """End the process at once, and wait until it is gone."""
        if self._ending.is_alive():
            _kill_group(self._process.pid)
        self._ending.join(SECONDS_TO_END)
        self._process.kill()
        self._process.wait(SECONDS_TO_END)
        self._join()

    def how_it_ended(self) -> str:
        """Why the process ended: its signal or exit code, and its last log line."""
        self._ending.join(SECONDS_TO_END)
        code = self._process.wait(SECONDS_TO_END)
        self._join()
        if code < 0:
            name = signal.Signals(-code).name
            end = f"ended by {name}"
            if name == "SIGKILL":
                end += ", as the system does when memory runs out"
        else:
            end = f"ended with exit code {code}"
        words = self._last_words()
        return f"its process was {end}" + (f": {words}" if words else "")

    def _spawn(self, workers: int) -> subprocess.Popen:
        command = [sys.executable, "-c", START_WORKER, json.dumps(sys.path)]
        environment = {**os.environ, **worker_environment(workers)}
        options: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "env": environment,
            # Ctrl-C reaches the terminal's whole group; this process ends the workers.
            "start_new_session": True,
        }
        if self._log is None:
            return subprocess.Popen(command, **options)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(command, stderr=log, **options)

    def _write(self, stream: BinaryIO, settings: Settings, task: Task) -> None:
        try:
            with stream:
                pickle.dump(settings, stream, protocol=5)
                # Straight into the pipe, so that no second copy of the data is made.
                cloudpickle.dump(task, stream, protocol=5)
                stream.flush()
                while (run := self._outbox.get()) is not None:
                    pickle.dump(run, stream, protocol=5)
                    stream.flush()
        except (BrokenPipeError, ValueError):
            pass  # the reader reports that the process is gone
        except Exception as error:
            self._unsendable = explain_unsendable(error)
            self._process.kill()

    def _read(
        self, stream: BinaryIO, worker: int, messages: queue.SimpleQueue[_Message]
    ) -> None:
        with stream:
            while True:
                try:
                    content = pickle.load(stream)
                except (EOFError, pickle.UnpicklingError, OSError):
                    content = _Ended()
                if isinstance(content, _Ended) and self._unsendable:
                    content = ("refused", self._unsendable)
                messages.put(_Message(worker, self.generation, content))
                if isinstance(content, _Ended) or content[0] == "refused":
                    return

    def _join(self) -> None:
        self._outbox.put(None)
        self._writer.join(SECONDS_TO_END)
        self._reader.join(SECONDS_TO_END)

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        with self._log.open("rb") as log:
            log.seek(max(self._log_start, os.fstat(log.fileno()).st_size - 4000))
            text = log.read().decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if not NATIVE_LOG_LINE.match(line)]
        return lines[-1][:300] if lines else ""


def _kill_group(worker: int) -> None:
    """End a worker's process and all processes that the user's code started in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)


def _end_what_is_left(worker: int) -> None:
    """Wait until a worker's process ends, and end the processes that it started.

    A forked process keeps the worker's end of the pipe open. While it lives, the reader
    would not notice that the worker is gone.
    """
    if not hasattr(os, "waitid"):  # macOS and Windows
        return
    with contextlib.suppress(ChildProcessError):
        # Not reaped (WNOWAIT), so that no other process can get its number.
        os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
        _kill_group(worker)


def _remove_empty_files(directory: Path) -> None:
    for path in directory.glob("worker-*.log"):
        if path.stat().st_size == 0:
            path.unlink()
    if not any(directory.iterdir()):
        directory.rmdir()
