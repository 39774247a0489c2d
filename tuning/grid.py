"""What a sweep plans to run: optimizers x batch sizes x learning rates x seeds.

A :class:`Grid` is a plain value. It checks its fields when it is made, and can be
written as JSON and read back. It lists its runs in the order in which they are trained:
runs with the same optimizer and batch size are neighbours, because they share one
compiled train function.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import TypeAdapter

from tuning.optimizer_names import file_name
from tuning.system.json_values import (
    Integer,
    InvalidFileError,
    Number,
    Text,
    check,
    parse,
)

LONGEST_NAME = 200
"""Most bytes in the name of an optimizer's directory; file systems allow 255."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One planned training.

    Attributes:
        optimizer: name of the optimizer in the grid.
        batch_size: examples per step.
        learning_rate: given to the optimizer.
        seed: seeds the initial weights, the order of the data and dropout.
        epochs: passes over the data, if fewer than the grid's; else ``None``.
    """

    optimizer: str
    batch_size: int
    learning_rate: float
    seed: int
    epochs: int | None = None

    @property
    def run_id(self) -> str:
        """The run's key in records and its directory below ``tensorboard/``."""
        fewer = "" if self.epochs is None else f"/epochs={self.epochs}"
        return (
            f"{file_name(self.optimizer)}/batch={self.batch_size}"
            f"/lr={self.learning_rate:.6g}/seed={self.seed}{fewer}"
        )


