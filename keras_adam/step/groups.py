"""The groups that a step's weights are split into, and how each is stepped.

A group prepares its gradients and finishes its weights outside of the program that
steps it. XLA is slow at reading and assigning hundreds of small variables; the graph
around the program is fast at that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.gradients import as_dense
from keras_adam.backend.variables import read
from keras_adam.backend.xla_fusion import fuses_several_outputs
from keras_adam.control.learning_rate import Sample, alignments_of, samples_of
from keras_adam.rule import adam
from keras_adam.rule.adam import Moments
from keras_adam.rule.learning_rate import Alignment
from keras_adam.state.packing import Pack
from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import LearningRates, StepContext
from keras_adam.step.weight_step import move_parameter, restated, step_weight


@dataclasses.dataclass(frozen=True)
class PackedGroup:
    """Small weights that are stepped as one long one.

    Attributes:
        context: of the step.
        pack: keeps their moments.
        members: the weights of the pack that have a gradient, by their index.
    """

    context: StepContext
    pack: Pack
    members: Mapping[int, WeightState]

    def prepare(self, gradients: Mapping[int, Any]) -> tuple[Any, Any]:
        """The gradients of the members as one tensor, and their values as another.

        Args:
            gradients: of all weights, by index.
        """
        gradient = self.pack.join(
            {i: ops.cast(as_dense(gradients[i]), self.pack.dtype) for i in self.members}
        )
        parameter = self.pack.join(
            {i: read(weight.parameter) for i, weight in self.members.items()}
        )
        return gradient, parameter

    def step(
        self, gradient: Any, parameter: Any, rates: dict[str, LearningRates]
    ) -> tuple[Any, list[Sample]]:
        """The new parameters, and the samples that adapt the learning rate.

        Args:
            gradient: from `prepare`, after clipping.
            parameter: from `prepare`.
            rates: learning rates by dtype.
        """
        options, pack = self.context.options, self.pack
        hat = ("velocity_hat",) if options.amsgrad else ()
        names = ("momentum", "velocity", *hat)
        before = Moments(*(read(pack.moment(name)) for name in names))
        after = adam.update_moments(gradient, before, options.beta_1, options.beta_2)
        is_fused = fuses_several_outputs()
        along = restated(gradient, before, options) if is_fused else after
        # Packs are planned so that all members decay or none does.
        decays = self.context.decays(next(iter(self.members.values())))
        rate = rates[pack.dtype]
        parameter = move_parameter(parameter, along, rate, options, decays)
        mask = pack.mask(self.members)
        for name, old, new in zip(names, before, after, strict=False):
            # A weight without a gradient keeps its moments.
            kept = new if mask is None else ops.where(mask, new, old)
            self.context.state.assign(pack.moment(name), kept)
        return parameter, samples_of(gradient, after, options)

    def finish(self, parameter: Any) -> None:
        """Assign to each member its part of the new parameters."""
        for index, part in self.pack.split(parameter).items():
            if index in self.members:
                self.context.state.assign(self.members[index].parameter, part)

    def variables(self) -> list[Any]:
        """What `step` reads and assigns."""
        return self.pack.moments()


@dataclasses.dataclass(frozen=True)
class WeightGroup:
    """Weights that one program steps, one after the other, together with the packs.

    Attributes:
        context: of the step.
        weights: in the order of their gradients.
    """

    context: StepContext
    weights: Sequence[WeightState]

    def prepare(self, gradients: Mapping[int, Any]) -> list[Any]:
        """The weights' gradients.

        Args:
            gradients: of all weights, by index.
        """
        return [gradients[weight.index] for weight in self.weights]

    def step(
        self, gradients: Sequence[Any], rates: dict[str, LearningRates]
    ) -> list[Sample]:
        """Step each weight; return the samples that adapt the learning rate.

        Args:
            gradients: one per weight, clipped.
            rates: learning rates by dtype.
        """
        samples: list[Sample] = []
        for gradient, weight in zip(gradients, self.weights, strict=True):
            samples += step_weight(self.context, weight, gradient, rates)
        return samples

    def variables(self) -> list[Any]:
        """What `step` reads and assigns, except the scalars of the step."""
        return [v for weight in self.weights for v in weight.stored_variables()]


@dataclasses.dataclass(frozen=True)
class StandaloneGroup(WeightGroup):
    """Weights with a program of their own, which other groups of this kind share."""

    @property
    def kind(self) -> tuple[Any, ...]:
        """Groups of one kind share a program."""
        return tuple(
            (
                weight.shape,
                precision.dtype_of(weight.parameter),
                self.context.decays(weight),
            )
            for weight in self.weights
        )

    def arguments(self) -> tuple[list[Any], list[Any]]:
        """The weights' variables, and the numbers of their random streams."""
        return (
            [weight.variables.as_argument() for weight in self.weights],
            [
                ops.convert_to_tensor(weight.index, dtype="int32")
                for weight in self.weights
            ],
        )

    def step_arguments(
        self,
        gradients: Sequence[Any],
        factor: Any | None,
        variables: Sequence[Any],
        streams: Sequence[Any],
        learning_rate: Any,
    ) -> list[Alignment]:
        """Step weights whose variables are arguments, so that a program can be shared.

        Args:
            gradients: one per weight.
            factor: scalar by which they are clipped; ``None`` if they are not.
            variables: from `arguments`.
            streams: from `arguments`.
            learning_rate: the given one, scalar.
        """
        options, clipping = self.context.options, self.context.controls.clipping
        rates = self.context.learning_rates(learning_rate, self.weights)
        samples: list[Sample] = []
        for gradient, weight, own, stream in zip(
            gradients, self.weights, variables, streams, strict=True
        ):
            samples += step_weight(
                self.context,
                weight.with_variables(own, stream),
                clipping.clipped(gradient, factor, options),
                rates,
            )
        return alignments_of(samples, options)
