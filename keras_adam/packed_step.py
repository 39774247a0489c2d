"""The step of all weights, the small ones of which are stepped as a few long ones.

Joining gradients and weights, stepping, and taking the new weights apart are three
calls: only the middle one is worth a program of XLA, the others can stand around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_adam import step_control, update_rule
from keras_adam.gradients import as_dense
from keras_adam.packing import Pack
from keras_adam.placement import read
from keras_adam.step_control import Controls
from keras_adam.update_rule import Moments
from keras_adam.weight_step import Rate, WeightStep
from keras_adam.xla_fusion import fuses_several_outputs


class _Joined(NamedTuple):
    """The gradients of a step, those of small weights put together.

    Attributes:
        gradients: one flat tensor per pack.
        parameters: likewise, of the weights.
        alone: gradients of weights that are in no pack.
    """

    gradients: list[Any]
    parameters: list[Any]
    alone: list[Any]


class PackedStep(WeightStep):
    """The step of all weights, by options that `keras_adam.Adam` sets."""

    def _join(self, gradients: list[Any], variables: list[Any]) -> _Joined:
        """Put together what is stepped as one.

        Args:
            gradients: one per weight.
            variables: the weights.
        """
        of_weight = {
            self._get_variable_index(variable): (gradient, variable)
            for gradient, variable in zip(
                self._clip_each(gradients), variables, strict=True
            )
        }
        joined = _Joined([], [], [])
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
        joined.alone.extend(gradient for gradient, _ in of_weight.values())
        return joined

    def _step_joined(
        self,
        joined: _Joined,
        variables: list[Any],
        learning_rate: Any,
        controls: Controls | None = None,
    ) -> list[Any]:
        """Step all weights; those on their own are assigned, the packs returned.

        Args:
            joined: what `_join` returned for these weights.
            variables: the weights.
            learning_rate: scalar.
            controls: given where these gradients are not all of the step's.

        Returns:
            The new parameters of each pack that has a weight among ``variables``.
        """
        gradients = self._clip_together([*joined.gradients, *joined.alone], controls)
        rates = self._rates(learning_rate, variables)
        present = {
            self._get_variable_index(variable): variable for variable in variables
        }
        packed = []
        for pack, parameter in zip(
            self._packs_of(present), joined.parameters, strict=True
        ):
            packed.append(
                self._step_pack(pack, present, gradients.pop(0), parameter, rates)
            )
        alone = [v for i, v in present.items() if i not in self._packing.of_weight]
        for gradient, variable in zip(gradients, alone, strict=True):
            self._step_weight(gradient, variable, rates)
        return packed

    def _assign_packed(self, packed: Sequence[Any], variables: list[Any]) -> None:
        """Assign to each small weight its part of its pack's parameters."""
        present = {
            self._get_variable_index(variable): variable for variable in variables
        }
        for pack, flat in zip(self._packs_of(present), packed, strict=True):
            for index, parameter in pack.split(flat).items():
                if index in present:
                    self.assign(present[index], parameter)

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
    ) -> Any:
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
        return parameter

    def _clip(
        self, gradients: list[Any], controls: Controls | None = None
    ) -> list[Any]:
        """Keras's clipping, without spreading non-finite entries."""
        return self._clip_together(self._clip_each(gradients), controls)

    def _clip_each(self, gradients: list[Any]) -> list[Any]:
        """The part of clipping that must see each weight's gradient by itself."""
        if not self.clipnorm:
            return gradients
        return [step_control.clip_to_norm([g], self.clipnorm)[0] for g in gradients]

    def _clip_together(
        self, gradients: list[Any], controls: Controls | None
    ) -> list[Any]:
        """The part that is the same however gradients are joined."""
        if self.global_clipnorm and controls:
            return [g * ops.cast(controls.factor, g.dtype) for g in gradients]
        if self.global_clipnorm:
            return step_control.clip_to_norm(gradients, self.global_clipnorm)
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        return gradients
