"""What a tuner sweeps: found out from its arguments and a build of the user's model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras_tuner

from tuning.fit_workload import FitWorkload
from tuning.kerastuner.axes import (
    axis_names,
    claim,
    define_space,
    defined_in,
    rates_between,
    sizes_between,
    values_of,
)
from tuning.kerastuner.building import HyperBuild
from tuning.kerastuner.own_optimizer import default_optimizers
from tuning.kerastuner.trials import Setting, space_of


@dataclasses.dataclass(frozen=True)
class TunerPlan:
    """What a tuner sweeps.

    Attributes:
        build: of the models, with the names of the hyperparameters that runs set.
        has_own_fit: whether the ``HyperModel`` overrides ``fit``.
        space: the hyperparameters that the build defines, with their values.
        names: of the axes among the values of a trial.
        optimizers: names, or factories by name.
        learning_rates: that are swept.
        batch_sizes: that are swept; ``None`` if ``search`` may still say which.
    """

    build: HyperBuild
    has_own_fit: bool
    space: keras_tuner.HyperParameters
    names: Mapping[str, str]
    optimizers: Sequence[str] | Mapping[str, Any]
    learning_rates: Sequence[float]
    batch_sizes: Sequence[int] | None

    @property
    def fixed(self) -> dict[str, Any]:
        """Values of the hyperparameters that no run changes."""
        claimed = self.build.claimed
        return {n: v for n, v in self.space.values.items() if n not in claimed}

    def sizes(self, of_search: int | None) -> Sequence[int]:
        """The batch sizes of a sweep.

        Args:
            of_search: that ``search`` received.

        Raises:
            ValueError: it received one, and the tuner has others.
        """
        if of_search is None:
            return self.batch_sizes or FitWorkload.batch_sizes
        if self.batch_sizes is not None:
            raise ValueError(
                f"search received batch_size={of_search}, and the tuner sweeps the "
                f"batch sizes {list(self.batch_sizes)}; leave batch_size out."
            )
        return (of_search,)

    def space_with(self, batch_sizes: Sequence[int]) -> keras_tuner.HyperParameters:
        """What is swept and what is fixed, as KerasTuner shows it."""
        axes = {
            "optimizer": list(self.optimizers),
            "learning_rate": self.learning_rates,
            "batch_size": batch_sizes,
        }
        return space_of(self.build, self.space, self.names, axes)

    def values_of(self, setting: Setting) -> dict[str, Any]:
        """The values of a trial: those of the user's code, and the axes."""
        axes = {self.names[n]: value for n, value in setting._asdict().items()}
        return {**self.fixed, **axes, **self.build.values_of(setting)}


def plan_tuner(
    build: HyperBuild,
    optimizers: Sequence[str] | Mapping[str, Any] | None,
    learning_rates: Sequence[float] | None,
    batch_sizes: Sequence[int] | None,
) -> TunerPlan:
    """Build a model once, and find out what is swept.

    Raises:
        TypeError: the hypermodel is no function, or returns no model.
        ValueError: see `tuning.kerastuner.axes.claim`; or values are needed.
        Exception: whatever the build raises.
    """
    model = build.hypermodel
    is_hypermodel = isinstance(model, keras_tuner.HyperModel)
    if not (is_hypermodel or callable(model)) or isinstance(model, type):
        raise TypeError(
            "hypermodel must be a function build_model(hp) or an instance of "
            f"keras_tuner.HyperModel; received {model!r:.100}."
        )
    has_own_fit = is_hypermodel and type(model).fit is not keras_tuner.HyperModel.fit
    space, built = define_space(build)
    rate, size = claim(build, space, may_define_more=has_own_fit)
    build = dataclasses.replace(build, learning_rate=rate, batch_size=size)
    rates = _values(learning_rates, space, rate, "learning_rates", rates_between)
    return TunerPlan(
        build=build,
        has_own_fit=has_own_fit,
        space=space,
        names=axis_names(build, space),
        optimizers=default_optimizers(built) if optimizers is None else optimizers,
        learning_rates=FitWorkload.learning_rates if rates is None else rates,
        batch_sizes=_values(batch_sizes, space, size, "batch_sizes", sizes_between),
    )


def _values(
    given: Sequence[Any] | None,
    space: keras_tuner.HyperParameters,
    name: str | None,
    axis: str,
    make_range: Callable[[float, float], Sequence[Any]],
) -> Sequence[Any] | None:
    """The values of an axis: as given, or those of the hyperparameter that it is."""
    if given is not None or name is None:
        return None if given is None else tuple(given)
    known = defined_in(space)
    if name not in known:
        raise ValueError(
            f"the build of the HyperModel does not define {name!r}, so its values are "
            f"unknown before its fit is called: give {axis}=[...]."
        )
    return values_of(known[name], axis, make_range)
