"""Which hyperparameters of the user's code are axes of the sweep, and their values."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine import hyperparameters as hp_types

from tuning.grid import log_spaced_rates
from tuning.kerastuner.building import HyperBuild, check_compiled
from tuning.trainers.model_builder import TRIAL_SEED

logger = logging.getLogger(__name__)

POINTS_PER_DECADE = 2
"""Learning rates of a ``hp.Float``: factors of about 3, fine enough to show where the
stable range ends."""

AXES = ("optimizer", "learning_rate", "batch_size")


def define_space(build: HyperBuild) -> tuple[keras_tuner.HyperParameters, Any]:
    """The hyperparameters that the user's build defines, and the model it returns.

    Raises:
        TypeError: it returns no model.
        ValueError: the model is not compiled.
        Exception: whatever the build raises.
    """
    # Layers that models share may be built here: the same in every process.
    keras.utils.set_random_seed(TRIAL_SEED)
    space = build.new_hyperparameters()
    model = build.function(space)
    check_compiled(model)
    return space, model


def defined_in(space: keras_tuner.HyperParameters) -> dict[str, Any]:
    """The defined hyperparameters by name."""
    return {hp.name: hp for hp in space.space}


def claim(
    build: HyperBuild, space: keras_tuner.HyperParameters, may_define_more: bool
) -> tuple[str | None, str | None]:
    """Names of the hyperparameters that are the learning rate and the batch size.

    One called exactly ``learning_rate`` or ``batch_size`` is claimed without being
    asked for, unless it has been given a value.

    Args:
        build: with the names that were asked for.
        space: what it defines.
        may_define_more: whether a ``fit`` of the user's may define further ones.

    Raises:
        ValueError: a name is not defined, or claimed and fixed, or claimed twice, or a
            value is given for one that is not defined or does not have this choice.
    """
    known = defined_in(space)
    rate, size = build.learning_rate, build.batch_size
    if rate is not None and rate == size:
        raise ValueError(
            f"the hyperparameter {rate!r} cannot be both the learning rate and the "
            "batch size."
        )
    for axis, name in (("learning_rate", rate), ("batch_size", size)):
        if name is not None and name in build.fixed:
            raise ValueError(
                f"{axis}={name!r} lets the sweep set this hyperparameter, and "
                f"hyperparameters gives it the value {build.fixed[name]!r}; leave one "
                "of them out."
            )
        if name is not None and name not in known and not may_define_more:
            raise ValueError(
                f"{axis}={name!r} is the name of no hyperparameter; the hypermodel "
                f"defines {sorted(known)}."
            )
    for name, value in build.fixed.items():
        if name not in known and not may_define_more:
            raise ValueError(
                f"hyperparameters has a value for {name!r}, which the hypermodel does "
                f"not define; it defines {sorted(known)}."
            )
        defined: Any = known.get(name)
        if isinstance(defined, hp_types.Choice) and value not in defined.values:
            raise ValueError(
                f"the hyperparameter {name!r} must be one of {list(defined.values)}; "
                f"hyperparameters has {value!r}."
            )
    free = {*known} - {*build.fixed, rate, size}
    if rate is None and "learning_rate" in free:
        rate = "learning_rate"
    if size is None and "batch_size" in free:
        size = "batch_size"
    return rate, size


def values_of(
    hyperparameter: Any, axis: str, make_range: Any
) -> tuple[Any, ...] | None:
    """The values of an axis that a hyperparameter defines.

    Args:
        hyperparameter: of KerasTuner.
        axis: argument of the tuner that gives the values in its place.
        make_range: values between a least and a largest one.

    Raises:
        ValueError: it has values that the axis cannot have.
    """
    kind = type(hyperparameter).__name__
    values: Sequence[Any] = ()
    if isinstance(hyperparameter, hp_types.Choice):
        values = hyperparameter.values
    elif isinstance(hyperparameter, hp_types.Fixed):
        values = [hyperparameter.value]
    elif isinstance(hyperparameter, (hp_types.Float, hp_types.Int)):
        low, high = hyperparameter.min_value, hyperparameter.max_value
        values = make_range(low, high) if low > 0 else ()
    is_usable = [
        isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        for value in values
    ]
    if not is_usable or not all(is_usable):
        raise ValueError(
            f"the hyperparameter {hyperparameter.name!r}, a {kind}, does not say which "
            f"positive numbers to sweep; give {axis}=[...]."
        )
    return tuple(values)


def rates_between(low: float, high: float) -> tuple[float, ...]:
    """Learning rates on a logarithmic axis, `POINTS_PER_DECADE` or a little more."""
    if low == high:
        return (low,)
    count = max(2, 1 + math.ceil(POINTS_PER_DECADE * math.log10(high / low) - 1e-9))
    return log_spaced_rates(low, high, count)


def sizes_between(low: float, high: float) -> tuple[int, ...]:
    """Batch sizes from the least on, each twice the one before."""
    sizes = [int(low)]
    while sizes[-1] * 2 <= high:
        sizes.append(sizes[-1] * 2)
    return tuple(sizes)


def axis_names(
    build: HyperBuild, space: keras_tuner.HyperParameters
) -> Mapping[str, str]:
    """Names of the axes among the values of a trial.

    An axis is called ``tuner/...``, as KerasTuner's own entries are, where the user's
    code has another hyperparameter of its name.
    """
    taken = {*defined_in(space), *build.fixed} - {*build.claimed}
    names = {axis: f"tuner/{axis}" if axis in taken else axis for axis in AXES}
    for axis, name in names.items():
        if name != axis:
            logger.warning(
                "The hyperparameter %r keeps the value that it has in every run. The "
                "%s of a run is called %r.",
                axis,
                axis.replace("_", " "),
                name,
            )
    return names
