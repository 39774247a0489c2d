"""`RobustnessTuner`: a sweep that is used as a tuner of KerasTuner."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from tuning.kerastuner import checkpoints
from tuning.kerastuner.building import HyperBuild
from tuning.kerastuner.own_fit import OwnFit, check_own_fit
from tuning.kerastuner.planning import plan_tuner
from tuning.kerastuner.search_arguments import CopiedCallbacks, SearchArguments
from tuning.kerastuner.trials import (
    SettingOracle,
    best_of,
    describe_progress,
    group_by_setting,
    make_trial,
)
from tuning.kerastuner.tuner_arguments import (
    check_tuner_arguments,
    checked_count,
    fixed_values,
    judged_by,
)
from tuning.kerastuner.workloads import HyperFitWorkload, HyperLoopWorkload
from tuning.plan import read_plan
from tuning.records import RunRecord
from tuning.report import write_report
from tuning.report.recommendation import Advice, recommend
from tuning.runs_file import read_records
from tuning.search.oracle import run_of_record
from tuning.sweep.progress import Progress
from tuning.sweep.run import run_sweep

_HOOKS = (
    "run_trial",
    "save_model",
    "on_batch_begin",
    "on_batch_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_trial_begin",
    "on_trial_end",
)
"""Methods that other tuners call in their own process for every trial."""


class RobustnessTuner(keras_tuner.Tuner):
    """Sweeps optimizers, learning rates and batch sizes for a ``build_model(hp)``.

    A script that uses a tuner of KerasTuner changes its constructor line. Where other
    tuners look for the best values of all hyperparameters, this one shows for which
    learning rates and batch sizes the training is safe: every setting is trained with
    several seeds, and `report` and `recommend` say what follows. Hyperparameters of the
    user's own are fixed.

    In KerasTuner's words, a trial is a setting (optimizer, learning rate, batch size),
    and its seeds are its executions. Trials are ranked by the mean over their seeds of
    the objective at its best epoch, where a run that diverged counts with its initial
    value. So the first is not the luckiest run. `recommend` goes further and prefers
    the middle of a wide stable range.

    Args:
        hypermodel: a function ``build_model(hp)`` or a ``keras_tuner.HyperModel`` that
            returns a compiled model. Its optimizer is replaced by the run's; a
            ``LearningRateSchedule`` of it stays, scaled. A ``fit`` that the
            ``HyperModel`` overrides is called.
        objective: name of a logged quantity or a ``keras_tuner.Objective``; ``None``
            for ``val_loss``, or ``loss`` without validation data.
        optimizers: names or factories by name, see `tuning.run_sweep`; by default the
            optimizer that the model is compiled with, and `keras_adam.Adam.robust`.
        learning_rates: by default those that the hyperparameter ``learning_rate``
            defines: the choices of a ``hp.Choice``, two per decade between the ends of
            a ``hp.Float``; else those of `tuning.FitWorkload`.
        batch_sizes: the same for ``batch_size``; those of a ``hp.Int`` double.
        seeds: their number or the seeds themselves.
        learning_rate: name of the hyperparameter that is the learning rate, such as
            ``"lr"``. One that is called ``learning_rate`` is found without being named.
        batch_size: the same for the batch size.
        hyperparameters: values of the user's own hyperparameters by name; the others
            have their defaults.
        checkpoints: of how many trials the best weights are kept for `get_best_models`;
            ``True`` for one. Runs on other machines need a directory that all share.
        directory: as in KerasTuner, with ``project_name``: the sweep is there.
        project_name: also the name of the workload in records and reports.
        overwrite: whether the first ``search`` removes an earlier sweep there.
            Otherwise its results are there at once, and ``search`` continues it.
        **sweep_options: arguments of `tuning.run_sweep`: ``workers``, ``engine``,
            ``run_timeout``, ``strategy``, ``max_runs``, ``options``, ``schedule``,
            ``progress`` and so on.

    Raises:
        TypeError: an argument is unknown or belongs to other tuners of KerasTuner.
        ValueError: a hyperparameter that is named is not defined, or has no values that
            can be swept.

    Example::

        tuner = tuning.RobustnessTuner(
            build_model, objective="val_loss", learning_rate="lr", directory="sweeps"
        )
        tuner.search(x, y, epochs=5, validation_data=(x_val, y_val))
        print(tuner.recommend())
    """

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = None,
        optimizers: Sequence[str] | Mapping[str, Any] | None = None,
        learning_rates: Sequence[float] | None = None,
        batch_sizes: Sequence[int] | None = None,
        seeds: int | Sequence[int] | None = None,
        *,
        learning_rate: str | None = None,
        batch_size: str | None = None,
        hyperparameters: Any = None,
        checkpoints: bool | int = False,
        directory: str | os.PathLike | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        **sweep_options: Any,
    ) -> None:
        check_tuner_arguments(sweep_options)
        self._check_hooks()
        self._judged = judged_by(objective)
        self._seeds = seeds
        self._checkpoints = checked_count(checkpoints)
        self._listener = sweep_options.pop("progress", None)
        if not (callable(self._listener) or self._listener in (None, True, False)):
            raise TypeError(
                "progress must be a function, True, False or None; received "
                f"{self._listener!r}."
            )
        self._sweep_options = sweep_options
        self._starts_over = overwrite
        self._records: dict[str, RunRecord] = {}
        fixed = fixed_values(hyperparameters)
        build = HyperBuild(hypermodel, fixed, learning_rate, batch_size)
        self._plan = plan_tuner(build, optimizers, learning_rates, batch_sizes)
        # `overwrite` is the sweep's business: KerasTuner would remove the directory.
        super().__init__(
            oracle=SettingOracle(self._judged.shown),
            hypermodel=hypermodel,
            directory=None if directory is None else os.fspath(directory),
            project_name=project_name,
        )
        self._show_space(self._plan.sizes(None))
        if not overwrite:
            self.reload()

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Train every setting with every seed, unless that has been done.

        The same call continues a search that was interrupted, and repeats runs that
        failed.

        Args:
            *fit_args: as in ``model.fit``, or for the ``fit`` of the ``HyperModel``.
                ``x`` may be a function that returns the data as `tuning.FitWorkload`
                takes them: workers call it, where a dataset cannot be sent to them.
            **fit_kwargs: the same. Every run gets copies of ``callbacks``. ``epochs``
                is 1 by default. A ``batch_size`` is used where the tuner has none.
                ``verbose=0`` prints nothing.

        Raises:
            TypeError: ``model.fit`` has no such argument, or one cannot be used by more
                than one run.
            ValueError: an argument is the sweep's to set, or the project holds another
                sweep; see `tuning.run_sweep`.
            RuntimeError: every run has failed; the message is that of the first.
        """
        is_of_fit = not self._plan.has_own_fit
        given = SearchArguments.of_call(fit_args, fit_kwargs, is_of_fit=is_of_fit)
        sizes = self._plan.sizes(given.batch_size)
        workload = self._workload(given)
        self._show_space(sizes)
        try:
            records = run_sweep(
                workload,
                self._place,
                optimizers=self._plan.optimizers,
                learning_rates=self._plan.learning_rates,
                batch_sizes=sizes,
                seeds=self._seeds,
                on_existing="overwrite" if self._starts_over else "continue",
                progress=lambda progress: self._note(progress, given.verbose),
                **self._sweep_options,
            )
        finally:
            if not self._starts_over:
                self.reload()
        self._prune(records, is_complete=True)
        if records and all(record.status == "failed" for record in records):
            raise RuntimeError(f"every run failed; the first: {records[0].message}")

    def report(self) -> Path:
        """Write the report of the sweep, and return the path of ``report.html``."""
        return write_report(self._place)

    def recommend(self) -> Advice:
        """What to train with, and why; see `tuning.recommend`."""
        return recommend(self._place)

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """The models of the best trials with the weights of their best epoch.

        Of the seeds of a trial, the one with the best epoch. The model is compiled with
        the run's optimizer, which has its state of that epoch.

        Raises:
            ValueError: the weights have not been kept.
        """
        if num_models > self._checkpoints:
            raise ValueError(
                f"the weights of {self._checkpoints} models are kept, not of "
                f"{num_models}: give checkpoints={num_models} to the tuner before runs "
                "are trained."
            )
        return super().get_best_models(num_models)

    def load_model(self, trial: Trial) -> Any:
        """The model of a trial; see :meth:`get_best_models`.

        Raises:
            ValueError: its weights have not been kept.
        """
        groups = group_by_setting(read_records(self._place))
        found = {setting.trial_id: setting for setting in groups}
        setting = found.get(trial.trial_id)
        best = None if setting is None else best_of(groups[setting])
        if best is None or not checkpoints.has_weights(self._place, best):
            raise ValueError(
                f"the weights of the trial {trial.trial_id!r} are not kept: it did not "
                "end well, is not among the best, or was trained before checkpoints "
                "were asked for."
            )
        options = self._sweep_options.get("options") or {}
        model = self._plan.build.build_for(
            run_of_record(best), options.get(best.optimizer), self._custom
        )
        checkpoints.load_weights(model, checkpoints.folder_of(self._place, best.run_id))
        return model

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Runs are trained by the sweep.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "RobustnessTuner trains its runs by a sweep, not one trial after the "
            "other: call search."
        )

    def reload(self) -> None:
        """Read the trials from the sweep's records."""
        records = self._read_records()
        if records:
            first = records[0]  # says which loss it was, where none was named
            judged = keras_tuner.Objective(first.objective, first.direction)
            self.oracle.objective = judged
        trials = []
        for setting, some in group_by_setting(records).items():
            hp = self.oracle.get_space()
            hp.values = self._plan.values_of(setting)
            trials.append(make_trial(setting, some, self.oracle.objective, hp))
        self.oracle.replace_trials(trials)

    def save(self) -> None:
        """Do nothing: records are the only memory of a sweep."""

    def _read_records(self) -> list[RunRecord]:
        try:
            return read_records(self._place)
        except FileNotFoundError:
            return []

    @property
    def _place(self) -> Path:
        # Workers write there, wherever they run.
        return Path(self.project_dir).absolute()

    @property
    def _custom(self) -> Mapping[str, Any] | None:
        optimizers = self._plan.optimizers
        return optimizers if isinstance(optimizers, Mapping) else None

    def _populate_initial_space(self) -> None:
        """Do nothing: the space is known already, without further builds."""

    def _show_space(self, batch_sizes: Sequence[int]) -> None:
        self.oracle.hyperparameters = self._plan.space_with(batch_sizes)

    def _check_hooks(self) -> None:
        """Check that no subclass overrides what is never called.

        Raises:
            TypeError: one does.
        """
        for name in _HOOKS:
            if getattr(type(self), name) is not getattr(RobustnessTuner, name):
                raise TypeError(
                    f"{type(self).__name__} overrides {name}, which a sweep does not "
                    "call: override HyperModel.fit, or give callbacks to search."
                )
        if "KERASTUNER_ORACLE_IP" in os.environ:
            raise TypeError(
                "RobustnessTuner does not take part in KerasTuner's distributed search "
                "(KERASTUNER_ORACLE_IP is set): give workers or engine='ray'."
            )

    def _workload(self, given: SearchArguments) -> Any:
        """What is trained, of the arguments of ``search``."""
        plan, objective = self._plan, self._judged.objective
        rising = self._judged.direction == "max"
        more = ()
        if self._checkpoints:
            more = (checkpoints.BestWeights(self._place, objective, rising),)
        callbacks = CopiedCallbacks(given.callbacks, more)
        epochs = given.epochs
        if epochs is None:
            # A fit of the user's takes it from there.
            epochs = plan.fixed.get("epochs", 1) if plan.has_own_fit else 1
        common = {
            "name": self.project_name,
            "epochs": epochs,
            "hyperparameters": plan.fixed,
            "objective": objective,
            "direction": self._judged.direction,
        }
        if plan.has_own_fit:
            check_own_fit(given, plan.build)
            function = OwnFit(plan.build, given, callbacks, objective)
            return HyperLoopWorkload(function=function, **common)
        return HyperFitWorkload(
            build_model=plan.build,
            data=given.data,
            callbacks=callbacks,
            fit_options=given.fit_options,
            **common,
        )

    def _note(self, progress: Progress, verbose: Any) -> None:
        """Show a run that has ended, and remove weights that are not needed."""
        record = progress.record
        if record is None:
            if self._starts_over:
                checkpoints.remove_all(self._place)
            self._starts_over = False  # what follows continues this sweep
            self._records = {one.run_id: one for one in self._read_records()}
        else:
            self._records[record.run_id] = record
            self._prune(self._records.values(), is_complete=False)
            if verbose and self._listener is not False:
                sys.stdout.write(describe_progress(progress) + "\n")
        if callable(self._listener):
            self._listener(progress)

    def _prune(self, records: Iterable[RunRecord], *, is_complete: bool) -> None:
        """Keep the weights of the best run of each of the best trials.

        Args:
            records: so far.
            is_complete: whether no further runs come. Until then, a trial that has not
                all its seeds keeps all its weights.
        """
        if not self._checkpoints:
            return
        groups = list(group_by_setting(records).values())
        if not is_complete:
            seeds = len(read_plan(self._place).grid.seeds)
            groups = [some for some in groups if len(some) == seeds]
        checkpoints.keep_best(self._place, groups, self._checkpoints)
