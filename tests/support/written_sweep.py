"""A plan and records that fill every field of a sweep's files."""

from sweep_values import make_grid

from tuning.plan import Plan
from tuning.records import RunRecord

GRID = make_grid(options={"keras_adam.Adam": {"beta_2": 0.99}})


def record_of(run, **changes):
    plain = {
        "run_id": run.run_id,
        "workload": "tiny",
        "optimizer": run.optimizer,
        "optimizer_config": {"name": "adam", "deep": {"list": [1, None, "a"]}},
        "learning_rate": run.learning_rate,
        "batch_size": run.batch_size,
        "seed": run.seed,
        "epochs": 3,
        "status": "ok",
        "initial_loss": 2.0,
        "best_val_loss": 1.0,
        "final_val_loss": 1.0 + run.seed,
        "val_metrics": {"accuracy": 0.5},
        "steps": 10,
        "steps_to_target": 3,
        "seconds": 1.0,
        "seconds_per_step": 0.1,
        "state_bytes": 100,
        "history": {"loss": [2.0, None], "val_loss": [1.5, 1.0]},
        "training_curve": [2.0, None, 1.0],
        "steps_per_point": 3,
        "execution": "model.fit",
        "versions": {"keras": "3"},
    }
    return RunRecord(**{**plain, **changes})


PLAN = Plan(
    workload="tiny",
    grid=GRID,
    data={"train": 50, "validation": 20},
    reference="tiny_workload:WORKLOAD",
    description="Three clusters.",
    target_val_loss=0.5,
    loss="mean_squared_error",
    own_optimizers=["keras.SGD"],
    fingerprints={"data": "a", "model": None},
    versions={"keras": "3"},
    command="run",
    created="now",
    examples_per_epoch=50,
)
