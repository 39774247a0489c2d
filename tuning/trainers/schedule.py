"""How the learning rate changes over a run."""

from __future__ import annotations


def scheduled_rate(
    schedule: str, learning_rate: float, epoch: int, epochs: int
) -> float:
    """The learning rate of one epoch.

    It is the same for all steps of an epoch, so one compiled epoch serves every
    schedule and learning rate. ``"linear"`` computes
    ``learning_rate * (1 - epoch / epochs)``: the full learning rate in the first epoch,
    ``1 / epochs`` of it in the last.

    Args:
        schedule: one of `tuning.options.SCHEDULES`.
        learning_rate: of the run.
        epoch: counted from 0.
        epochs: of the run.
    """
    if schedule == "linear":
        return learning_rate * (1 - epoch / epochs)
    return learning_rate
