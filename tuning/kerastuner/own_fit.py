"""Runs that are trained by the ``fit`` that a ``HyperModel`` of the user's overrides.

It is called as KerasTuner calls it, with the arguments of ``search``. A ``model.fit``
inside it is looked at while it begins: the loss before the first step is measured on
the data that it receives, and its batch size is compared with the run's.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tuning.kerastuner.building import HyperBuild, check_compiled
from tuning.kerastuner.search_arguments import CopiedCallbacks, SearchArguments
from tuning.trainers.dataset_batches import batched, is_dataset
from tuning.trainers.fit_data import is_batch_source, with_split_validation
from tuning.trainers.fit_model import replace_optimizer, scaled_to
from tuning.trainers.fit_report import steps_of
from tuning.trainers.fit_runs import evaluate_validation
from tuning.trainers.loop_run import LoopRun
from tuning.trainers.seeding import seed_all


@dataclasses.dataclass(frozen=True)
class OwnFit:
    """The function of a `tuning.LoopWorkload`: build, replace the optimizer, fit.

    Attributes:
        build: of the models; its hypermodel has the ``fit``.
        arguments: of ``search``.
        callbacks: of every run.
        objective: logged quantity; ``None`` for ``val_loss``, else ``loss``.
    """

    build: HyperBuild
    arguments: SearchArguments
    callbacks: CopiedCallbacks
    objective: str | None

    def __call__(self, run: LoopRun) -> None:
        """Train once.

        Raises:
            ValueError: the fit sets what is the sweep's to set, does not define a
                hyperparameter that was named, or uses another optimizer.
            TypeError: it returns nothing that can be judged.
        """
        hp = self.build.new_hyperparameters(run)
        model = self.build.function(hp)
        check_compiled(model)
        replace_optimizer(
            model,
            lambda schedule: run.make_optimizer(
                schedule and scaled_to(schedule, run.learning_rate, None)
            ),
        )
        args, kwargs = self._arguments_for(run, model)
        report = _Report(run)
        # An attribute of this one object; its class stays as it is.
        model.fit = _Fit(model, run, functools.partial(self.check_names, hp))
        try:
            kwargs["callbacks"] = [*self.callbacks(run), report]  # pyright: ignore
            result = self.build.hypermodel.fit(hp, model, *args, **kwargs)
        except TypeError as error:
            raise _explained(error) from error
        self.check_names(hp)
        if not report.was_called:
            self._report_result(run, result)
        if all(steps_of(optimizer) == 0 for optimizer in run.made):
            raise ValueError(
                "the fit of the HyperModel took no step with model.optimizer, which is "
                "the run's: do not make or compile another one in it."
            )

    def check_names(self, hp: Any) -> None:
        """Check that all hyperparameters that were named are defined by now.

        Raises:
            ValueError: one is not.
        """
        known = {one.name for one in hp.space}
        missing = [
            n for n in (*self.build.claimed, *self.build.fixed) if n not in known
        ]
        if missing:
            raise ValueError(
                f"the HyperModel defines no hyperparameter {missing[0]!r}; it defines "
                f"{sorted(known)}."
            )

    def _arguments_for(
        self, run: LoopRun, model: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of ``search``, with the epochs and the batches of the run."""
        args, kwargs = list(self.arguments.args), dict(self.arguments.kwargs)
        if self.arguments.epochs is not None:
            kwargs["epochs"] = run.epochs
        if self.build.batch_size is not None:
            return args, kwargs
        holder: Any = args if args else kwargs
        key: Any = 0 if args else "x"
        if is_dataset(holder[key]):
            holder[key] = batched(holder[key], run.batch_size, model, "of this tuner")
        else:
            kwargs["batch_size"] = run.batch_size
        return args, kwargs

    def _report_result(self, run: LoopRun, result: Any) -> None:
        """Report what the fit returned, if no callback was called in it.

        Raises:
            TypeError: it is nothing that KerasTuner takes either.
        """
        if isinstance(result, keras.callbacks.History):
            result = {name: values[-1] for name, values in result.history.items()}
        elif isinstance(result, (int, float, np.floating)):
            result = {self.objective or "loss": float(result)}
        if not isinstance(result, Mapping) or not result:
            raise TypeError(
                "the fit of the HyperModel called none of its callbacks and returned "
                f"{type(result).__name__}; return a History, a dictionary of metrics "
                "or a number, or call the callbacks."
            )
        wanted = self.objective or "loss"
        loss = result.get("loss", result.get(wanted, next(iter(result.values()))))
        steps = max(map(steps_of, run.made))
        run.report(max(steps, run.last_step + 1), **{"loss": loss, **result})


