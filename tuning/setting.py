"""What a check is about: an optimizer's learning rate and batch size, and the rule."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Annotated, Any

from pydantic import Field

from tuning.system.json_values import LearningRate, Positive, Text

Decades = Annotated[float, Field(strict=True, ge=0, le=3)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]

DECADES_EACH_SIDE = 3
"""How far from the setting a check looks for learning rates that fail."""

RATES_PER_DECADE = 4
"""Resolution of a check: neighbouring learning rates differ by a factor of 1.78."""

SEEDS = 5
"""Seeds at the setting and where its verdict is decided, by default. If none of 5
fails, the bound of the share of failing seeds is 45 %; with 3 it would be 63 %."""

MOST_RUNS = 120
"""Runs of a check, by default. Few checks need as many."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is checked.

    Attributes:
        optimizer: its name; see `tuning.optimizer_names`.
        learning_rate: positive.
        batch_size: examples per step.
    """

    optimizer: Text
    learning_rate: LearningRate
    batch_size: Positive


@dataclasses.dataclass(frozen=True)
class Rule:
    """When a setting is safe.

    A run *fails* if it diverges, ends above its initial loss, or misses more than
    ``max_loss_gap`` of the improvement that the best learning rate makes.

    Attributes:
        min_decades: least distance to the nearest learning rate that fails, on each
            side, in powers of ten. 0.3 is a factor of two: as much as a doubled batch
            size, another model or other data can shift a learning rate.
        max_loss_gap: share of the best learning rate's improvement that a run may miss.
            0.2 is four times what the lab calls nearly as good (`GOOD_TOLERANCE`): so
            much is seldom chance.
        max_failed_share: largest share of the setting's seeds that may fail.
        max_failed_bound: largest upper bound of that share that is allowed
            (`tuning.statistics.exact_bounds`); ``None``: not asked for. Without any
            failure, 0.5 needs 5 seeds and 0.1 needs 29.
    """

    min_decades: Decades = 0.3
    max_loss_gap: Share = 0.2
    max_failed_share: Share = 0.0
    max_failed_bound: Share | None = None


@dataclasses.dataclass(frozen=True)
class CheckPlan:
    """The part of a plan that only a check has."""

    setting: Setting
    rule: Rule


def check_setting(learning_rate: Any, batch_size: Any) -> None:
    """Check the numbers of a setting.

    Raises:
        ValueError: they are not a positive number and an integer of at least 1.
    """
    is_number = isinstance(learning_rate, numbers.Real) and not isinstance(
        learning_rate, bool
    )
    if not is_number or not 1e-90 <= float(learning_rate) <= 1e90:
        raise ValueError(
            "learning_rate must be a positive number from 1e-90 to 1e90; received "
            f"{learning_rate!r}."
        )
    is_count = isinstance(batch_size, numbers.Integral) and not isinstance(
        batch_size, bool
    )
    if not is_count or not 1 <= int(batch_size) < 2**62:
        raise ValueError(
            f"batch_size must be an integer of at least 1; received {batch_size!r}."
        )


def check_rule(rule: Rule) -> None:
    """Check the limits of a rule.

    Raises:
        ValueError: a limit can never be met, or always is.
    """
    limits = [
        ("min_decades", rule.min_decades, 0.0, float(DECADES_EACH_SIDE)),
        ("max_loss_gap", rule.max_loss_gap, 0.01, 0.99),
        ("max_failed_share", rule.max_failed_share, 0.0, 1.0),
    ]
    if rule.max_failed_bound is not None:
        limits.append(("max_failed_bound", rule.max_failed_bound, 0.0, 1.0))
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ValueError(
                f"{name} must be a number from {least:g} to {most:g}; received "
                f"{value!r}."
            )


def checked_rates(learning_rate: float) -> tuple[float, ...]:
    """The learning rates of a check: quarter decades on both sides of the given one."""
    steps = DECADES_EACH_SIDE * RATES_PER_DECADE
    around = (
        float(f"{learning_rate * 10 ** (k / RATES_PER_DECADE):.4g}")
        for k in range(-steps, steps + 1)
    )
    return tuple(learning_rate if k == steps else rate for k, rate in enumerate(around))
