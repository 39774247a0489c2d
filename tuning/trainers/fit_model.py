"""How the model of a workload that is trained by ``fit`` is made."""

from __future__ import annotations

import inspect
import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras

from tuning.fit_workload import FitWorkload
from tuning.grid import Run
from tuning.trainers.fit_data import takes

SAMPLED_STEPS = 1_000
"""Steps at which a schedule is looked at to find its largest value."""

OptimizerMaker = Callable[..., Any]
"""Makes a new optimizer of the run; ``learning_rate=`` replaces the run's."""


@keras.saving.register_keras_serializable(package="keras_adam")
class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule times a factor.

    Args:
        schedule: that is scaled.
        factor: positive.
    """

    def __init__(self, schedule: Any, factor: float) -> None:
        self.schedule = schedule
        self.factor = float(factor)

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step."""
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        """Everything needed to make the same schedule."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScaledSchedule:
        """Make the schedule that :meth:`get_config` described."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["factor"])


class FitModel:
    """See `tuning.trainers.model_builder.Recipe`; an optimizer is a function here.

    Args:
        workload: what is trained.

    Attributes:
        run: that the next model is made for; ``None`` for a trial.
    """

    def __init__(self, workload: FitWorkload) -> None:
        self.run: Run | None = None
        self._workload = workload
        self._unbuilt: weakref.WeakSet[Any] = weakref.WeakSet()
        self.takes_maker = takes_argument(workload.build_model)

    def make(self, optimizer: OptimizerMaker) -> Any:
        """The workload's model; the optimizers it makes itself are made by the run.

        Raises:
            ValueError: it is not compiled, or ``make_optimizer`` was not called.
            TypeError: it is no model.
        """
        name = self._workload.name
        build = self._workload.build_model
        given = {"run": self.run} if takes(build, "run") else {}
        if not self.takes_maker:
            model = build(**given)
        else:
            made = itertools.count()

            def make_optimizer(learning_rate: Any = None) -> Any:
                next(made)
                return optimizer(learning_rate)

            model = build(make_optimizer, **given)
            if next(made) == 0:
                raise ValueError(
                    f"build_model of workload {name!r} takes make_optimizer and does "
                    "not call it, so the run's optimizer would train nothing."
                )
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"build_model of workload {name!r} must return a keras.Model; it "
                f"returned {type(model).__name__}."
            )
        if not model.compiled:
            raise ValueError(
                f"build_model of workload {name!r} must return a compiled model: call "
                "model.compile(...) in it. An uncompiled model with a loss and arrays "
                "is a tuning.Workload."
            )
        self._check_new_optimizers(model)
        self._check_new_layers(model)
        return model

    def complete(self, model: Any, optimizer: OptimizerMaker) -> None:
        """Put the run's optimizer in the place of the model's own."""
        if self.takes_maker:
            return
        replace_optimizer(model, optimizer)

    def trial_optimizer(self) -> OptimizerMaker:
        """Any optimizer: the model is not trained."""
        return lambda learning_rate=None: keras.optimizers.SGD()

    def _check_new_optimizers(self, model: Any) -> None:
        """Check that no optimizer that stays has been used by another model."""
        replaced = None if self.takes_maker else model.optimizer
        for attribute, value in vars(model).items():
            if (
                isinstance(value, keras.optimizers.Optimizer)
                and value is not replaced
                and value.built
            ):
                raise ValueError(
                    f"the {attribute} of the model of workload {self._workload.name!r} "
                    "has been used before: make a new optimizer inside build_model for "
                    "every model."
                )

    def _check_new_layers(self, model: Any) -> None:
        """Check that layers that models share were built before the first of them.

        Otherwise the first run would make their weights, and later ones begin with what
        it learned.
        """
        layers = list(_layers_of(model))
        for layer in layers:
            if layer in self._unbuilt:
                raise ValueError(
                    f"layer {layer.name!r} is part of every model of workload "
                    f"{self._workload.name!r} and has no weights before the first run: "
                    "call its build(input_shape), or make it inside build_model."
                )
        self._unbuilt.update(layer for layer in layers if not layer.built)


def replace_optimizer(model: Any, make_optimizer: OptimizerMaker) -> None:
    """Put a new optimizer in the place of a compiled model's own.

    Args:
        model: compiled. A ``LossScaleOptimizer`` around its optimizer stays.
        make_optimizer: called with the ``LearningRateSchedule`` of the model's own
            optimizer, or ``None`` if that has none.
    """
    own = model.optimizer
    is_scaling = isinstance(own, keras.optimizers.LossScaleOptimizer)
    inner = own.inner_optimizer if is_scaling else own
    schedule = getattr(inner, "_learning_rate", None)
    is_schedule = isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
    new = make_optimizer(schedule if is_schedule else None)
    model.optimizer = keras.optimizers.LossScaleOptimizer(new) if is_scaling else new


def scaled_to(schedule: Any, learning_rate: float, steps: int | None) -> ScaledSchedule:
    """A schedule of the same course whose largest value is the learning rate.

    Args:
        schedule: that is scaled.
        learning_rate: largest value during the run.
        steps: of the run; ``None`` if unknown: then 10,000 are looked at.

    Raises:
        ValueError: the schedule has no positive finite value.
    """
    last = max(1, (steps or 10_000) - 1)
    looked_at = {round(last * i / SAMPLED_STEPS) for i in range(SAMPLED_STEPS + 1)}
    values = [
        float(keras.ops.convert_to_numpy(schedule(step))) for step in sorted(looked_at)
    ]
    peak = max(values)
    if not 0 < peak < float("inf"):
        raise ValueError(
            "the largest value of the learning-rate schedule "
            f"{type(schedule).__name__} in the first {last + 1} steps must be positive "
            f"and finite, so that it can be scaled; it is {peak}."
        )
    return ScaledSchedule(schedule, learning_rate / peak)


def takes_argument(function: Callable[..., Any]) -> bool:
    """Whether a function must be given something."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )


def _layers_of(model: Any) -> Iterator[Any]:
    """All layers inside a model."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers_of(layer)
