"""KerasTuner's own oracles, choosing among the runs of a grid.

When a sweep is continued, its oracle starts from the beginning: with the same seed it
proposes the same runs, and finished runs are answered from their records. So a sweep
never reads KerasTuner's state, which a killed process may leave half written.
"""

from __future__ import annotations

import warnings
from typing import Any

from keras_tuner.engine.trial import Trial
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from tuning.grid import Grid, Run
from tuning.search.oracle import EPOCHS, SweepOracle, search_arguments

SEED = 1
"""Seed of the choices. KerasTuner takes 0 for no seed, and draws one each time."""


class RandomOracle(SweepOracle, RandomSearchOracle):
    """Runs drawn from the grid, none twice.

    Args:
        grid: runs to choose from.
        max_runs: how many.
    """

    def __init__(self, grid: Grid, max_runs: int) -> None:
        super().__init__(**search_arguments(grid), max_trials=max_runs, seed=SEED)
        self.verbose = 0


class BayesianOracle(SweepOracle, BayesianOptimizationOracle):
    """Runs where a Gaussian process expects low losses or knows little.

    It may propose a run twice. The second one counts as well, but is answered from the
    record.

    Args:
        grid: runs to choose from.
        max_runs: how many.
    """

    def __init__(self, grid: Grid, max_runs: int) -> None:
        super().__init__(**search_arguments(grid), max_trials=max_runs, seed=SEED)
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next run, or the end of the search."""
        with warnings.catch_warnings():
            # The Gaussian process is fitted again for every trial; users need not see
            # warnings about the fit.
            warnings.simplefilter("ignore")
            return super().populate_space(trial_id)


class HyperbandSweepOracle(SweepOracle, HyperbandOracle):
    """Many runs of few epochs; the best of them are run again with more.

    A run with more epochs starts from scratch, since a sweep keeps no weights. Only
    runs with all epochs of the grid are judged.

    Args:
        grid: runs to choose from; its epochs are the most that a run gets.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__(
            **search_arguments(grid), max_epochs=grid.epochs, factor=3, seed=SEED
        )
        self.verbose = 0
        self._most_epochs = grid.epochs

    def run_of(self, trial: Trial) -> Run:
        """See `SweepOracle`; the run has the trial's number of epochs."""
        run = super().run_of(trial)
        epochs = trial.hyperparameters.values.get(EPOCHS)
        if epochs is None or epochs == self._most_epochs:
            return run
        return Run(run.optimizer, run.batch_size, run.learning_rate, run.seed, epochs)