@dataclasses.dataclass(frozen=True)
class Grid:
    """Every combination of the given values, each trained for the same epochs.

    Attributes:
        optimizers: names; see `tuning.optimizer_names`.
        learning_rates: positive and finite, in any order.
        batch_sizes: positive, examples per step.
        seeds: non-negative integers; a separate axis, because the spread over seeds
            shows how much a difference means.
        epochs: passes over the training data, the same for every run, so that
            runs with different batch sizes see equally many examples.
        options: further constructor arguments by optimizer name, for example
            ``{"keras.Adam": {"beta_2": 0.99}}``.

    Raises:
        ValueError: an axis is empty, repeats itself or holds a value that no run
            could use.
    """

    optimizers: tuple[Text, ...]
    learning_rates: tuple[Number, ...]
    batch_sizes: tuple[Integer, ...]
    seeds: tuple[Integer, ...]
    epochs: Integer
    options: Mapping[Text, Mapping[Text, Any]] = dataclasses.field(default_factory=dict)

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name, kind in (
            ("optimizers", str),
            ("learning_rates", float),
            ("batch_sizes", int),
            ("seeds", int),
        ):
            values = _as_tuple(getattr(self, name), name, kind)
            object.__setattr__(self, name, values)
        _check_values(
            self.optimizers,
            "optimizers",
            "names without a slash, because each names a directory, of at most "
            f"{LONGEST_NAME} bytes in UTF-8",
            lambda name: _is_name(file_name(name)),
        )
        if len(set(map(file_name, self.optimizers))) < len(self.optimizers):
            raise ValueError(
                "two optimizers would write to the same directory; received "
                f"{list(self.optimizers)}."
            )
        _check_values(
            self.learning_rates,
            "learning_rates",
            "positive finite numbers",
            lambda rate: math.isfinite(rate) and rate > 0,
        )
        _check_values(
            self.learning_rates,
            "learning_rates",
            "from 1e-100 to 1e100",
            lambda rate: 1e-100 <= rate <= 1e100,
        )
        _check_values(
            self.batch_sizes,
            "batch_sizes",
            "positive integers",
            lambda size: 0 < size < 2**63,
        )
        _check_values(
            self.seeds,
            "seeds",
            "integers of at least 0 and below 2^32",
            lambda seed: 0 <= seed < 2**32,
        )
        if (
            isinstance(self.epochs, bool)
            or not isinstance(self.epochs, numbers.Integral)
            or not 1 <= self.epochs < 2**63
        ):
            raise ValueError(
                f"epochs must be an integer of at least 1; received {self.epochs!r}."
            )
        object.__setattr__(self, "epochs", int(self.epochs))
        object.__setattr__(self, "options", self._checked_options())
        # A run's id has six digits of the learning rate: these must differ.
        if len({f"{rate:.6g}" for rate in self.learning_rates}) != len(
            self.learning_rates
        ):
            raise ValueError(
                "two learning_rates agree in their first six digits, so their runs "
                f"could not be distinguished; received {list(self.learning_rates)}."
            )

    def _checked_options(self) -> dict[str, dict[str, Any]]:
        if not isinstance(self.options, Mapping) or not all(
            isinstance(options, Mapping) for options in self.options.values()
        ):
            raise ValueError(
                "options must be a dictionary of dictionaries, such as "
                f"{{'keras.Adam': {{'beta_2': 0.99}}}}; received {self.options!r:.200}."
            )
        unknown = [name for name in self.options if name not in self.optimizers]
        if unknown:
            raise ValueError(
                f"options are given for {sorted(unknown, key=str)}, which the grid "
                f"does not run; its optimizers are {list(self.optimizers)}."
            )
        plain = {name: dict(options) for name, options in self.options.items()}
        _check_options(plain)
        return plain

    def __len__(self) -> int:
        """Number of runs."""
        return (
            len(self.optimizers)
            * len(self.batch_sizes)
            * len(self.learning_rates)
            * len(self.seeds)
        )

    def runs(self) -> list[Run]:
        """All runs; those that can share a compiled train function are neighbours."""
        return [
            Run(*values)
            for values in itertools.product(
                self.optimizers, self.batch_sizes, self.learning_rates, self.seeds
            )
        ]

    def extended(self, **more: Any) -> Grid:
        """A grid with these values besides its own.

        Args:
            **more: values of ``optimizers``, ``learning_rates``, ``batch_sizes`` or
                ``seeds``, and ``options`` of new optimizers; ``None`` adds nothing.

        Raises:
            ValueError: a value that no run could use, or other options for an optimizer
                whose runs the grid has.
        """
        axes = {
            name: (*getattr(self, name), *(more.pop(name, None) or ()))
            for name in ("optimizers", "learning_rates", "batch_sizes", "seeds")
        }
        options = {name: dict(value) for name, value in self.options.items()}
        for name, of_optimizer in (more.pop("options", None) or {}).items():
            known = json.dumps(options.get(name, {}), sort_keys=True, default=str)
            given = json.dumps(dict(of_optimizer), sort_keys=True, default=str)
            if name in self.optimizers and known != given:
                raise ValueError(
                    f"the runs of {name!r} have the options {options.get(name, {})}; "
                    f"received {of_optimizer}. Sweep other options in another "
                    "directory."
                )
            options[name] = dict(of_optimizer)
        unique = {name: tuple(dict.fromkeys(values)) for name, values in axes.items()}
        return dataclasses.replace(self, **unique, options=options)

    def to_dict(self) -> dict[str, Any]:
        """The grid as JSON types; :meth:`from_dict` reads it back."""
        return {
            "optimizers": list(self.optimizers),
            "learning_rates": list(self.learning_rates),
            "batch_sizes": list(self.batch_sizes),
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "options": {name: dict(value) for name, value in self.options.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Grid:
        """Read a grid that :meth:`to_dict` wrote.

        Raises:
            InvalidFileError: a field is missing, unknown or has an unusable value; a
                ``ValueError``.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if isinstance(plain, Mapping) and set(plain) != names:
            raise InvalidFileError(
                f"a grid has the fields {sorted(names)}; received "
                f"{sorted(plain, key=str)}."
            )
        return check(_schema(), plain)


def log_spaced_rates(low: float, high: float, count: int) -> tuple[float, ...]:
    """Learning rates evenly spaced on a logarithmic axis, both ends included.

    They are rounded to three significant digits, so that labels and directories stay
    readable. At 50 learning rates per decade neighbours still differ.

    Raises:
        ValueError: the range is not ``0 < low < high`` with ``count >= 2`` (or
            ``low == high`` with ``count == 1``), or two learning rates are equal in
            three digits.
    """
    is_single = count == 1 and low == high
    if not (math.isfinite(high) and low > 0) or not (
        is_single or (low < high and count >= 2)
    ):
        raise ValueError(
            "a range of learning rates needs 0 < LOW < HIGH and COUNT >= 2; "
            f"received LOW={low}, HIGH={high}, COUNT={count}."
        )
    if is_single:
        return (float(low),)
    ratio = math.log(high / low) / (count - 1)
    rates = tuple(float(f"{low * math.exp(ratio * i):.3g}") for i in range(count))
    if len(set(rates)) < count:
        raise ValueError(
            f"{count} learning rates from {low:g} to {high:g} lie closer together than "
            f"their three digits can tell ({len(set(rates))} are left); use fewer."
        )
    return rates


def _as_tuple(values: Any, name: str, kind: type) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a sequence; received {values!r}.")
    received = tuple(values)
    if not received:
        raise ValueError(f"{name} is empty; a grid needs at least one value there.")
    try:
        converted = tuple(_convert(value, kind) for value in received)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{name} must hold {kind.__name__} values; received {list(received)}."
        ) from None
    if len(set(converted)) != len(converted):
        raise ValueError(f"{name} repeats a value; received {list(received)}.")
    return converted


def _convert(value: Any, kind: type) -> Any:
    if kind is str:
        if not isinstance(value, str) or not value:
            raise TypeError
        return value
    if isinstance(value, (bool, str)):
        raise TypeError
    converted = kind(value)
    if kind is int and converted != value:
        raise ValueError
    return converted


def _check_values(values: tuple, name: str, wanted: str, is_usable: Any) -> None:
    if not all(is_usable(value) for value in values):
        raise ValueError(f"{name} must be {wanted}; received {list(values)}.")


def _is_name(name: str) -> bool:
    """Whether a text can name a directory on any system."""
    if name in (".", "..") or any(c in "/\\" or c < " " for c in name):
        return False
    try:
        return len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False


def _check_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that options can be written to a plan and compared with an earlier one."""
    for optimizer, of_optimizer in options.items():
        for option, value in of_optimizer.items():
            try:
                if not isinstance(option, str):
                    raise TypeError
                parse(json.dumps({option: value}, allow_nan=False))
            except (TypeError, ValueError, RecursionError):
                raise ValueError(
                    f"option {option!r} of optimizer {optimizer!r} must be a finite "
                    "number, a text, a boolean, None, or lists and dictionaries of "
                    f"these; received {value!r:.200}. Make it inside an optimizer "
                    "factory instead."
                ) from None


@functools.cache
def _schema() -> TypeAdapter[Grid]:
    return TypeAdapter(Grid)
