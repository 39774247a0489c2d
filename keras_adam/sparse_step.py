"""One step in which some gradients touch only rows of their weights.

Three stages: all gradients together decide whether the step is taken and how far it is
clipped; the rows are stepped; then everything else, as in any step. Only the first and
the last have a fixed shape, and only they are worth a program of XLA.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_adam.backend.conditional import assign_if
from keras_adam.backend.gradients import as_dense, is_by_rows
from keras_adam.backend.rows import SummedRows, reads_after, share_reads, sum_repeated
from keras_adam.backend.xla import MOST_PROGRAMS, Update, undivided
from keras_adam.backend.xla_programs import Traced
from keras_adam.rule import adam as update_rule
from keras_adam.rule import clipping as step_control
from keras_adam.rule import learning_rate as rate_control
from keras_adam.rule.clipping import Controls
from keras_adam.rule.learning_rate import Agreement
from keras_adam.table_catch_up import TableCatchUp

logger = logging.getLogger(__name__)

Run = Callable[[Update, Any, Any, str], Any]
"""How a stage is run: called with it, its gradients, the rate, and a name for it."""


class _Touched(NamedTuple):
    """A weight of which some rows have a gradient."""

    variable: Any
    gradient: SummedRows


def run_directly(stage: Update, gradients: Any, learning_rate: Any, _: str) -> Any:
    """Run a stage where it stands, uncompiled."""
    return stage(gradients, learning_rate)


class SparseStep(TableCatchUp):
    """The step of `keras_adam.Adam`, which sets the options read here."""

    sparse_updates: str

    def __init__(self, **keras_options: Any) -> None:
        super().__init__(**keras_options)
        self._graphs_of_rows: dict[Hashable, Callable] = {}
        self._is_told_of_graphs = False

    def _check_sparse_updates(self) -> None:
        """Refuse what lazy rows cannot be combined with.

        Raises:
            ValueError: accumulators, another rule than Adam's, or betas with which
                momentum does not fade.
        """
        if self.sparse_updates == "dense":
            return
        if self.sparse_updates == "catch_up" and self.beta_1**2 >= self.beta_2:
            raise ValueError(
                f"With beta_1={self.beta_1} and beta_2={self.beta_2} the steps of a "
                "row without gradients grow instead of fading: "
                'sparse_updates="catch_up" needs beta_1 below the root of beta_2.'
            )
        if self.gradient_accumulation_steps:
            raise ValueError(
                f"sparse_updates={self.sparse_updates!r} does not go with "
                "gradient_accumulation_steps: accumulators hold every row, so every "
                'row would be touched. Use sparse_updates="dense", or larger batches.'
            )
        if self._has_own_rule():
            raise ValueError(
                f"sparse_updates={self.sparse_updates!r} steps rows by Adam's own "
                f"rule, but {type(self).__name__} overrides update_step. Use "
                'sparse_updates="dense", which hands dense gradients to it.'
            )
        if keras.backend.backend() != "tensorflow":
            logger.warning(
                "sparse_updates=%r, but on the %s backend every gradient is dense: "
                "every row is touched at every step.",
                self.sparse_updates,
                keras.backend.backend(),
            )

    def _are_rows_stepped(self, gradients: Sequence[Any]) -> bool:
        return self.sparse_updates != "dense" and any(map(is_by_rows, gradients))

    def _dense_where_small(
        self, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[Any]:
        """With catching up, only large tables are stepped by rows.

        Stepping a small one as a whole costs less, and is what catching up is near to.
        """
        if not self._catches_up():
            return list(gradients)
        return [
            as_dense(gradient)
            if self._last_steps[self._get_variable_index(variable)] is None
            else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def _update_by_rows(
        self,
        gradients: Sequence[Any],
        variables: Sequence[Any],
        learning_rate: Any,
        run: Run = run_directly,
    ) -> None:
        """One step on one device; some gradients are ``IndexedSlices``.

        Args:
            gradients: in the compute dtypes.
            variables: the weights.
            learning_rate: scalar.
            run: the stages of fixed shapes.
        """
        pairs = list(zip(gradients, variables, strict=True))
        others = [(as_dense(g), v) for g, v in pairs if not is_by_rows(g)]
        dense = [gradient for gradient, _ in others]
        touched = [
            _Touched(v, sum_repeated(g.values, g.indices, tuple(v.shape)[1:]))
            for g, v in pairs
            if is_by_rows(g)
        ]
        controls = self._controls(dense, touched, learning_rate, run)
        touched = [self._clipped_rows(one, controls) for one in touched]
        controls = controls._replace(
            agreements=[said for one in touched for said in self._row_agreement(one)]
        )
        rates = self._rates(learning_rate, [one.variable for one in touched])

        def step_rows() -> None:
            for one in touched:
                gradient = one.gradient
                with reads_after(gradient):
                    self._step_weight(
                        gradient.per_id(), one.variable, rates, ids=gradient.ids
                    )

        if self.skip_nonfinite:
            assign_if(
                controls.is_finite, step_rows, lambda: None, self._all_variables()
            )
        else:
            step_rows()
        for one in touched:
            share_reads(one.variable)
        with_rest = self.use_ema or self.skip_nonfinite or self._controls_rate()
        if not (others or with_rest):
            return
        rest = self._rest([variable for _, variable in others])
        run(rest, (dense, controls), learning_rate, "rest")

    def _rest(self, variables: list[Any]) -> Update:
        """The update by dense gradients, in parts if it can be taken apart.

        Called with those gradients and the controls.
        """
        if not self._is_update_separable():
            return undivided(
                lambda given, rate: self._update(given[0], variables, rate, given[1]),
                lambda: self._variables_of_update(variables),
            )

        def prepare(given: Any) -> tuple[Any, Any]:
            joined, apart = self._join(given[0], variables)
            return (joined, given[1]), apart

        return Update(
            prepare,
            compute=lambda given, rate: self._step_joined(
                given[0], variables, rate, given[1]
            ),
            finish=lambda stepped: self._assign_packed(stepped, variables),
            variables=lambda: self._variables_of_joined(variables),
            step_apart=lambda apart, stepped, rate, run: self._step_apart(
                apart, stepped, variables, rate, run
            ),
        )

    def _controls(
        self,
        dense: list[Any],
        touched: Sequence[_Touched],
        learning_rate: Any,
        run: Run,
    ) -> Controls:
        """What all gradients decide; a scalar each stands in for those by rows."""
        clips_together = self._clips_together()
        if not (self.skip_nonfinite or clips_together):
            return Controls(None, None)
        # As in a dense step, the common norm is that of gradients clipped one by one.
        all_sums = self._clip_each([one.gradient.sums for one in touched])
        norms = [step_control.norm_of_finite([sums]) for sums in all_sums]
        rows_are_finite = (
            step_control.are_all_finite(all_sums) if self.skip_nonfinite else None
        )

        def decide(gradients: Any, _: Any) -> Controls:
            dense, norms, is_finite = gradients
            factor = None
            if dense and is_finite is not None:
                is_finite = is_finite & step_control.are_all_finite(dense)
            if clips_together:
                clipped = self._clip_each(dense)
                norm = self._common_norm([*clipped, *norms])
                is_counted = True if is_finite is None else is_finite
                factor = self._factor_by_norm(norm, is_counted)
            return Controls(is_finite, factor)

        stage = undivided(decide, self._step_scalars)
        return run(stage, (dense, norms, rows_are_finite), learning_rate, "controls")

    def _clipped_rows(self, one: _Touched, controls: Controls) -> _Touched:
        (sums,) = self._clip([one.gradient.sums], controls)
        return one._replace(gradient=one.gradient._replace(sums=sums))

    def _row_agreement(self, one: _Touched) -> list[Agreement]:
        """What the rows' gradients say of the rate, beside their moments as stored.

        Those of a row that is behind have not decayed: its part weighs more than in a
        dense step, in the direction that it has there.
        """
        if self.rate_adaptation is None:
            return []
        gradient, variable = one.gradient, one.variable
        moments = self._read_moments(self._state_of(variable), gradient.ids)
        rows = ops.cast(gradient.once_per_id(), moments.first.dtype)
        # As in a dense step: beside a v without this gradient, a row would outweigh.
        after = update_rule.update_moments(rows, moments, self.beta_1, self.beta_2)
        along = rate_control.along_last_step(rows, moments.first, after.second)
        return [rate_control.agreement([along])]

    def _as_one_graph(self, key: Hashable, step: Callable[..., None]) -> Callable:
        """The step as a graph where it would run op by op.

        Traced twice at most, however the number of ids varies: from the second
        number on it is unknown to the graph. There are `MOST_PROGRAMS` graphs at
        most: an option that changes at every step would trace without end.
        """
        import tensorflow as tf  # Only TensorFlow's gradients come by rows.

        if not tf.executing_eagerly():
            return step
        if key not in self._graphs_of_rows:
            if len(self._graphs_of_rows) >= MOST_PROGRAMS:
                self._tell_of_no_more_graphs()
                return step
            self._graphs_of_rows[key] = tf.function(
                Traced(step), autograph=False, reduce_retracing=True
            )
        return self._graphs_of_rows[key]

    def _tell_of_no_more_graphs(self) -> None:
        if not self._is_told_of_graphs:
            logger.warning(
                "The step of rows runs op by op: %d graphs have been traced for as "
                "many sets of weights with a gradient, or settings of options.",
                MOST_PROGRAMS,
            )
            self._is_told_of_graphs = True
