"""Which runs of a grid are done: all of them, or those that tell most.

``grid``: every one. ``edges``: those that show where the good rates end. ``random``,
``bayesian``, ``hyperband``: as KerasTuner's oracles of these names choose.
"""

from __future__ import annotations

from collections.abc import Iterable

from tuning.grid import Grid
from tuning.records import RunRecord
from tuning.search.edges_oracle import EdgesOracle
from tuning.search.kerastuner_oracles import (
    BayesianOracle,
    HyperbandSweepOracle,
    RandomOracle,
)
from tuning.search.oracle import GridOracle, SweepOracle


def make_oracle(
    strategy: str, max_runs: int | None, grid: Grid, finished: Iterable[RunRecord]
) -> SweepOracle:
    """The oracle of a strategy, with the runs that took place already.

    Args:
        strategy: one of `tuning.plan.STRATEGIES`.
        max_runs: how many runs at most, where the strategy has no end of its own.
        grid: the runs that can be chosen.
        finished: records of earlier runs.
    """
    if strategy == "grid":
        return GridOracle(grid, finished)
    if strategy == "edges":
        return EdgesOracle(grid, finished)
    if strategy == "hyperband":
        oracle = HyperbandSweepOracle(grid)
    else:
        kind = {"random": RandomOracle, "bayesian": BayesianOracle}[strategy]
        oracle = kind(grid, max_runs or len(grid))
    oracle.answer_from(finished)
    return oracle
