"""Figures of one run, taken from its curve of training losses.

They use the training loss because it is known for every step. The validation loss is
measured after whole epochs, of which a workload has two to fifteen: the first fifth of
the steps would have three points at most. In the first epoch every example is new, so
early in a run the training loss is no more optimistic than the validation loss.
"""

from __future__ import annotations

import math

from tuning.records import RunRecord
from tuning.statistics.limits import LARGEST_LOSS

EARLY_SHARE = 0.2
"""Share of the planned steps that counts as early."""

SMOOTHED_POINTS = 5
"""Points of a curve, a twentieth of it, that are averaged, so that one lucky batch does
not count as reaching a loss."""

NEVER = 2.0
"""Share of the steps that counts for a loss that was never reached: twice the planned
steps."""

LEAST_GAIN = 0.1
"""Share of the initial loss that a run must gain to count as having learned: less is
within the noise of batches and seeds."""

SPIKE_SHARE = 0.25
LEAST_RISE = 0.1
"""A spike loses at least `SPIKE_SHARE` of the gain so far, and rises by at least
`LEAST_RISE` of the initial loss."""


def planned_steps(record: RunRecord) -> float:
    """Steps that the run would have taken to its end; 0 if it took none."""
    epochs_done = len(record.history.get("loss", ()))
    return record.steps / epochs_done * record.epochs if epochs_done else 0.0


def early_area(record: RunRecord) -> float | None:
    """Area under the training loss over the first fifth of the steps.

    ``mean over early steps of min(loss, initial loss) / initial loss``: 1 if nothing is
    learned, and smaller the earlier the loss falls. Steps that are missing because the
    run diverged count as 1.

    Returns:
        ``None`` if the run failed, or has no curve or no positive initial loss.
    """
    initial, end = record.initial_loss, EARLY_SHARE * planned_steps(record)
    if not _has_curve(record) or initial is None or initial <= 0:
        return None
    missing, area = end, 0.0
    for index, loss in enumerate(record.training_curve):
        start = index * record.steps_per_point
        steps = min(start + record.steps_per_point, record.steps, end) - start
        if steps <= 0:
            break
        share = 1.0 if loss is None else share_of(loss, initial, 1.0)
        area += steps * share
        missing -= steps
    return (area + max(missing, 0.0)) / end


def final_training_loss(record: RunRecord) -> float | None:
    """Mean of the curve's last points; ``None`` if the run did not finish."""
    last = record.training_curve[-SMOOTHED_POINTS:]
    if record.status != "ok" or not last:
        return None
    return _mean_or_none(last)


def share_of_steps_until(record: RunRecord, loss: float) -> float | None:
    """Share of the planned steps until the smoothed training loss is at most ``loss``.

    The loss counts as reached at the end of the first `SMOOTHED_POINTS` consecutive
    points whose mean is low enough.

    Returns:
        The share; `NEVER` if the loss is not reached; ``None`` if the run failed or has
        no curve.
    """
    if not _has_curve(record):
        return None
    curve = record.training_curve
    width = min(SMOOTHED_POINTS, len(curve))
    for end in range(width, len(curve) + 1):
        mean = _mean_or_none(curve[end - width : end])
        if mean is not None and mean <= loss:
            steps = min(end * record.steps_per_point, record.steps)
            return steps / planned_steps(record)
    return NEVER


def has_learned(record: RunRecord) -> bool:
    """Whether the last training loss lies clearly below the initial one."""
    return is_gain(record.initial_loss, final_training_loss(record))


def is_gain(initial: float | None, loss: float | None) -> bool:
    """Whether a loss lies below the initial one by `LEAST_GAIN` of it."""
    if initial is None or loss is None:
        return False
    return initial - loss >= LEAST_GAIN * abs(initial)


def count_spikes(record: RunRecord) -> int | None:
    """Number of upward spikes of the training loss.

    The loss is averaged over the last `SMOOTHED_POINTS` points. A spike begins where
    this mean exceeds its lowest value so far by more than `SPIKE_SHARE` of the gain on
    the initial loss and by more than `LEAST_RISE` of the initial loss. It ends where
    the mean falls below that limit.

    Returns:
        The number; ``None`` if the run failed, or has no curve or no initial loss.
    """
    initial = record.initial_loss
    if not _has_curve(record) or initial is None:
        return None
    least, count, is_above = initial, 0, False
    for end in range(1, len(record.training_curve) + 1):
        window = record.training_curve[max(end - SMOOTHED_POINTS, 0) : end]
        mean = _mean_or_none(window)
        loss = math.inf if mean is None else mean
        bar = max(SPIKE_SHARE * (initial - least), LEAST_RISE * abs(initial))
        was_above, is_above = is_above, loss > least + bar
        count += is_above and not was_above
        least = min(least, loss)
    return count


def share_of(loss: float, initial: float, most: float) -> float:
    """A loss over the initial one, at most ``most``; always a finite number."""
    return max(min(loss / initial, most), -LARGEST_LOSS)


def _has_curve(record: RunRecord) -> bool:
    has_points = bool(record.training_curve) and record.steps_per_point > 0
    return record.status != "failed" and has_points and planned_steps(record) > 0


def _mean_or_none(losses: list[float | None]) -> float | None:
    present = [x for x in losses if x is not None and abs(x) <= LARGEST_LOSS]
    return math.fsum(present) / len(present) if len(present) == len(losses) else None
