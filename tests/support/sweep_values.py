"""A small grid and its records, for tests that do not care what is in them."""

from tuning.grid import Grid
from tuning.records import RunRecord


def make_grid(**changes):
    plain = {
        "optimizers": ("keras.SGD", "keras_adam.Adam"),
        "learning_rates": (0.1, 0.01),
        "batch_sizes": (8, 4),
        "seeds": (0, 1),
        "epochs": 3,
    }
    return Grid(**{**plain, **changes})


def make_record(seed=0, **changes):
    plain = {
        "run_id": f"keras.SGD/batch=8/lr=0.1/seed={seed}",
        "workload": "tiny",
        "optimizer": "keras.SGD",
        "optimizer_config": {"momentum": 0.0},
        "learning_rate": 0.1,
        "batch_size": 8,
        "seed": seed,
        "epochs": 1,
        "status": "ok",
    }
    return RunRecord(**{**plain, **changes})
