"""Where a sweep's runs are trained, how many at once, and how long each may take."""

from __future__ import annotations

import dataclasses
import math
import os
import pkgutil
from collections.abc import Mapping
from typing import NamedTuple


class EngineEntry(NamedTuple):
    """Where the functions of an engine are; they are imported when called.

    Attributes:
        open: ``module:function`` of ``(task, options, logs)``, which returns an
            `tuning.engines.engine.Engine`.
        check: ``module:function`` of ``(options)``, called before any data are loaded;
            empty if there is nothing to check.
    """

    open: str
    check: str = ""


ENGINES: Mapping[str, EngineEntry] = {
    "local": EngineEntry("tuning.engines.local:open_engine"),
    "ray": EngineEntry(
        "tuning.engines.ray_cluster:open_engine",
        "tuning.engines.ray_address:check_reachable",
    ),
}
"""Every engine by its name."""

SHARED_GPU = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
"""Environment variables with which TensorFlow and JAX share a GPU."""

_OF_RAY = {"engine": "ray"}


@dataclasses.dataclass(frozen=True)
class EngineOptions:
    """Where runs are trained, how many at once, and how long each may take.

    A field with ``metadata={"engine": NAME}`` is an option of that engine alone.

    Attributes:
        name: one of `ENGINES`.
        workers: runs at the same time. ``None`` means one for ``"local"``, and as many
            as the cluster has room for with ``"ray"``.
        run_timeout: seconds that a run may take, including the time to build and
            compile its model. A run that takes longer is ended and counts as failed.
            With a limit, runs are trained in separate processes. ``None``: no limit.
        ray_address: of a running Ray cluster; ``None`` starts Ray on this machine.
        gpus_per_run: GPUs that Ray reserves for each run; fractions share a GPU.

    Raises:
        ValueError: a value that no engine could use, or an option of another engine.
    """

    name: str = "local"
    workers: int | None = None
    run_timeout: float | None = None
    ray_address: str | None = dataclasses.field(default=None, metadata=_OF_RAY)
    gpus_per_run: float = dataclasses.field(default=0.0, metadata=_OF_RAY)

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
        for field in dataclasses.fields(self):
            owner = field.metadata.get("engine", self.name)
            if owner != self.name and getattr(self, field.name) != field.default:
                raise ValueError(
                    f"{field.name} is an option of the engine {owner!r}; received "
                    f"engine {self.name!r}."
                )

    @property
    def is_in_process(self) -> bool:
        """Whether runs are trained in the process that drives the sweep."""
        has_one = (self.workers or 1) == 1 and self.run_timeout is None
        return self.name == "local" and has_one

    def leave_gpus_to_workers(self) -> None:
        """Limit this process to the GPU memory that it needs.

        This process builds one model, to compare it with that of an earlier sweep.
        TensorFlow and JAX reserve nearly a whole GPU at the first use, unless the
        variables of `SHARED_GPU` are set.
        """
        if not self.is_in_process:
            for name, value in SHARED_GPU.items():
                os.environ.setdefault(name, value)

    def check_reachable(self) -> None:
        """Check that the engine can be reached, before data are loaded for it.

        Raises:
            ValueError: nothing answers at the address of the Ray cluster.
        """
        check = ENGINES[self.name].check
        if check:
            pkgutil.resolve_name(check)(self)


def check_run_timeout(run_timeout: float | None) -> None:
    """Check the time limit of a run.

    Raises:
        ValueError: it is not a positive number.
    """
    if run_timeout is not None and not run_timeout > 0:
        raise ValueError(
            f"run_timeout must be a positive number of seconds; received {run_timeout}."
        )