def check_own_fit(arguments: SearchArguments, build: HyperBuild) -> None:
    """Check that batch sizes can reach a fit of the user's.

    Raises:
        ValueError: they cannot.
    """
    if build.batch_size is not None:
        return
    x = arguments.args[0] if arguments.args else arguments.kwargs.get("x")
    if x is None or (is_batch_source(x) and not is_dataset(x)) or callable(x):
        raise ValueError(
            "HyperModel.fit makes its own batches here, so it must take their size "
            "from a hyperparameter: name it by batch_size='NAME' in the tuner."
        )


class _Fit:
    """The ``fit`` of a model, with a look at how it begins.

    Args:
        model: whose ``fit`` it is.
        run: that is reported to.
        check: called before the first step.
    """

    def __init__(self, model: Any, run: LoopRun, check: Callable[[], None]) -> None:
        self._model = model
        self._fit = type(model).fit
        self._run = run
        self._check = check
        self._has_begun = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Train, after the loss before the first step has been reported."""
        bound = inspect.signature(self._fit).bind(self._model, *args, **kwargs)
        given = bound.arguments
        if not self._has_begun:
            self._has_begun = True
            self._check()
            self._begin(dict(given))
        given.setdefault("verbose", 0)
        if is_dataset(given.get("x")):
            # Keras would warn of a shuffle that it does not do.
            given.setdefault("shuffle", False)
        with warnings.catch_warnings():
            # That is how an epoch of unknown length ends.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            return self._fit(*bound.args, **bound.kwargs)

    def _begin(self, given: dict[str, Any]) -> None:
        x = given.get("x")
        if not is_batch_source(x):
            size = given.get("batch_size") or 32  # Keras's own default
            if size != self._run.batch_size:
                raise ValueError(
                    f"HyperModel.fit trains with batch_size={size}, but the run has "
                    f"{self._run.batch_size}: take it from hp, and name that "
                    "hyperparameter by batch_size='NAME' in the tuner."
                )
            given = with_split_validation(given)
        elif not is_dataset(x) and not hasattr(x, "__getitem__"):
            return  # a generator: what is looked at would be lost
        named = {n: given.get(n) for n in ("x", "y", "sample_weight")}
        seed_all(self._run.seed)
        first = self._model.evaluate(
            **named,
            # The first batch of the training data.
            batch_size=None if is_batch_source(x) else self._run.batch_size,
            steps=1,
            verbose=0,
            return_dict=True,
        )
        validation = given.get("validation_data")
        if validation is not None:
            logs = evaluate_validation(self._model, validation, given)
            first |= {f"val_{name}": value for name, value in logs.items()}
        self._run.report(0, **{n: v for n, v in first.items() if not np.ndim(v)})
        # The weights may have been made just now.
        seed_all(self._run.seed)


class _Report(keras.callbacks.Callback):
    """Reports every epoch, in a loop of the user's, too."""

    def __init__(self, run: LoopRun) -> None:
        super().__init__()
        self._run = run
        self._batches = 0
        self.was_called = False

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        self._batches = 0

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        # There may be several steps in one execution.
        self._batches = batch + 1

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        self.was_called = True
        logs = {n: v for n, v in (logs or {}).items() if not np.ndim(v)}
        # A loop of the user's need not call the callbacks for every batch.
        taken = max(map(steps_of, self._run.made)) - self._run.last_step
        steps = self._run.last_step + (self._batches or max(taken, 1))
        loss = logs.get("loss", next(iter(logs.values()), 0.0))
        self._run.report(steps, **{"loss": loss, **logs})


def _explained(error: TypeError) -> Exception:
    """The error, or what to do where the fit sets an argument that the run sets."""
    text = str(error)
    if "multiple values for keyword argument" in text:
        name = next((n for n in ("batch_size", "epochs") if f"'{n}'" in text), None)
        if name == "batch_size":
            return ValueError(
                "HyperModel.fit sets batch_size, which the run sets, too: name the "
                "hyperparameter that it takes it from, batch_size='NAME' in the tuner."
            )
        if name == "epochs":
            return ValueError(
                "HyperModel.fit sets epochs, which search received, too; leave epochs "
                "out of search."
            )
    return error
