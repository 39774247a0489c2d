"""Three tasks that train in milliseconds, and one whose data cannot be had."""

from tiny_workload import make_workload

from tuning.claims.budgets import Budget, PeakModel, PlannedSweep

FIRST = make_workload(name="first")
SECOND = make_workload(name="second")
THIRD = make_workload(name="third")

RATES = (1e-3, 1e-2)


def tiny_budget(*names, **changes):
    sweeps = tuple(
        PlannedSweep(
            f"claims_workloads:{name}", (16,), 1, 32 if name == "THIRD" else None
        )
        for name in names
    )
    plain = {
        "name": "tiny",
        "limit_seconds": 60,
        "learning_rates": RATES,
        "seeds": 2,
        "sweeps": sweeps,
        "peak_model": PeakModel(8, 2, 1),
    }
    return Budget(**{**plain, **changes})
