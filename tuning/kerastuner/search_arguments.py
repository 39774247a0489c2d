"""What the ``search`` of a tuner receives, checked before anything is trained."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from tuning.trainers.fit_data import is_batch_source

_OF_DATA = ("x", "y", "sample_weight", "validation_data")


@dataclasses.dataclass(frozen=True)
class SearchArguments:
    """The arguments of ``search``.

    Attributes:
        args: as given.
        kwargs: as given, without those that follow.
        epochs: ``None`` if not given.
        batch_size: ``None`` if not given.
        callbacks: objects, or a function that returns new ones.
        verbose: 0 for silence.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    epochs: int | None
    batch_size: int | None
    callbacks: Any
    verbose: Any

    @classmethod
    def of_call(
        cls, args: Sequence[Any], kwargs: Mapping[str, Any], *, is_of_fit: bool
    ) -> SearchArguments:
        """Take the arguments apart.

        Args:
            args: of ``search``.
            kwargs: of ``search``.
            is_of_fit: whether they are those of ``model.fit``, not of a function of the
                user's, which may have any.

        Raises:
            TypeError: ``model.fit`` has no such argument, or one cannot be used by more
                than one run.
            ValueError: one is the sweep's to set.
        """
        kwargs = dict(kwargs)
        if is_of_fit:
            args, kwargs = (), _by_name(args, kwargs)
        for name, value in kwargs.items():
            if name in ("initial_epoch", "validation_freq") and value != _usual(name):
                raise ValueError(
                    f"search cannot take {name}={value!r}: a run starts at epoch 0 and "
                    f"is validated after every epoch. Leave {name} out."
                )
        for value in (*args, *kwargs.values()):
            if isinstance(value, Iterator):
                raise TypeError(
                    "search received a generator, which only one run can use; give "
                    "arrays, a tf.data.Dataset, or a function that returns new data."
                )
        callbacks = kwargs.pop("callbacks", None) or ()
        if not callable(callbacks):
            callbacks = _checked_callbacks(callbacks)
        dropped = {"initial_epoch", "validation_freq"}
        return cls(
            args=tuple(args),
            epochs=kwargs.pop("epochs", None),
            batch_size=kwargs.pop("batch_size", None),
            callbacks=callbacks,
            verbose=kwargs.pop("verbose", "auto"),
            kwargs={n: v for n, v in kwargs.items() if n not in dropped},
        )

    @property
    def data(self) -> Any:
        """The arguments of ``model.fit`` that hold data, or the function given as x."""
        found = {name: self.kwargs[name] for name in _OF_DATA if name in self.kwargs}
        x = found.get("x")
        if not callable(x) or is_batch_source(x):
            return found
        if len(found) > 1:
            raise TypeError(
                "search received a function as x, which must return all data, "
                f"validation data included; received also {sorted({*found} - {'x'})}."
            )
        return x

    @property
    def fit_options(self) -> dict[str, Any]:
        """The other arguments of ``model.fit``."""
        return {n: v for n, v in self.kwargs.items() if n not in _OF_DATA}


@dataclasses.dataclass(frozen=True)
class CopiedCallbacks:
    """Makes the callbacks of a run: copies of those that ``search`` received.

    Attributes:
        originals: objects, or a function that returns new ones.
        more: functions of the run that return further callbacks.
    """

    originals: Any
    more: tuple[Callable[[Any], Any], ...] = ()

    def __call__(self, run: Any) -> list[Any]:
        """New callbacks. Each TensorBoard logs to a directory of the run's own."""
        given: Any = self.originals
        made: Any = given() if callable(given) else copy.deepcopy(given)
        for callback in made:
            if isinstance(callback, keras.callbacks.TensorBoard):
                callback.log_dir = os.path.join(str(callback.log_dir), run.run_id)
        return [*made, *(make(run) for make in self.more)]


def _by_name(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``model.fit`` by their names, without those that are None.

    Raises:
        TypeError: it has no such argument, or x is missing.
    """
    try:
        bound = _signature_of_fit().bind(None, *args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"search takes the arguments of model.fit: {error}.") from None
    named = {n: v for n, v in bound.items() if n != "self" and v is not None}
    if "x" not in named:
        raise TypeError("search takes the arguments of model.fit; it received no data.")
    return named


@functools.cache
def _signature_of_fit() -> inspect.Signature:
    return inspect.signature(keras.Model.fit)


def _usual(name: str) -> Any:
    return _signature_of_fit().parameters[name].default


def _checked_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """The callbacks, if each run can have copies of them.

    Raises:
        TypeError: one is no callback, or cannot be copied.
    """
    given = tuple(callbacks) if isinstance(callbacks, (list, tuple)) else (callbacks,)
    for callback in given:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(
                "callbacks must be a list of Keras callbacks; received "
                f"{type(callback).__name__}."
            )
        try:
            copy.deepcopy(callback)
        except Exception as error:
            raise TypeError(
                f"every run gets copies of the callbacks, but {type(callback).__name__}"
                f" cannot be copied ({type(error).__name__}: {error!s:.100}). Give a "
                "function that returns new callbacks: callbacks=lambda: [...]."
            ) from error
    return given
