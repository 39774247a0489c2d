"""Which runs of a grid are trained: all of them, or the most informative ones.

``grid``: every one. ``edges``: those that show where the stable range ends. ``random``,
``bayesian``, ``hyperband``: as KerasTuner's oracles of these names choose. ``check``:
those that show whether one setting is safe.
"""

from __future__ import annotations

from collections.abc import Iterable

from tuning.grid import Grid
from tuning.options import SweepOptions
from tuning.records import RunRecord
from tuning.search.check_oracle import CheckOracle
from tuning.search.edges_oracle import EdgesOracle
from tuning.search.kerastuner_oracles import (
    BayesianOracle,
    HyperbandSweepOracle,
    RandomOracle,
)
from tuning.search.oracle import GridOracle, SweepOracle


def make_oracle(
    options: SweepOptions, grid: Grid, finished: Iterable[RunRecord], workers: int = 1
) -> SweepOracle:
    """The oracle of a strategy, with the runs that took place already.

    Args:
        options: name the strategy, and how many runs at most.
        grid: the runs that can be chosen.
        finished: records of earlier runs.
        workers: how many runs are trained at the same time.
    """
    strategy = options.strategy
    if strategy == "grid":
        return GridOracle(grid, finished)
    if strategy == "edges":
        return EdgesOracle(grid, finished)
    if options.check is not None:
        limits = options.max_runs, options.max_minutes
        return CheckOracle(grid, options.check, finished, *limits, workers=workers)
    if strategy == "hyperband":
        oracle = HyperbandSweepOracle(grid)
    else:
        kind = {"random": RandomOracle, "bayesian": BayesianOracle}[strategy]
        oracle = kind(grid, options.max_runs or len(grid))
    oracle.answer_from(finished)
    return oracle
