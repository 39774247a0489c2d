"""Results of a sweep about its optimizers, as plain values that JSON can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tuning.objectives import name_of, short_name_of, turned


@dataclasses.dataclass(frozen=True)
class Interval:
    """The range of a figure when its seeds are drawn again.

    Attributes:
        low: lower end, the 2.5 % percentile.
        high: upper end, the 97.5 % percentile.
        seeds: how many seeds were resampled. With few seeds the interval is coarse.
            With two or three it runs from the lowest to the highest figure of any
            resample. If two optimizers are equally good, two seeds agree on one of them
            half of the time, three seeds a quarter of the time: far from 5 %.
    """

    low: float
    high: float
    seeds: int


@dataclasses.dataclass(frozen=True)
class Point:
    """The runs of one optimizer, batch size and learning rate.

    Attributes:
        learning_rate: of these runs.
        loss: mean judged loss over seeds.
        lowest_loss: least judged loss of any seed.
        highest_loss: greatest judged loss of any seed.
        runs: judged runs.
        diverged: how many of them diverged.
    """

    learning_rate: float
    loss: float
    lowest_loss: float
    highest_loss: float
    runs: int
    diverged: int


@dataclasses.dataclass(frozen=True)
class GoodRegion:
    """The unbroken range of learning rates around the best that are nearly as good.

    Attributes:
        low_rate: lower end.
        high_rate: upper end.
        decades: width, ``log10(high_rate / low_rate)``.
        touches_low_edge: whether the region reaches the lowest learning rate that was
            run. Then its end is not known, and ``decades`` is a lower bound.
        touches_high_edge: the same at the highest learning rate.
    """

    low_rate: float
    high_rate: float
    decades: float
    touches_low_edge: bool
    touches_high_edge: bool

    def contains(self, learning_rate: float) -> bool:
        """Whether a learning rate lies in it; its ends are interpolated and rounded."""
        low, high = self.low_rate * (1 - 1e-9), self.high_rate * (1 + 1e-9)
        return low <= learning_rate <= high

    @property
    def is_lower_bound(self) -> bool:
        """Whether the region may extend beyond the learning rates that were run."""
        return self.touches_low_edge or self.touches_high_edge


@dataclasses.dataclass(frozen=True)
class Curve:
    """One optimizer at one batch size.

    Attributes:
        optimizer: name in the grid.
        batch_size: examples per step.
        points: by ascending learning rate.
        initial_loss: mean validation loss before the first step.
        best_loss: least loss of any point.
        best_rate: its learning rate; the lower one of two equally good.
        best_rate_edge: ``"low"`` or ``"high"`` if the best learning rate is the lowest
            or highest of the sweep, so that a better one may lie outside. ``None``
            otherwise, and if one in between or all are equally good.
        best_loss_deviation: standard deviation over seeds of the judged loss at the
            best rate (n - 1 in the denominator); ``None`` with one seed.
        sensitivity: learning-rate sensitivity S against ``best_loss``; ``None`` with
            fewer than two of the planned rates.
        sensitivity_interval: of ``sensitivity``, over seeds.
        sensitivity_to_best_of_any: S against the best loss of any optimizer at this
            batch size.
        good_region: ``None`` if no rate improved on the initial loss.
        runs: judged runs.
        diverged_share: share of them that diverged.
        bad_share: share of them whose final loss was not finite or above the
            initial one.
        steps_to_target: median over seeds at the best rate of the steps until the
            target loss, where a run that never reached it counts as infinity;
            ``None`` if that median is infinite.
        seconds_per_step: median over all runs.
        state_bytes: bytes of the optimizer's state.
    """

    optimizer: str
    batch_size: int
    points: tuple[Point, ...]
    initial_loss: float
    best_loss: float
    best_rate: float
    best_rate_edge: str | None
    best_loss_deviation: float | None
    sensitivity: float | None
    sensitivity_interval: Interval | None
    sensitivity_to_best_of_any: float | None
    good_region: GoodRegion | None
    runs: int
    diverged_share: float
    bad_share: float
    steps_to_target: float | None
    seconds_per_step: float | None
    state_bytes: int | None


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """Mean judged loss over learning rate x batch size.

    Shapes:
        losses: ``(learning_rates, batch_sizes)``; ``None`` where nothing was run.
        diverged_shares: the same.
        runs: the same, judged runs per cell; 0 where nothing was run.
    """

    learning_rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    losses: tuple[tuple[float | None, ...], ...]
    diverged_shares: tuple[tuple[float | None, ...], ...]
    runs: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class OptimizerSummary:
    """One optimizer over all batch sizes.

    Means and medians are over the batch sizes that have a figure; those of S and regret
    are over planned batch sizes only.

    Attributes:
        name: in the grid.
        is_complete: whether a judged run exists at every planned learning rate and
            batch size, with a seed that the other complete optimizers have there, too.
        runs: judged runs.
        unshared_runs: judged runs that no mean over seeds includes, because another
            complete optimizer has no run with that learning rate, batch size and seed.
        missing_runs: planned runs without a record.
        excluded_runs: records that could not be judged.
        diverged_runs: judged runs that diverged.
        bad_runs: judged runs that diverged or ended above their initial loss.
        mean_sensitivity: mean over batch sizes of S against the optimizer's own best
            loss.
        median_sensitivity: median of the same.
        sensitivity_interval: of ``mean_sensitivity``, over seeds.
        mean_sensitivity_to_best_of_any: mean over batch sizes of S against the best
            loss of any optimizer at that batch size. Optimizers are ranked by it: one
            that is bad everywhere has a small S against its own best loss.
        sensitivity_to_best_of_any_interval: of that mean, over seeds; the best loss
            of any optimizer is taken from the same seeds.
        behind_first_interval: of that mean minus the mean of the first-ranked
            optimizer, over the seeds of both; ``None`` for the first itself and for
            optimizers that are not ranked.
        mean_good_decades: mean width of the good region; a batch size at which the
            optimizer learned nothing counts as 0.
        is_good_decades_lower_bound: whether a good region touches an edge of the grid.
        best_loss: least loss of any rate and batch size.
        best_loss_rate: its learning rate.
        best_loss_batch_size: its batch size.
        shared_range: learning rates that are stable at every batch size; ``None`` if
            there are none. See `tuning.statistics.batch_overlap.shared_range`.
        stable_overlap: share of the stable learning rates that are stable at every
            batch size. See `tuning.statistics.batch_overlap.stable_overlap`.
        worst_regret: largest difference between a loss and the best loss of any
            optimizer at the same batch size, over planned learning rates and batch
            sizes.
        seconds_per_step: median over batch sizes.
        state_bytes: bytes of the optimizer's state.
        curves: by ascending batch size.
        heat_map: every learning rate x batch size that was planned or run for any
            optimizer.
    """

    name: str
    is_complete: bool
    runs: int
    unshared_runs: int
    missing_runs: int
    excluded_runs: int
    diverged_runs: int
    bad_runs: int
    mean_sensitivity: float | None
    median_sensitivity: float | None
    sensitivity_interval: Interval | None
    mean_sensitivity_to_best_of_any: float | None
    sensitivity_to_best_of_any_interval: Interval | None
    behind_first_interval: Interval | None
    mean_good_decades: float | None
    is_good_decades_lower_bound: bool
    best_loss: float | None
    best_loss_rate: float | None
    best_loss_batch_size: int | None
    shared_range: GoodRegion | None
    stable_overlap: float | None
    worst_regret: float | None
    seconds_per_step: float | None
    state_bytes: int | None
    curves: tuple[Curve, ...]
    heat_map: HeatMap

    @property
    def has_learned(self) -> bool:
        """Whether some rate improved on the initial loss, at some batch size."""
        return any(curve.good_region is not None for curve in self.curves)

    @property
    def is_ranked(self) -> bool:
        """Whether it can be compared with others: it is complete and has learned."""
        has_figure = self.mean_sensitivity_to_best_of_any is not None
        return self.is_complete and has_figure and self.has_learned

    @property
    def diverged_share(self) -> float | None:
        """Share of the judged runs that diverged."""
        return self.diverged_runs / self.runs if self.runs else None

    @property
    def bad_share(self) -> float | None:
        """Share of the judged runs that diverged or ended above their initial loss."""
        return self.bad_runs / self.runs if self.runs else None


@dataclasses.dataclass(frozen=True)
class ExcludedRun:
    """A run that no figure includes: it failed, or its losses cannot be judged."""

    run_id: str
    optimizer: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Summary:
    """The results of a sweep about its optimizers.

    Attributes:
        workload: what was trained.
        learning_rates: planned; without a plan, all that were run. Ascending.
        batch_sizes: the same.
        seeds: the same.
        runs: records, judged or not.
        planned_runs: ``None`` without a plan.
        missing_runs: keys of planned runs without a record.
        excluded: records that could not be judged, with the reason.
        good_tolerance: see `tuning.statistics.curves.find_good_region`.
        initial_loss: mean over all judged runs.
        seconds: wall-clock of all runs together.
        optimizers: ranked ones first, by ``mean_sensitivity_to_best_of_any``; then
            the others in the plan's order. With the strategy ``"edges"`` those with
            the widest good region first.
        strategy: which runs of the grid were chosen. With any other than ``"grid"``,
            no run counts as missing and there is no S: it would be a mean over
            learning rates that were chosen by their losses.
        short_runs: records with fewer epochs than planned, from which a strategy
            chose; no figure includes them.
        objective: the logged quantity by which runs were judged.
        direction: ``"min"`` or ``"max"``: which of its values are better. With
            ``"max"``, the losses here are its negative: less is better everywhere.
    """

    workload: str
    learning_rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    runs: int
    planned_runs: int | None
    missing_runs: tuple[str, ...]
    excluded: tuple[ExcludedRun, ...]
    good_tolerance: float
    initial_loss: float | None
    seconds: float
    optimizers: tuple[OptimizerSummary, ...]
    strategy: str = "grid"
    short_runs: int = 0
    objective: str = "val_loss"
    direction: str = "min"

    def shown(self, loss: float) -> float:
        """The value of the objective that a loss of the summary stands for."""
        return turned(loss, self.direction)

    @property
    def short_name(self) -> str:
        """The objective in few letters: ``loss``, unless another one was chosen."""
        return short_name_of(self.objective)

    @property
    def best_word(self) -> str:
        """What the best value of the objective is: ``lowest`` or ``highest``."""
        return "highest" if self.direction == "max" else "lowest"

    @property
    def loss_name(self) -> str:
        """The objective as a person calls it: ``validation loss``."""
        return name_of(self.objective)

    @property
    def judged_runs(self) -> int:
        """Runs from which the figures are taken."""
        return self.runs - len(self.excluded) - self.short_runs

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON types."""
        return _as_json_types(dataclasses.asdict(self))


def _as_json_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_json_types(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json_types(item) for item in value]
    return value
