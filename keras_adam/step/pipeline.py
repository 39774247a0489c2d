"""One step, in order: decide, step every group, adapt the learning rate, average.

Keras has unscaled the gradients before. A step that is taken under a condition (it may
be skipped, or gradients are accumulated) is one program. Other steps may be several
programs, see `keras_adam.step.plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import keras

from keras_adam.backend.conditional import assign_if
from keras_adam.backend.executors import RunPart, run_here
from keras_adam.backend.gradients import as_dense
from keras_adam.backend.rows import SummedRows, as_argument
from keras_adam.control.learning_rate import alignments_of
from keras_adam.rule.learning_rate import Alignment
from keras_adam.state.weight_state import WeightState
from keras_adam.step.context import StepContext
from keras_adam.step.decision import Decision, decide
from keras_adam.step.plan import plan_step
from keras_adam.step.structure import structure_of

CustomRule = Callable[[Any, Any, Any], None]
"""A subclass's ``update_step``: called with gradient, weight and learning rate."""


class _Prepared(NamedTuple):
    """The gradients of a step, as the groups have prepared them.

    Attributes:
        packed: gradient and weights of each pack.
        together: one gradient per weight.
        standalone: gradients of the weights that other programs step; empty unless the
            common norm of all gradients clips them.
        decision: ``None`` if it has not been made yet.
    """

    packed: list[tuple[Any, Any]]
    together: list[Any]
    standalone: list[Any]
    decision: Decision | None


class _Stepped(NamedTuple):
    """What remains to be done after the program of packs and weights.

    Attributes:
        packed: the new parameters of each pack.
        factor: by which the gradients of standalone groups are clipped.
        alignments: of the gradients so far, if there are standalone groups.
    """

    packed: list[Any]
    factor: Any | None
    alignments: list[Alignment]


