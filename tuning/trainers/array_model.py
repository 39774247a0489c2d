"""How the model of a workload of arrays is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tuning.array_data import map_arrays
from tuning.trainers.model_input import as_model_input
from tuning.workload import AnyData, Workload


class ArrayModel:
    """See `tuning.trainers.model_builder.Recipe`.

    Args:
        workload: what is trained.
        data: its data; one example is passed through each model.
    """

    def __init__(self, workload: Workload, data: AnyData) -> None:
        self._workload = workload
        self._example = map_arrays(lambda array: array[:1], data.x_train)

    def make(self, optimizer: Any) -> Any:
        """The workload's model, which is not compiled."""
        return self._workload.build_model()

    def complete(self, model: Any, optimizer: Any) -> None:
        """Compile the model, and build it by a call."""
        metrics = self._workload.metrics()
        if not isinstance(metrics, Mapping):
            metrics = list(metrics)
        # None, not []: Keras wants an empty list of metrics to be built, too.
        metrics = metrics or None
        # Before the call: a model that has been built takes no new metrics.
        model.compile(
            optimizer,
            loss=self._workload.loss,
            loss_weights=self._workload.loss_weights,
            metrics=metrics,
        )
        # Models without an Input are built by a call.
        model(map_arrays(as_model_input, self._example))

    def trial_optimizer(self) -> Any:
        """Any optimizer: the model is not trained."""
        return keras.optimizers.SGD()
