"""Hyperparameters for a batch size other than the one they were tuned for.

Adam with noisy gradients approximates a stochastic differential equation, in which
learning rate, betas and batch size appear together. A batch k times as large has 1/k of
the gradient's variance, and k times as many examples per step. The equation stays the
same with

    learning_rate · √k,   1 - β₁ times k,   1 - β₂ times k,   epsilon / √k.

In two cases β₁ is not scaled. Below the reference batch size, a longer momentum made
training worse where it was measured (docs/robustness.md). With ``rate_adaptation``, at
any batch size, gradients are compared with the first moment, and a first moment that
remembers only two gradients is of little use.

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
"""The largest ``1 - β`` after scaling: beyond it a moment would remember almost
nothing."""


@keras.saving.register_keras_serializable(package="keras_adam")
class ScaledSchedule(LearningRateSchedule):
    """A schedule whose learning rates are those of another one, times a factor.

    Args:
        schedule: the other one.
        factor: positive.

    Raises:
        TypeError: ``schedule`` is not a ``LearningRateSchedule``.
        ValueError: the factor is not positive, or the schedule is one of Keras's and
            its first learning rate is invalid.
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
        """The learning rate at a step, scalar."""
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
    """A configuration that trains alike at another batch size.

    Args:
        optimizer_config: what ``get_config`` of an Adam, ours or Keras's, returns. The
            learning rate may be a number or a schedule.
        batch_size: examples per step.
        reference_batch_size: the batch size that the configuration was tuned for.

    Returns:
        A new configuration. ``rate_cap`` is scaled like the learning rate; with
        ``rate_adaptation`` β₁ is not scaled. The step numbers of a schedule are not
        scaled either: with k times the batch size an epoch has k times fewer steps.

    Raises:
        ValueError: a batch size is not an integer of at least 1, the configuration
            lacks Adam's constants, or its learning rate is neither a number nor a
            schedule.
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
    """Switch a model to another batch size, and keep its optimizer's state.

    This scales the optimizer as :func:`scale_for_batch_size` does, and makes the model
    trace its train step again. The result of ``rate_adaptation`` is kept: the learning
    rate of the next step is √k times that of the last one.

    Args:
        model: compiled with an Adam, ours or Keras's, whose learning rate is a number;
            the Adam may be inside a ``LossScaleOptimizer``.
        batch_size: examples per step from now on.
        previous_batch_size: examples per step up to now.
        reference_batch_size: the batch size that β₁ was tuned for; at or below it, β₁
            has the tuned value. ``None``: the previous one; then a batch size that
            shrinks and grows again leaves β₁ smaller than before.

    Raises:
        ValueError: as :func:`scale_for_batch_size`; the model is not compiled; the
            learning rate is a schedule, which cannot be replaced in an existing
            optimizer; or the optimizer refuses a scaled value and is left as it was.
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
    # Keras has kept a traced step that contains the old constants.
    model.make_train_function(force=True)


def _set_together(
    optimizer: Any, before: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Set β₁, β₂ and epsilon, or none of them if one is refused."""
    names = ["beta_1", "beta_2", "epsilon"]
    if config["beta_2"] > before["beta_2"]:
        # Rows that catch up need β₁² below β₂, also between two of the assignments.
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
