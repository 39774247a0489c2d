"""A check on losses that are given, not trained."""

import math

from simulated_runs import record_of

from tuning.grid import Grid
from tuning.setting import CheckPlan, Rule, Setting, checked_rates

INITIAL = 2.0
ADAM, ROBUST = "keras.Adam", "keras_adam.Adam.robust"
PLANNED = CheckPlan(Setting(ADAM, 1e-3, 64), Rule())


def make_check_grid(seeds=3, planned=PLANNED, sizes=(32, 64, 128)):
    return Grid(
        (planned.setting.optimizer, ROBUST),
        checked_rates(planned.setting.learning_rate),
        sizes,
        tuple(range(seeds)),
        9,
    )


def valley(low, high, cliff=math.inf, floor=0.2, slope=2.0):
    """Losses of a flat valley from 10^low to 10^high that diverge from 10^cliff on."""

    def loss(run):
        x = math.log10(run.learning_rate)
        if x >= cliff - 1e-6:
            return None
        return min(INITIAL, floor + slope * max(low - x, x - high, 0.0))

    return loss


def outcome_of(loss):
    """The record of a run; a loss of ``None`` diverges, of ``"failed"`` raises."""

    def outcome(run):
        value = loss(run)
        if value == "failed":
            return record_of(
                run, status="failed", message="no memory", epochs=9, initial_loss=None
            )
        return record_of(
            run,
            status="ok" if value is not None else "diverged",
            workload="simulated",
            initial_loss=INITIAL,
            best_val_loss=value,
            final_val_loss=value,
            epochs=9,
            steps=6400 // run.batch_size,
            seconds=1.0,
        )

    return outcome
