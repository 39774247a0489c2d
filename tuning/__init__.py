"""A lab that measures how robust an optimizer is, on your own Keras model.

A sweep trains a `Workload` at every point of a `Grid` and keeps one record per run. A
report says how much learning rate, batch size and seed matter. Names are imported when
they are used, so ``import tuning`` is quick.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `keras-adam-sweep` starts here: typing takes long to import
if TYPE_CHECKING:
    from typing import Any

    from tuning.checks.execution import check
    from tuning.fit_workload import FitWorkload
    from tuning.grid import Grid
    from tuning.kerastuner.tuner import RobustnessTuner
    from tuning.loop_workload import LoopWorkload, training
    from tuning.records import RunRecord
    from tuning.report import write_comparison, write_report
    from tuning.report.recommendation import recommend
    from tuning.report.setting_card import Card, read_card
    from tuning.runs_file import read_records
    from tuning.setting import Rule
    from tuning.statistics import summarize
    from tuning.sweep.run import resume_sweep, run_sweep
    from tuning.workload import Data, WeightedData, Workload

__all__ = [
    "Card",
    "Data",
    "FitWorkload",
    "Grid",
    "LoopWorkload",
    "RobustnessTuner",
    "Rule",
    "RunRecord",
    "WeightedData",
    "Workload",
    "check",
    "read_card",
    "read_records",
    "recommend",
    "resume_sweep",
    "run_sweep",
    "summarize",
    "training",
    "write_comparison",
    "write_report",
]

_HOMES = {
    "Card": "tuning.report.setting_card",
    "Data": "tuning.workload",
    "FitWorkload": "tuning.fit_workload",
    "Grid": "tuning.grid",
    "LoopWorkload": "tuning.loop_workload",
    "RobustnessTuner": "tuning.kerastuner.tuner",
    "Rule": "tuning.setting",
    "RunRecord": "tuning.records",
    "WeightedData": "tuning.workload",
    "Workload": "tuning.workload",
    "check": "tuning.checks.execution",
    "read_card": "tuning.report.setting_card",
    "read_records": "tuning.runs_file",
    "recommend": "tuning.report.recommendation",
    "resume_sweep": "tuning.sweep.run",
    "run_sweep": "tuning.sweep.run",
    "summarize": "tuning.statistics",
    "training": "tuning.loop_workload",
    "write_comparison": "tuning.report",
    "write_report": "tuning.report",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted(__all__)
