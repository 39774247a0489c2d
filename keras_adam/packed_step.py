"""The step of all weights: small ones as a few long ones, large ones each by itself.

Joining gradients and weights, stepping, and taking the new weights apart are three
calls: only the middle one is worth a program of XLA, the others can stand around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_adam.backend import precision
from keras_adam.backend.gradients import as_dense
from keras_adam.backend.variables import read
from keras_adam.backend.xla import Run
from keras_adam.backend.xla_fusion import fuses_several_outputs
from keras_adam.rule import adam as update_rule
from keras_adam.rule import clipping as step_control
from keras_adam.rule.adam import Moments
from keras_adam.rule.clipping import Controls, NormHistory
from keras_adam.rule.learning_rate import Agreement
from keras_adam.state.packing import Pack
from keras_adam.weight_step import Rate, WeightStep

LARGE = 1 << 20
"""Entries from which a weight is stepped by a program of its own as soon as its
gradient is there. One program of all weights starts when the last gradient is known,
and until then all gradients stay in memory."""


WORTH_A_SECOND_PROGRAM = 32_768
"""Entries of all weights of middle size from which half of them are stepped by a second
program, at the same time where there is a core for it. Its call costs some 60
microseconds, as much as stepping that many entries."""


class _Joined(NamedTuple):
    """The gradients of a step, those of small weights put together.

    Attributes:
        gradients: one flat tensor per pack.
        parameters: likewise, of the weights.
        alone: gradients of weights that are in no pack.
        apart: those of weights that are stepped elsewhere, where all gradients decide
            together how far they are clipped.
    """

    gradients: list[Any]
    parameters: list[Any]
    alone: list[Any]
    apart: list[Any]


class _Stepped(NamedTuple):
    """What is left to do of a step.

    Attributes:
        packed: the new parameters of each pack that has a weight in the step.
        factor: by which the gradients of weights that are stepped apart are clipped.
        agreements: what the gradients said of the rate, if some are stepped apart.
    """

    packed: list[Any]
    factor: Any | None
    agreements: list[Agreement]


class PackedStep(WeightStep):
    """The step of all weights, by options that `keras_adam.Adam` sets."""

    spike_guard: float | None

    def __init__(self, **keras_options: Any) -> None:
        super().__init__(**keras_options)
        self._second_half: frozenset[int] | None = None

    def _join(
        self, gradients: list[Any], variables: list[Any]
    ) -> tuple[_Joined, list[Any]]:
        """Put together what is stepped as one.

        Args:
            gradients: one per weight.
            variables: the weights.

        Returns:
            What `_step_joined` takes, and the gradients for `_step_apart`.
        """
        of_weight = {
            self._get_variable_index(variable): (gradient, variable)
            for gradient, variable in zip(
                self._clip_each(gradients), variables, strict=True
            )
        }
        joined = _Joined([], [], [], [])
        for pack in self._packing.packs:
            members = {i: of_weight.pop(i) for i in pack.indices if i in of_weight}
            if members:
                joined.gradients.append(
                    pack.join(
                        {
                            i: ops.cast(as_dense(gradient), pack.dtype)
                            for i, (gradient, _) in members.items()
                        }
                    )
                )
                joined.parameters.append(
                    pack.join(
                        {i: read(variable) for i, (_, variable) in members.items()}
                    )
                )
        apart: list[Any] = []
        for gradient, variable in of_weight.values():
            is_apart = self._is_stepped_apart(variable)
            (apart if is_apart else joined.alone).append(gradient)
        if self._clips_together():
            joined.apart.extend(apart)
        return joined, apart

    def _step_joined(
        self,
        joined: _Joined,
        variables: list[Any],
        learning_rate: Any,
        controls: Controls | None = None,
    ) -> _Stepped:
        """Step all weights but those that are stepped apart.

        Args:
            joined: what `_join` returned for these weights.
            variables: the weights.
            learning_rate: scalar.
            controls: given where these gradients are not all of the step's.

        Returns:
            What is left. Weights on their own are assigned already.
        """
        factor = self._clipping_factor(
            [*joined.gradients, *joined.alone, *joined.apart], controls
        )
        gradients = [
            self._clipped(gradient, factor)
            for gradient in (*joined.gradients, *joined.alone)
        ]
        rates = self._rates(learning_rate, variables)
        present = {
            self._get_variable_index(variable): variable for variable in variables
        }
        packed = []
        along: list[Any] = []
        for pack, parameter in zip(
            self._packs_of(present), joined.parameters, strict=True
        ):
            stepped, said = self._step_pack(
                pack, present, gradients.pop(0), parameter, rates
            )
            packed.append(stepped)
            along += said
        alone = [
            variable
            for index, variable in present.items()
            if index not in self._packing.of_weight
            and not self._is_stepped_apart(variable)
        ]
        for gradient, variable in zip(gradients, alone, strict=True):
            along += self._step_weight(gradient, variable, rates)
        agreements = [
            *(controls.agreements if controls else ()),
            *self._agreements(along),
        ]
        if any(map(self._is_stepped_apart, variables)):
            return _Stepped(packed, factor, agreements)
        self._adapt_rate(agreements, learning_rate)
        return _Stepped(packed, factor, [])

    def _assign_packed(self, stepped: _Stepped, variables: list[Any]) -> None:
        """Assign to each small weight its part of its pack's parameters."""
        present = {
            self._get_variable_index(variable): variable for variable in variables
        }
        for pack, flat in zip(self._packs_of(present), stepped.packed, strict=True):
            for index, parameter in pack.split(flat).items():
                if index in present:
                    self.assign(present[index], parameter)

    def _is_stepped_apart(self, variable: Any) -> bool:
        """Whether a weight is stepped by another program than most.

        Encoded weights are much code, which is better compiled once for all weights of
        a shape; large ones are better stepped as soon as their gradient is there; and
        half of those of middle size keep a second core busy, where no common norm or
        rate makes one program wait for another.
        """
        if self._has_program_of_its_own(variable):
            return True
        if self._looks_at_all_gradients():
            return False
        if self._second_half is None:
            self._second_half = self._half_of_middle_size()
        return self._get_variable_index(variable) in self._second_half

    def _has_program_of_its_own(self, variable: Any) -> bool:
        return self._is_encoded(variable) or math.prod(variable.shape) >= LARGE

    def _half_of_middle_size(self) -> frozenset[int]:
        """Which weights a second program steps, so that both have as many entries."""
        sizes = [math.prod(variable.shape) for variable in self._trainable_variables]
        middle = [
            index
            for index, variable in enumerate(self._trainable_variables)
            if index not in self._packing.of_weight
            and not self._has_program_of_its_own(variable)
        ]
        if sum(sizes[index] for index in middle) < WORTH_A_SECOND_PROGRAM:
            return frozenset()
        first = sum(sizes[index] for index in self._packing.of_weight)
        second = 0
        half = set()
        for index in sorted(middle, key=lambda index: sizes[index], reverse=True):
            if first <= second:
                first += sizes[index]
            else:
                second += sizes[index]
                half.add(index)
        return frozenset(half)

    def _pieces(self, variables: list[Any]) -> list[list[int]]:
        """Which of the weights that are stepped apart share a program, by position.

        Encoded and large ones have one each, those of middle size one together.
        """
        pieces, middle = [], []
        for position, variable in enumerate(variables):
            if self._has_program_of_its_own(variable):
                pieces.append([position])
            else:
                middle.append(position)
        return [*pieces, middle] if middle else pieces

    def _step_apart(
        self,
        gradients: list[Any],
        stepped: _Stepped,
        variables: list[Any],
        learning_rate: Any,
        run: Run,
    ) -> None:
        """Step the weights that are not joined, piece by piece; then the rate.

        Args:
            gradients: of these weights, as `_join` returned them.
            stepped: what `_step_joined` returned.
            variables: all weights of the step.
            learning_rate: scalar.
            run: compiles the step of a piece once for all pieces like it.
        """
        apart = [variable for variable in variables if self._is_stepped_apart(variable)]
        agreements = list(stepped.agreements)
        for piece in self._pieces(apart):
            agreements += self._step_piece(
                [gradients[position] for position in piece],
                [apart[position] for position in piece],
                stepped.factor,
                learning_rate,
                run,
            )
        if apart and self._controls_rate():
            run(
                "rate",
                self._adapt_rate,
                self._step_scalars(),
                agreements,
                learning_rate,
            )

    def _step_piece(
        self,
        gradients: list[Any],
        variables: list[Any],
        factor: Any | None,
        learning_rate: Any,
        run: Run,
    ) -> list[Agreement]:
        """Step some weights by a program of their own.

        Args:
            gradients: of the weights.
            variables: the weights.
            factor: by which gradients are clipped, if they are.
            learning_rate: scalar.
            run: see `_step_apart`.
        """
        kind = tuple(
            (tuple(v.shape), precision.dtype_of(v), self._decays(v)) for v in variables
        )

        def step(
            gradients: Any, factor: Any, states: Any, learning_rate: Any, streams: Any
        ) -> list[Agreement]:
            rates = self._rates(learning_rate, variables)
            along: list[Any] = []
            for gradient, variable, state, stream in zip(
                gradients, variables, states, streams, strict=True
            ):
                along += self._step_state(
                    self._clipped(gradient, factor),
                    state,
                    rates[precision.compute_dtype(variable)],
                    stream,
                    self._decays(variable),
                )
            return self._agreements(along)

        return run(
            kind,
            step,
            self._step_scalars(),
            gradients,
            factor,
            [self._state_of(variable).as_argument() for variable in variables],
            learning_rate,
            [
                ops.convert_to_tensor(self._get_variable_index(v), dtype="int32")
                for v in variables
            ],
        )

    def _variables_of_joined(self, variables: Sequence[Any]) -> list[Any]:
        """All that `_step_joined` reads and assigns for these weights."""
        present = {self._get_variable_index(v): v for v in variables}
        return [
            *self._step_scalars(),
            *(v for pack in self._packs_of(present) for v in pack.moments()),
            *(
                kept
                for index, variable in present.items()
                if index not in self._packing.of_weight
                and not self._is_stepped_apart(variable)
                for kept in self._kept_of(index)
            ),
        ]

    def _packs_of(self, present: dict[int, Any]) -> list[Pack]:
        return [
            pack
            for pack in self._packing.packs
            if any(index in present for index in pack.indices)
        ]

    def _step_pack(
        self,
        pack: Pack,
        present: dict[int, Any],
        gradient: Any,
        parameter: Any,
        rates: dict[str, Rate],
    ) -> tuple[Any, list[Any]]:
        """The new parameters, and what the gradient said of the rate."""
        names = ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))
        before = Moments(*(read(pack.moment(name)) for name in names))
        # All members decay or none does: that is how packs are made.
        decays = self._decays(next(present[i] for i in pack.indices if i in present))
        after = update_rule.update_moments(gradient, before, self.beta_1, self.beta_2)
        along = self._restated(gradient, before) if fuses_several_outputs() else after
        parameter = self._moved(parameter, along, rates[pack.dtype], decays)
        mask = pack.mask(present)
        for name, old, new in zip(names, before, after, strict=False):
            # A weight without a gradient keeps its moments.
            kept = new if mask is None else ops.where(mask, new, old)
            self.assign(pack.moment(name), kept)
        return parameter, self._along_last_step(gradient, after)

    def _clip(
        self, gradients: list[Any], controls: Controls | None = None
    ) -> list[Any]:
        """Keras's clipping, without spreading non-finite entries."""
        gradients = self._clip_each(gradients)
        factor = self._clipping_factor(gradients, controls)
        return [self._clipped(gradient, factor) for gradient in gradients]

    def _clip_each(self, gradients: list[Any]) -> list[Any]:
        """The part of clipping that must see each weight's gradient by itself."""
        if not self.clipnorm:
            return gradients
        return [step_control.clip_to_norm([g], self.clipnorm)[0] for g in gradients]

    def _clipping_factor(
        self, gradients: list[Any], controls: Controls | None
    ) -> Any | None:
        """What every gradient is scaled by, where their common norm decides."""
        if not self._clips_together():
            return None
        if controls:
            return controls.factor
        return self._factor_by_norm(self._common_norm(gradients))

    def _common_norm(self, gradients: list[Any]) -> Any:
        """The norm that decides; a guard alone is content with a sample's."""
        if self.global_clipnorm:
            return step_control.norm_of_finite(gradients)
        return step_control.norm_of_samples(gradients)

    def _clips_together(self) -> bool:
        return bool(self.global_clipnorm or self.spike_guard)

    def _factor_by_norm(self, norm: Any, is_counted: Any = True) -> Any:
        """The factor for gradients of this common norm, which the guard takes note of.

        Args:
            norm: scalar.
            is_counted: whether the step will be taken, scalar bool.

        Raises:
            ValueError: the optimizer was built without a guard.
        """
        factor = ops.ones_like(norm)
        if self.global_clipnorm:
            factor = step_control.factor_within(norm, self.global_clipnorm)
        if not self.spike_guard:
            return factor
        if not self._norm_history:
            raise ValueError(
                "spike_guard was set on an optimizer that was built without it and "
                "keeps nothing for it. Create one with Adam(..., spike_guard=...)."
            )
        before = NormHistory(*map(read, self._norm_history))
        norm = ops.cast(norm, "float32")
        largest = step_control.largest_usual_norm(before, self.spike_guard)
        after = step_control.with_norm(before, norm, largest)
        for variable, old, new in zip(self._norm_history, before, after, strict=True):
            self.assign(variable, ops.where(is_counted, new, old))
        is_spike = ops.logical_and(norm > largest, is_counted)
        self._count(self._clipped_spikes, is_spike)
        guard = step_control.factor_within(norm, largest)
        return ops.minimum(factor, ops.cast(guard, factor.dtype))

    def _clipped(self, gradient: Any, factor: Any | None) -> Any:
        """The part of clipping that is the same however gradients are joined."""
        if factor is not None:
            gradient = gradient * ops.cast(factor, gradient.dtype)
        if self.clipvalue:
            return ops.clip(gradient, -self.clipvalue, self.clipvalue)
        return gradient