class Pipeline:
    """The step of one set of weights under one set of options.

    Args:
        key: different for each pipeline of an optimizer.
        context: state, options and controls.
        weights: that have a gradient, in the order of the gradients.
        by_rows: for each, whether only rows of its gradient are given.
        custom_rule: a subclass's own rule, which replaces Adam's.
        is_shareable: whether optimizers of the same structure compute the same.
    """

    def __init__(
        self,
        key: Hashable,
        context: StepContext,
        weights: Sequence[WeightState],
        by_rows: Sequence[bool],
        custom_rule: CustomRule | None = None,
        *,
        is_shareable: bool = True,
    ) -> None:
        self.key = key
        self.custom_rule = custom_rule
        self._context = context
        self._weights = list(weights)
        self._by_rows = list(by_rows)
        self._is_shareable = is_shareable
        self._plan = plan_step(context, weights, by_rows)
        self._dense = [w for w, rows in zip(weights, by_rows, strict=True) if not rows]
        self._is_divided = self._plan.is_divided and custom_rule is None

    @property
    def has_rows(self) -> bool:
        """Whether some gradients are given by rows, whose number varies."""
        return bool(self._plan.rows)

    def arguments(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients in a form that a compiled function accepts."""
        return [
            as_argument(gradient) if is_given else as_dense(gradient)
            for gradient, is_given in zip(gradients, self._by_rows, strict=True)
        ]

    def __call__(
        self, gradients: Sequence[Any], learning_rate: Any, run: RunPart
    ) -> None:
        """Take the step on one device, to which every argument belongs.

        Args:
            gradients: one per weight, in the compute dtypes.
            learning_rate: the given one, scalar.
            run: runs the parts of fixed shapes.
        """
        given = dict(zip((w.index for w in self._weights), gradients, strict=True))
        dense = [as_dense(given[weight.index]) for weight in self._dense]
        if not self.has_rows:
            self._step_dense(dense, learning_rate, None, run)
            return
        rows = [group.prepare(given[group.weight.index]) for group in self._plan.rows]
        decision = decide(self._context, dense, rows, learning_rate, run)
        decision = self._step_rows(rows, decision, learning_rate)
        options = self._context.options
        looks_at_all = (
            options.use_ema or options.skip_nonfinite or options.controls_learning_rate
        )
        if dense or looks_at_all:
            self._step_dense(dense, learning_rate, decision, run)

    def whole(
        self, gradients: list[Any], learning_rate: Any, decision: Decision | None = None
    ) -> None:
        """The step by dense gradients as one part."""
        context, controls = self._context, self._context.controls
        options, state = context.options, context.state

        def take(gradients: list[Any]) -> None:
            self._take(gradients, learning_rate, decision, run_here)

        def accumulate_or_take() -> None:
            if not options.gradient_accumulation_steps:
                take(gradients)
                return
            controls.accumulation.take_when_complete(
                gradients,
                self._dense,
                state.weights,
                options.gradient_accumulation_steps,
                take,
                state.iterations,
                state.all_variables(),
            )

        if not options.skip_nonfinite:
            accumulate_or_take()
            return
        controls.skipping.take_if_finite(
            decision.is_finite if decision else None,
            gradients,
            accumulate_or_take,
            state.iterations,
            state.all_variables(),
        )

    def _step_dense(
        self,
        gradients: list[Any],
        learning_rate: Any,
        decision: Decision | None,
        run: RunPart,
    ) -> None:
        if self._is_divided:
            self._take(gradients, learning_rate, decision, run)
            return
        run(
            "together",
            self.whole,
            self._variables_of_whole(),
            gradients,
            learning_rate,
            decision,
        )

    def _take(
        self,
        gradients: list[Any],
        learning_rate: Any,
        decision: Decision | None,
        run: RunPart,
    ) -> None:
        """Clip, step all groups but rows, adapt the learning rate, average."""
        context, options = self._context, self._context.options
        controls = context.controls
        gradients = controls.clipping.each(gradients, options)
        if self.custom_rule is None:
            self._step_groups(gradients, learning_rate, decision, run)
        else:
            self._step_by_custom_rule(self.custom_rule, gradients, learning_rate)
        if options.use_ema:
            controls.averaging.update(
                context.state.weights,
                options,
                context.update_count(),
                context.state.all_variables(),
            )

    def _step_by_custom_rule(
        self, rule: CustomRule, gradients: list[Any], learning_rate: Any
    ) -> None:
        options, controls = self._context.options, self._context.controls
        factor = controls.clipping.factor(gradients, options, controls.spike_guard)
        for gradient, weight in zip(gradients, self._dense, strict=True):
            clipped = controls.clipping.clipped(gradient, factor, options)
            rule(clipped, weight.parameter, learning_rate)

    def _step_groups(
        self,
        gradients: list[Any],
        learning_rate: Any,
        decision: Decision | None,
        run: RunPart,
    ) -> None:
        context, plan = self._context, self._plan
        of_weight = dict(zip((w.index for w in self._dense), gradients, strict=True))
        standalone = [group.prepare(of_weight) for group in plan.standalone]
        prepared = _Prepared(
            [group.prepare(of_weight) for group in plan.packed],
            plan.together.prepare(of_weight),
            # In the order of the weights: a norm is a sum, and rounds by its order.
            self._standalone_in_order(of_weight)
            if context.options.has_common_norm
            else [],
            decision,
        )
        # A program that has nothing to do is not called.
        run_together = run if _has_tensors(prepared) else run_here
        stepped = run_together(
            "together",
            self._step_together,
            self._variables_of_together(),
            prepared,
            learning_rate,
        )
        alignments = list(stepped.alignments)
        for group, own in zip(plan.standalone, standalone, strict=True):
            alignments += run(
                group.kind,
                group.step_arguments,
                context.scalars(),
                own,
                stepped.factor,
                *group.arguments(),
                learning_rate,
            )
        if plan.standalone and context.options.controls_learning_rate:
            run(
                "learning rate",
                context.adapt_learning_rate,
                context.scalars(),
                alignments,
                learning_rate,
            )
        for group, parameter in zip(plan.packed, stepped.packed, strict=True):
            group.finish(parameter)

    def _standalone_in_order(self, of_weight: dict[int, Any]) -> list[Any]:
        standalone = {w.index for group in self._plan.standalone for w in group.weights}
        return [of_weight[w.index] for w in self._dense if w.index in standalone]

    def _step_together(self, prepared: _Prepared, learning_rate: Any) -> _Stepped:
        """Step the packs, and the weights that share their program.

        Returns:
            What remains to be done. Weights outside of packs are assigned already.
        """
        context, plan, decision = self._context, self._plan, prepared.decision
        options, controls = context.options, context.controls
        clipping = controls.clipping
        packed = [gradient for gradient, _ in prepared.packed]
        if decision is not None:
            factor = decision.factor
        else:
            factor = clipping.factor(
                [*packed, *prepared.together, *prepared.standalone],
                options,
                controls.spike_guard,
            )
        packed, together = (
            [clipping.clipped(gradient, factor, options) for gradient in gradients]
            for gradients in (packed, prepared.together)
        )
        rates = context.learning_rates(learning_rate, self._dense)
        parameters: list[Any] = []
        samples: list[Any] = []
        for group, gradient, (_, before) in zip(
            plan.packed, packed, prepared.packed, strict=True
        ):
            parameter, of_pack = group.step(gradient, before, rates)
            parameters.append(parameter)
            samples += of_pack
        samples += plan.together.step(together, rates)
        alignments = [
            *(decision.alignments if decision else ()),
            *alignments_of(samples, options),
        ]
        if plan.standalone:
            return _Stepped(parameters, factor, alignments)
        context.adapt_learning_rate(alignments, learning_rate)
        return _Stepped(parameters, factor, [])

    def _step_rows(
        self, rows: Sequence[SummedRows], decision: Decision, learning_rate: Any
    ) -> Decision:
        """Step the tables; return the decision with the alignments of their rows."""
        context, groups = self._context, self._plan.rows
        options, clipping = context.options, context.controls.clipping
        clipped = []
        for gradient in rows:
            (sums,) = clipping.each([gradient.sums], options)
            sums = clipping.clipped(sums, decision.factor, options)
            clipped.append(gradient._replace(sums=sums))
        pairs = list(zip(groups, clipped, strict=True))
        alignments = [one for group, own in pairs for one in group.alignments(own)]
        rates = context.learning_rates(learning_rate, [g.weight for g in groups])

        def step() -> None:
            for group, gradient in pairs:
                group.step(gradient, rates)

        if options.skip_nonfinite:
            variables = context.state.all_variables()
            assign_if(decision.is_finite, step, lambda: None, variables)
        else:
            step()
        for group in groups:
            group.finish()
        return decision._replace(alignments=alignments)

    def variables(self) -> list[Any]:
        """All that the step may read or assign."""
        state = self._context.state
        weights = [weight.parameter for weight in self._weights]
        return [*weights, *state.stored_variables()]

    def _variables_of_whole(self) -> list[Any]:
        """All that `whole` reads and assigns on one device."""
        options, state = self._context.options, self._context.state
        # Averages are updated, and accumulators set to zero, for all weights.
        is_of_all = options.use_ema or options.gradient_accumulation_steps
        return [
            *self._context.scalars(),
            *(
                variable
                for weight in (state.weights if is_of_all else self._dense)
                for variable in weight.stored_variables()
            ),
            *(v for pack in state.packing.packs for v in pack.moments()),
        ]

    def _variables_of_together(self) -> list[Any]:
        """All that `_step_together` reads and assigns."""
        return [
            *self._context.scalars(),
            *(v for group in self._plan.packed for v in group.variables()),
            *self._plan.together.variables(),
        ]

    def structure(self) -> Hashable | None:
        """Everything that determines what is computed, except the variables' values.

        Returns:
            ``None`` for a subclass, which may compute something else.
        """
        return structure_of(self.key, self._context) if self._is_shareable else None


def _has_tensors(structure: Any) -> bool:
    return any(leaf is not None for leaf in keras.tree.flatten(structure))
