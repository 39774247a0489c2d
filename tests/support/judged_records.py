"""Records of runs by their outcome, for statistics that are worked out by hand."""

import dataclasses

from tuning.grid import Run
from tuning.records import RunRecord

RATES = (1e-3, 1e-2, 1e-1)
INITIAL = 2.0
DIVERGED = "diverged"
FAILED = "failed"


def make_record(optimizer, batch_size, rate, seed, outcome, **fields):
    """A run that started at a loss of 2 and ended at ``outcome``, or in it."""
    is_word = isinstance(outcome, str)
    return RunRecord(
        **{
            "run_id": Run(optimizer, batch_size, rate, seed).run_id,
            "workload": "digits",
            "optimizer": optimizer,
            "optimizer_config": {},
            "learning_rate": rate,
            "batch_size": batch_size,
            "seed": seed,
            "epochs": 3,
            "status": outcome if is_word else "ok",
            "message": "no memory left" if outcome == FAILED else "",
            "initial_loss": None if outcome == FAILED else INITIAL,
            "final_val_loss": None if is_word else outcome,
            "seconds": 2.0,
            **fields,
        }
    )


def make_records(optimizer, batch_size, *outcomes_by_seed, rates=RATES):
    return [
        make_record(optimizer, batch_size, rate, seed, outcome)
        for seed, outcomes in enumerate(outcomes_by_seed)
        for rate, outcome in zip(rates, outcomes, strict=True)
    ]


def as_accuracy(record):
    """The same run judged by an accuracy: 0 at a loss of 2, 1 at a loss of 0."""

    def turned_loss(loss):
        return None if loss is None else loss / 2 - 1

    return dataclasses.replace(
        record,
        objective="val_accuracy",
        direction="max",
        initial_loss=turned_loss(record.initial_loss),
        best_val_loss=turned_loss(record.best_val_loss),
        final_val_loss=turned_loss(record.final_val_loss),
    )
