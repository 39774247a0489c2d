"""The engine of a Ray cluster: one actor per worker, on any node with room for it.

A worker is an actor, not a task per run, because compiled functions live in a process:
the oracle hands each worker runs of one optimizer and batch size as long as there are
any. Task and data travel once per node, through Ray's object store. If a process or its
node is lost, another actor replaces the worker.

Every module that a worker imports must be importable on its node; for a user's own
files, ``ray job submit --working-dir`` makes sure of that.
"""

from __future__ import annotations

import collections
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

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
from tuning.engines.worker import (
    RemoteTrainer,
    Settings,
    apply_settings,
    current_settings,
    worker_environment,
)
from tuning.errors import format_error
from tuning.grid import Run
from tuning.records import RunRecord
from tuning.trainers.task import Task

try:
    import ray
except ImportError as error:
    raise ValueError(
        "the engine 'ray' needs the package ray: pip install 'keras-adam[cluster]'."
    ) from error


def open_engine(task: Task, options: EngineOptions, logs: Path) -> Engine:
    """Actors on a Ray cluster. Ray keeps their logs itself."""
    del logs
    return RayEngine(task, options)


class RayEngine:
    """Actors on a Ray cluster.

    Args:
        task: what all runs have in common.
        options: the number of actors and the address of the cluster. Without an
            address, ``RAY_ADDRESS`` is used; without that, Ray is started on this
            machine.

    Raises:
        ValueError: the cluster cannot be reached, or has no room for a run.
    """

    def __init__(self, task: Task, options: EngineOptions) -> None:
        gpus = options.gpus_per_run
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(options.ray_address)
        try:
            room = _room(gpus)
            self.workers = options.workers or room
            # Ray gives each actor one core: more threads would use another actor's.
            self._settings = current_settings(threads=1)
            environment = worker_environment(2 if 0 < gpus < 1 else 1)
            self._actor = ray.remote(
                num_cpus=1,
                num_gpus=gpus,
                runtime_env={"env_vars": environment},
            )(_Trainer)
            self._task = _put(task)
        except BaseException:
            self._disconnect()
            raise
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, int] = {}
        self._setting_up: dict[Any, int] = {}
        self._events: collections.deque[Event] = collections.deque()

    def start(self, worker: int, run: Run) -> None:
        """See `tuning.engines.engine.Engine`."""
        actor = self._actors.get(worker)
        if actor is None:
            actor = self._actors[worker] = self._actor.remote(sys.path, self._settings)
            ready = actor.set_up.remote(self._task)
            self._setting_up[ready] = worker
        else:
            self._events.append(Began(worker))
        self._waiting[actor.run.remote(run)] = worker

    def wait(self, seconds: float | None) -> Event | None:
        """See `tuning.engines.engine.Engine`."""
        if self._events:
            return self._events.popleft()
        pending = [*self._setting_up, *self._waiting]
        done, _ = ray.wait(pending, num_returns=1, timeout=seconds)
        if not done:
            return None
        (reference,) = done
        is_set_up = reference in self._setting_up
        of_worker = self._setting_up if is_set_up else self._waiting
        worker = of_worker.pop(reference)
        try:
            result = ray.get(reference)
        except (
            ray.exceptions.RuntimeEnvSetupError,
            ray.exceptions.ActorUnschedulableError,
        ) as error:
            raise WorkerStartError(format_error(error)) from None
        except ray.exceptions.RayError as error:
            # An error of the worker itself: errors of runs are in their records.
            cause = getattr(error, "cause", None)
            if is_set_up and cause is not None:
                raise WorkerStartError(format_error(cause)) from None
            self.end(worker)
            return Lost(worker, format_error(cause or error))
        if is_set_up:
            return Began(worker)
        line, traceback, notes = result
        return Finished(worker, RunRecord.from_json(line), traceback, notes)

    def end(self, worker: int) -> None:
        """See `tuning.engines.engine.Engine`."""
        actor = self._actors.get(worker)
        self._forget(worker)
        if actor is not None:
            ray.kill(actor)

    def close(self) -> None:
        """End all workers, and disconnect from Ray if this engine connected to it."""
        for worker in list(self._actors):
            self.end(worker)
        self._disconnect()

    def _forget(self, worker: int) -> None:
        self._actors.pop(worker, None)
        for references in (self._waiting, self._setting_up):
            for reference in [r for r, w in references.items() if w == worker]:
                del references[reference]

    def _disconnect(self) -> None:
        if self._is_ours:
            ray.shutdown()


class _Trainer:
    """The actor: trains the driver's runs in its own process."""

    def __init__(self, path: list[str], settings: Settings) -> None:
        # Before objects arrive whose modules are only on the driver's path.
        sys.path.extend(entry for entry in path if entry not in sys.path)
        apply_settings(settings)
        self._trainer: RemoteTrainer | None = None

    def set_up(self, task: Task) -> None:
        self._trainer = RemoteTrainer(task)

    def run(self, run: Run) -> tuple[str, str | None, tuple[str, ...]]:
        if self._trainer is None:
            raise RuntimeError("the worker was not set up.")
        return self._trainer.run(run)


def _connect(address: str | None) -> None:
    # Ray would send usage statistics to its makers without being asked to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None and not os.environ.get("RAY_ADDRESS"):
        options["include_dashboard"] = False
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **options)
        if threading.current_thread() is threading.main_thread():
            # Ray's own handler would end the sweep by sys.exit.
            signal.signal(signal.SIGTERM, handler)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"Ray cannot be reached at {address or 'this machine'}: "
            f"{format_error(error)}"
        ) from error


def _put(task: Task) -> Any:
    """The task in Ray's store.

    Raises:
        WorkerStartError: something in it cannot be pickled.
    """
    try:
        return ray.put(task)
    except Exception as error:
        raise WorkerStartError(explain_unsendable(error)) from error


def _room(gpus_per_run: float) -> int:
    """Number of actors that fit on the cluster, each with one core and these GPUs."""
    resources = ray.cluster_resources()
    cores, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    room = int(cores)
    if gpus_per_run:
        # Ray never gives an actor fractions of two GPUs.
        per_gpu = int(1 / gpus_per_run) if gpus_per_run < 1 else 0
        room = min(room, int(gpus) * per_gpu if per_gpu else int(gpus // gpus_per_run))
    if room < 1:
        raise ValueError(
            f"the Ray cluster has {cores:g} cores and {gpus:g} GPUs, no room for a "
            f"run that needs 1 core and {gpus_per_run:g} GPUs."
        )
    return room
