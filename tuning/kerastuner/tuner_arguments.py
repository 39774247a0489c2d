"""What the constructor of a tuner receives, checked before a model is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras_tuner

from tuning.engines.options import EngineOptions
from tuning.objectives import direction_of

SWEEP_OPTIONS = (
    "engine",
    "execution",
    "max_runs",
    "options",
    "progress",
    "schedule",
    "strategy",
    *(
        field.name
        for field in dataclasses.fields(EngineOptions)
        if field.name != "name"
    ),
)
"""Arguments of the tuner that `tuning.run_sweep` receives as they are."""

NOT_HERE: Mapping[str, str] = {
    "max_trials": "the grid says which runs are trained; for fewer, give "
    "strategy='random' and max_runs",
    "executions_per_trial": "give seeds, the number of runs at each setting",
    "seed": "give seeds, such as seeds=[7]",
    "optimizer": "give optimizers=[...]",
    "loss": "call model.compile(loss=...) in the hypermodel",
    "metrics": "call model.compile(metrics=...) in the hypermodel",
    "max_model_size": "every run trains a model of one size",
    "distribution_strategy": "each run is trained on one device; give workers or "
    "engine='ray' for several runs at once",
    "tune_new_entries": "only optimizer, learning rate and batch size are swept",
    "allow_new_entries": "only optimizer, learning rate and batch size are swept",
    "max_retries_per_trial": "calling search again repeats the runs that failed",
    "max_consecutive_failed_trials": "a sweep goes on when runs fail",
    "oracle": "give strategy, such as strategy='bayesian' and max_runs",
    "tuner_id": "give workers or engine='ray'",
    "logger": "the sweep writes its records and report by itself",
    "max_epochs": "give epochs to search",
    "factor": "strategy='hyperband' has the factor 3",
}
"""Arguments of KerasTuner's tuners that this one does not have -> what to do."""


def check_tuner_arguments(received: Mapping[str, Any]) -> None:
    """Check the further arguments of a tuner.

    Raises:
        TypeError: one is unknown, or belongs to other tuners of KerasTuner.
    """
    for name in received:
        if name in NOT_HERE:
            raise TypeError(
                f"RobustnessTuner has no argument {name!r}: {NOT_HERE[name]}."
            )
        if name not in SWEEP_OPTIONS:
            raise TypeError(
                f"RobustnessTuner has no argument {name!r}; besides its own it has "
                f"{list(SWEEP_OPTIONS)}."
            )


class Judged(NamedTuple):
    """By what the runs of a tuner are judged; see `tuning.objectives.Judged`.

    Attributes:
        name: of the tuner, for messages.
        objective: a logged quantity; ``None`` for ``val_loss``, else ``loss``.
        direction: ``"min"`` or ``"max"``; ``None`` for a loss.
    """

    name: str
    objective: str | None
    direction: str | None

    @property
    def shown(self) -> keras_tuner.Objective:
        """As KerasTuner shows it before the first run."""
        return keras_tuner.Objective(self.objective or "val_loss", direction_of(self))


def judged_by(objective: Any) -> Judged:
    """By what the runs of a tuner are judged.

    Args:
        objective: of the tuner.

    Raises:
        TypeError: it is no objective, or several.
        ValueError: its direction is neither given nor known.
    """
    if objective is None:
        return Judged("tuner", None, None)
    is_one = isinstance(objective, keras_tuner.Objective)
    if is_one and not hasattr(objective, "objectives"):
        judged = Judged("tuner", objective.name, objective.direction)
        return judged._replace(direction=direction_of(judged))
    if not isinstance(objective, str):
        raise TypeError(
            "objective must be the name of one logged quantity, such as 'val_loss', or "
            f"one keras_tuner.Objective; received {objective!r:.100}."
        )
    judged = Judged("tuner", objective, None)
    try:
        return judged._replace(direction=direction_of(judged))
    except ValueError:
        raise ValueError(
            f"the name of the objective {objective!r} does not say whether less is "
            f"better: give keras_tuner.Objective({objective!r}, 'min') or 'max'."
        ) from None


def checked_count(checkpoints: Any) -> int:
    """Of how many trials the weights are kept.

    Raises:
        ValueError: it is no number.
    """
    if not isinstance(checkpoints, int) or checkpoints < 0:
        raise ValueError(
            "checkpoints must be the number of trials whose weights are kept, or True "
            f"for one; received {checkpoints!r}."
        )
    return int(checkpoints)


def fixed_values(hyperparameters: Any) -> dict[str, Any]:
    """The values that are given to hyperparameters by name.

    Raises:
        TypeError: they are neither a dictionary nor KerasTuner's.
    """
    if hyperparameters is None:
        return {}
    if isinstance(hyperparameters, keras_tuner.HyperParameters):
        return dict(hyperparameters.values)
    if isinstance(hyperparameters, Mapping):
        return dict(hyperparameters)
    raise TypeError(
        "hyperparameters must be a dictionary of values by name, such as "
        f"{{'units': 64}}; received {hyperparameters!r:.100}."
    )
