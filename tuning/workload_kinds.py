"""The kinds of workloads that a sweep can train."""

from __future__ import annotations

from tuning.fit_workload import FitWorkload
from tuning.loop_workload import LoopWorkload
from tuning.workload import Workload

AnyWorkload = Workload | FitWorkload | LoopWorkload

KINDS = (Workload, FitWorkload, LoopWorkload)
"""For ``isinstance``."""
