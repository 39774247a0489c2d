"""Which engine a sweep runs on, as its user chose it."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from tuning.engines.engine import SHARED_GPU, Engine, Task
from tuning.engines.ray_address import check_answers
from tuning.engines.supervision import check_run_timeout

ENGINES = ("local", "ray")


@dataclasses.dataclass(frozen=True)
class EngineChoice:
    """Where runs are executed, how many at once, and how long each may take.

    Attributes:
        name: one of `ENGINES`.
        workers: how many runs at once; ``None`` is one for ``"local"``, and as many as
            the cluster has room for with ``"ray"``.
        run_timeout: seconds; see `tuning.engines.supervision.SupervisedRuns`.
        ray_address: of a running cluster; ``None`` starts Ray on this machine.
        gpus_per_run: GPUs that Ray sets aside for each run; fractions share one.

    Raises:
        ValueError: a value that no engine could use, or an option of Ray's without
            ``name="ray"``.
    """

    name: str = "local"
    workers: int | None = None
    run_timeout: float | None = None
    ray_address: str | None = None
    gpus_per_run: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise ValueError(
                f"engine must be one of {list(ENGINES)}; received {self.name!r}."
            )
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be at least 1; received {self.workers}.")
        check_run_timeout(self.run_timeout)
        if not (math.isfinite(self.gpus_per_run) and self.gpus_per_run >= 0):
            raise ValueError(
                "gpus_per_run must be a number of at least 0; received "
                f"{self.gpus_per_run}."
            )
        if self.name != "ray" and (self.ray_address or self.gpus_per_run):
            raise ValueError(
                "ray_address and gpus_per_run are options of the engine 'ray'; "
                f"received engine {self.name!r}."
            )

    @property
    def is_in_process(self) -> bool:
        """Whether runs are trained in the process that drives the sweep."""
        has_one = (self.workers or 1) == 1 and self.run_timeout is None
        return self.name == "local" and has_one

    def leave_gpus_to_workers(self) -> None:
        """Have this process take no more of a GPU than it needs.

        It builds one model, to tell it from others. TensorFlow and JAX take nearly a
        whole GPU at the first touch, unless they are told before.
        """
        if not self.is_in_process:
            for name, value in SHARED_GPU.items():
                os.environ.setdefault(name, value)

    def check_reachable(self) -> None:
        """See that a cluster answers, before data are loaded for it.

        Raises:
            ValueError: nothing answers at the address of the Ray cluster.
        """
        if self.name == "ray":
            check_answers(self.ray_address)


def open_engine(choice: EngineChoice, task: Task, logs: Path) -> Engine:
    """The engine that was chosen, ready for runs.

    With one worker and no time limit, runs are trained in this process: there is
    nothing to start, and nothing that a second process would make safer than a sweep
    that can be continued is.

    Args:
        choice: of the user.
        task: what all runs have in common.
        logs: directory for what workers write to their standard error.

    Raises:
        ValueError: Ray is not installed, cannot be reached, or has no room for a run.
    """
    if choice.name == "ray":
        from tuning.engines.ray_cluster import RayEngine

        return RayEngine(task, choice.workers, choice.ray_address, choice.gpus_per_run)
    if choice.is_in_process:
        from tuning.engines.in_process import InProcessEngine

        return InProcessEngine(task)
    from tuning.engines.local import LocalEngine

    return LocalEngine(task, choice.workers or 1, logs)
