"""Hyperparameters for another batch size than that for which they were found.

Adam with noisy gradients is near a stochastic differential equation, in which rate,
betas and batch size appear together. A batch k times as large has a k-th of the
gradient's variance and sees k times as much per step; the equation stays the same with

    learning_rate · √k,   1 - β₁ times k,   1 - β₂ times k,   epsilon / √k.

Below the reference batch β₁ stays: a longer momentum made small batches worse where it
was measured (docs/robustness.md). At every batch size it stays where the rate is
adapted: adaptation compares gradients with the first moment, and a
moment that remembers only two of them is of little use.

**Source**: S. Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient
Algorithms", arXiv:2205.10287, Definition 5.2 (square-root scaling).
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping
from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from keras_adam.options.values import (
    as_number,
    check_schedule,
    checked_learning_rate,
    checked_positive,
)

LARGEST_SHARE = 0.9
"""Of a new gradient in a moment: beyond it there would be next to no memory left."""


@keras.saving.register_keras_serializable(package="keras_adam")
class ScaledSchedule(LearningRateSchedule):
    """A schedule whose every rate is multiplied by a factor.

    Args:
        schedule: another one.
        factor: positive.

    Raises:
        TypeError: the schedule is none.
        ValueError: the factor is not positive.
    """

    def __init__(self, schedule: LearningRateSchedule, factor: float) -> None:
        if not isinstance(schedule, LearningRateSchedule):
            raise TypeError(
                f"schedule must be a LearningRateSchedule; received {schedule!r}."
            )
        check_schedule(schedule)
        self.schedule = schedule
        self.factor = checked_positive("factor", factor)

    def __call__(self, step: Any) -> Any:
        """The rate at a step, scalar."""
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        """Everything needed to create the same schedule."""
        serialized = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": serialized, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScaledSchedule:
        """Create a schedule from what :meth:`get_config` returned."""
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["factor"])


def scale_for_batch_size(
    optimizer_config: Mapping[str, Any], batch_size: int, reference_batch_size: int
) -> dict[str, Any]:
    """The configuration that trains alike at another batch size.

    Args:
        optimizer_config: of an Adam, ours or Keras's: what ``get_config`` returns.
            The rate may be a number or a schedule.
        batch_size: examples per step.
        reference_batch_size: for which the configuration was found.

    Returns:
        A new configuration; ``rate_cap`` is scaled like the rate, β₁ not where there
        is a ``rate_adaptation``. Steps that a schedule counts are left as they are:
        with k times the batch there are k times fewer in an epoch.

    Raises:
        ValueError: a batch size that is none, a configuration without Adam's
            constants, or a rate that is neither a number nor a schedule.
    """
    ratio = _ratio(batch_size, reference_batch_size)
    config = dict(optimizer_config)
    missing = sorted({"learning_rate", "beta_1", "beta_2", "epsilon"} - set(config))
    if missing:
        raise ValueError(
            f"optimizer_config lacks {missing}: scale_for_batch_size needs the "
            "configuration of an Adam, as get_config() returns it."
        )
    for name in ("beta_1", "beta_2", "epsilon", "rate_cap"):
        if config.get(name) is not None or name != "rate_cap":
            config[name] = as_number(name, config.get(name))
    root = math.sqrt(ratio)
    config["learning_rate"] = _scaled_rate(config["learning_rate"], root)
    config["beta_1"] = _scaled_beta_1(config, max(ratio, 1.0))
    config["beta_2"] = _scaled_beta(config["beta_2"], ratio)
    config["epsilon"] = config["epsilon"] / root
    if config.get("rate_cap") is not None:
        config["rate_cap"] = config["rate_cap"] * root
    return config


def change_batch_size(
    model: Any,
    batch_size: int,
    previous_batch_size: int,
    reference_batch_size: int | None = None,
) -> None:
    """Let a model go on training with another batch size, its optimizer's state kept.

    Scales the optimizer as :func:`scale_for_batch_size` does, and has the model trace
    its train step anew. What an adapted rate has learnt is kept: the rate of the next
    step is √k times that of the last one.

    Args:
        model: compiled with an Adam, ours or Keras's, whose rate is a number; a
            ``LossScaleOptimizer`` may be around it.
        batch_size: examples per step from now on.
        previous_batch_size: up to now.
        reference_batch_size: for which β₁ was found: up to there it stays.
            ``None``: the previous one; then a batch that shrinks and grows again ends
            with a smaller β₁ than it had.

    Raises:
        ValueError: as :func:`scale_for_batch_size`; the model is not compiled; the
            rate is a schedule, which cannot be replaced in an optimizer that exists;
            or what the scaling leads to is refused by the optimizer, which is left as
            it was.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise ValueError(
            "change_batch_size needs a model with an optimizer: call "
            "model.compile(optimizer=...) first."
        )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    before = optimizer.get_config()
    config = scale_for_batch_size(before, batch_size, previous_batch_size)
    if reference_batch_size is not None:
        factors = (
            max(_ratio(size, reference_batch_size), 1.0)
            for size in (batch_size, previous_batch_size)
        )
        config["beta_1"] = _scaled_beta_1(before, operator.truediv(*factors))
    if not isinstance(config["learning_rate"], float):
        raise ValueError(
            "change_batch_size cannot scale a schedule in an optimizer that exists. "
            "Compile with scale_for_batch_size(...), or let the schedule itself step "
            "by the root of the batch's growth."
        )
    checked_learning_rate(config["learning_rate"])
    _set_together(optimizer, before, config)
    if hasattr(optimizer, "scale_rate"):
        optimizer.scale_rate(math.sqrt(_ratio(batch_size, previous_batch_size)))
    else:
        optimizer.learning_rate = config["learning_rate"]
    # Keras keeps the traced step, in which the old constants stand.
    model.make_train_function(force=True)


def _set_together(
    optimizer: Any, before: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Set β₁, β₂ and epsilon, or none of them where one is refused."""
    names = ["beta_1", "beta_2", "epsilon"]
    if config["beta_2"] > before["beta_2"]:
        # Rows that catch up need β₁² below β₂ at every moment.
        names.reverse()
    try:
        for name in names:
            setattr(optimizer, name, config[name])
    except ValueError:
        for name in reversed(names):
            setattr(optimizer, name, before[name])
        raise


def _ratio(batch_size: Any, reference_batch_size: Any) -> float:
    for name, value in (
        ("batch_size", batch_size),
        ("reference_batch_size", reference_batch_size),
    ):
        is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not is_whole or int(value) < 1:
            raise ValueError(f"{name} must be an integer >= 1; received {value!r}.")
    return int(batch_size) / int(reference_batch_size)


def _scaled_rate(rate: Any, factor: float) -> Any:
    if isinstance(rate, numbers.Real) and not isinstance(rate, bool):
        return as_number("learning_rate", rate) * factor
    if isinstance(rate, Mapping):
        rate = keras.optimizers.schedules.deserialize(dict(rate))
    if not isinstance(rate, LearningRateSchedule):
        raise ValueError(
            "learning_rate must be a number or a schedule to be scaled; received "
            f"{rate!r}. Scale what a callable returns in the callable."
        )
    return keras.optimizers.schedules.serialize(ScaledSchedule(rate, factor))


def _scaled_beta_1(config: Mapping[str, Any], factor: float) -> float:
    is_rate_adapted = config.get("rate_adaptation") is not None
    return _scaled_beta(config["beta_1"], 1.0 if is_rate_adapted else factor)


def _scaled_beta(beta: float, factor: float) -> float:
    return 1 - min((1 - beta) * factor, max(LARGEST_SHARE, 1 - beta))
