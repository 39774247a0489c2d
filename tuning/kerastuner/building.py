"""Models of a ``build(hp)`` whose hyperparameters have fixed values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import keras_tuner

from tuning.grid import Run
from tuning.trainers.fit_model import replace_optimizer, scaled_to
from tuning.trainers.optimizers import build_optimizer


class Setting(Protocol):
    """What a run's hyperparameters depend on: a `Run` or a `LoopRun`."""

    @property
    def learning_rate(self) -> float:
        """Of the run."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples per step."""
        ...


@dataclasses.dataclass(frozen=True)
class HyperBuild:
    """Builds models with fixed hyperparameters; a ``build_model`` of a workload.

    A class of a module, not a closure, so that workers can receive it.

    Attributes:
        hypermodel: a ``keras_tuner.HyperModel``, or a function of ``hp``.
        fixed: values of hyperparameters by name; the others have their defaults.
        learning_rate: name of the hyperparameter that is the run's learning rate.
        batch_size: name of the one that is the run's batch size.
    """

    hypermodel: Any
    fixed: Mapping[str, Any]
    learning_rate: str | None = None
    batch_size: str | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """Builds a model, given ``hp``."""
        is_hypermodel = isinstance(self.hypermodel, keras_tuner.HyperModel)
        return self.hypermodel.build if is_hypermodel else self.hypermodel

    @property
    def claimed(self) -> list[str]:
        """Names of the hyperparameters that are set by the run."""
        return [name for name in (self.learning_rate, self.batch_size) if name]

    def __call__(self, run: Run | None = None) -> Any:
        """A new model for a run; for none, with defaults."""
        return self.function(self.new_hyperparameters(run))

    def new_hyperparameters(
        self, run: Setting | None = None
    ) -> keras_tuner.HyperParameters:
        """Hyperparameters with the values of a run, not yet defined by any build."""
        hp = keras_tuner.HyperParameters()
        hp.values = dict(self.fixed)
        if run is not None:
            hp.values |= self.values_of(run)
        if isinstance(self.hypermodel, keras_tuner.HyperModel):
            self.hypermodel.declare_hyperparameters(hp)
        return hp

    def values_of(self, run: Setting) -> dict[str, Any]:
        """The claimed hyperparameters of a run by name."""
        claimed = {
            self.learning_rate: run.learning_rate,
            self.batch_size: run.batch_size,
        }
        return {name: value for name, value in claimed.items() if name}

    def build_for(
        self,
        run: Run,
        options: Mapping[str, Any] | None,
        custom: Mapping[str, Any] | None,
    ) -> Any:
        """A new model as a run trains it, with the run's optimizer.

        Args:
            run: names optimizer and learning rate.
            options: of the optimizer.
            custom: factories of optimizers by name.
        """
        model = self(run)

        def make(schedule: Any) -> Any:
            rate: Any = run.learning_rate
            if schedule is not None:
                rate = scaled_to(schedule, rate, None)
            return build_optimizer(run.optimizer, rate, options, custom)

        replace_optimizer(model, make)
        return model


def check_compiled(model: Any) -> None:
    """Check that a build has returned a compiled model.

    Raises:
        TypeError: it is no model.
        ValueError: it is not compiled.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "the hypermodel must return a keras.Model; it returned "
            f"{type(model).__name__}."
        )
    if not model.compiled:
        raise ValueError(
            "the hypermodel must return a compiled model: call model.compile(...) in "
            "it. Its optimizer is replaced in every run."
        )
