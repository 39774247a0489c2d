"""By which quantity runs are judged, and whether it falls or rises as they get better.

Everything in the lab minimises. Where an objective is to be maximised, its negative is
minimised: `turned` makes it of the objective where values come in, and turns it back
where they are shown.
"""

from __future__ import annotations

from typing import Protocol

DIRECTIONS = ("min", "max")
"""What a training does to its objective, as in KerasTuner."""

RISING = frozenset(
    {
        "acc",
        "accuracy",
        "auc",
        "bleu",
        "cosine_similarity",
        "dice",
        "f1",
        "f1_score",
        "fbeta_score",
        "iou",
        "map",
        "mean_io_u",
        "precision",
        "psnr",
        "r2",
        "r2_score",
        "recall",
        "return",
        "reward",
        "ssim",
        "true_negatives",
        "true_positives",
    }
)
"""Metrics that grow as a training gets better, by the ends of their names."""

FALLING = frozenset(
    {
        "bce",
        "bits",
        "ce",
        "cer",
        "cost",
        "crossentropy",
        "distance",
        "divergence",
        "error",
        "false_negatives",
        "false_positives",
        "hinge",
        "inverse",
        "loss",
        "lost",
        "mae",
        "mape",
        "minus",
        "mse",
        "msle",
        "nats",
        "neg",
        "negative",
        "nll",
        "perplexity",
        "poisson",
        "regret",
        "rmse",
        "wer",
    }
)
"""Words of a name that fall as a training gets better; ``lost_reward`` falls, too."""


class Judged(Protocol):
    """A workload, as far as it says by which quantity its runs are judged."""

    @property
    def name(self) -> str:
        """Of the workload."""
        ...

    @property
    def objective(self) -> str | None:
        """Name of a logged quantity; ``None`` for a loss."""
        ...

    @property
    def direction(self) -> str | None:
        """``"min"`` or ``"max"``; ``None`` if the name of the objective says it."""
        ...


def direction_of(workload: Judged) -> str:
    """Whether runs get better as their objective falls, or as it rises.

    Returns:
        ``"min"`` or ``"max"``.

    Raises:
        ValueError: the direction is none of these, or it is not given and the name does
            not say it.
    """
    objective, direction = workload.objective, workload.direction
    known = _known_direction((objective or "loss").removeprefix("val_"))
    if direction is None and known is None:
        raise ValueError(
            f"workload {workload.name!r} is judged by {objective!r}, whose name does "
            'not say whether less is better: give direction="min" or direction="max".'
        )
    if direction not in (None, *DIRECTIONS):
        raise ValueError(
            f"direction of workload {workload.name!r} must be 'min' or 'max'; received "
            f"{direction!r}."
        )
    if objective is None and direction == "max":
        raise ValueError(
            f"workload {workload.name!r} has direction='max' and no objective, and a "
            "loss is minimised: name the objective, such as 'val_accuracy'."
        )
    return direction or known or "min"


def turned(value: float, direction: str) -> float:
    """The loss that stands for a value of an objective, or the value of such a loss.

    Returns:
        The value itself for ``"min"``, its negative for ``"max"``.
    """
    # Not -0.0, which would be shown with its sign.
    return 0.0 - value if direction == "max" else value


def name_of(objective: str) -> str:
    """An objective as a person calls it: ``validation loss``."""
    known = {"val_loss": "validation loss", "loss": "training loss"}
    return known.get(objective, objective)


def short_name_of(objective: str) -> str:
    """An objective in few letters: ``loss``, unless another one was chosen."""
    return "loss" if objective in ("val_loss", "loss") else objective


def title_of(name: str) -> str:
    """A name at the start of a title; ``val_accuracy`` stays as it is."""
    return name if "_" in name else name[:1].upper() + name[1:]


def _known_direction(metric: str) -> str | None:
    """The direction that a name tells: of ``accuracy``, of ``digit_accuracy``."""
    words = metric.lower().split("_")
    ends = {"_".join(words[i:]) for i in range(len(words))}
    if FALLING & {*words, *ends}:
        return "min"
    return "max" if RISING & ends else None
