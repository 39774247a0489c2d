"""What is trained by ``model.fit``: a compiled model and whatever ``fit`` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuning.objectives import direction_of
from tuning.options import check_schedule
from tuning.workload import check_positive_integer

SET_BY_SWEEP = (
    "batch_size",
    "callbacks",
    "epochs",
    "initial_epoch",
    "validation_freq",
    "verbose",
)
"""Arguments of ``fit`` that the sweep or a field of the workload sets. A run is
validated after every epoch."""


@dataclasses.dataclass(frozen=True)
class FitWorkload:
    """A training as a script has it: ``build_model()``, then ``model.fit(...)``.

    Every run is a ``fit`` of its own, with the model's own loss, metrics, loss weights
    and ``train_step``. Only its optimizer is another one: that of the run. If the
    optimizer that the model was compiled with follows a ``LearningRateSchedule``, that
    of the run follows the same schedule, scaled so that its largest value is the run's
    learning rate: warm-up and decay stay.

    Attributes:
        name: stands in records and reports.
        build_model: returns a new compiled ``keras.Model``. Called for every run, after
            the seeds have been set. A model that has several optimizers takes a
            function as its argument, ``build_model(make_optimizer)``, and calls
            ``make_optimizer()`` for each of them; then none is replaced. A parameter
            ``run`` with a default gets the `tuning.grid.Run`, for a model that depends
            on the batch size; ``None`` for the model that the lab makes on trial.
        data: what ``fit`` gets: a dictionary of its arguments (``{"x": ...,
            "validation_data": ...}``), a pair of datasets (training, validation) or one
            dataset. Or a function that returns one of these, called for every run after
            the seeds have been set; if it has a parameter ``batch_size``, it makes the
            batches itself. Otherwise arrays are cut into batches by ``fit``, and a
            ``tf.data.Dataset`` is batched again.
        epochs: passes over the training data, unless the grid says otherwise.
        learning_rates: swept by default.
        batch_sizes: swept by default.
        callbacks: returns new callbacks, called for every run; if it has a parameter,
            with the `tuning.grid.Run`, whose ``run_id`` names files that they write. A
            run that they stop early has ended like any other. Where early stopping
            restores the best weights, the run is judged by these.
        fit_options: further arguments of ``fit``, such as ``steps_per_epoch``,
            ``validation_steps`` or ``class_weight``.
        max_steps: optimizer steps after which a run ends; ``None`` without limit.
        objective: the logged quantity by which runs are judged; ``None`` for
            ``val_loss``, or ``loss`` if there are no validation data.
        direction: ``"min"`` or ``"max"``; ``None`` where the name of the objective says
            it, as ``val_accuracy`` does.
        target_val_loss: a value of the objective worth reaching; see
            `tuning.workload.Workload`.
        description: one sentence for people, shown in lists and reports.
        schedule: how the learning rate changes over a run; see
            `tuning.workload.Workload`.

    Raises:
        TypeError: ``build_model`` or ``callbacks`` is no function.
        ValueError: ``fit_options`` has what the sweep sets, ``max_steps`` is no
            positive integer, ``direction`` is unknown, or ``schedule`` is none of
            `SCHEDULES`.
    """

    name: str
    build_model: Callable[..., Any]
    data: Any
    epochs: int = 10
    learning_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    batch_sizes: tuple[int, ...] = (32, 128)
    callbacks: Callable[..., Sequence[Any]] | None = None
    fit_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    max_steps: int | None = None
    objective: str | None = None
    direction: str | None = None
    target_val_loss: float | None = None
    description: str = ""
    schedule: str = "constant"

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        if not callable(self.build_model):
            raise TypeError(
                f"build_model of workload {self.name!r} must be a function that "
                "returns a new compiled model; received "
                f"{type(self.build_model).__name__}."
            )
        if self.callbacks is not None and not callable(self.callbacks):
            raise TypeError(
                f"callbacks of workload {self.name!r} must be a function that returns "
                "new callbacks, because a callback keeps what it has seen of a run; "
                f"received {type(self.callbacks).__name__}. "
                "Write callbacks=lambda: [...]."
            )
        check_fit_arguments(self.fit_options, f"fit_options of workload {self.name!r}")
        check_positive_integer(self.max_steps, "max_steps", self.name)
        check_schedule(self.schedule)
        direction_of(self)

    @property
    def execution(self) -> str:
        """Always Keras's own ``fit``."""
        return "model.fit"

    @property
    def examples_per_epoch(self) -> None:
        """An epoch has the examples, or ``steps_per_epoch``, that ``fit`` gets."""
        return None


def check_fit_arguments(arguments: Mapping[str, Any], source: str) -> None:
    """Check that none of the arguments is one that the sweep sets.

    Raises:
        ValueError: one is.
    """
    taken = sorted({*SET_BY_SWEEP} & {*arguments})
    if taken:
        raise ValueError(
            f"{source} must not have {taken[0]!r}, which the sweep sets; use the "
            "workload's field of that name or leave it out."
        )
