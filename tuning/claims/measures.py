"""The measures by which the claims are judged, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from tuning.claims.contenders import DEFAULT_RATES, REFERENCE
from tuning.statistics.task_figures import (
    bad_share,
    diverged_share,
    good_range_gap,
    mean_over_batch_sizes,
    normalised_sensitivity,
    peak_bytes,
    state_bytes_per_parameter,
    steps_to_reference,
)
from tuning.statistics.task_runs import Measure, TaskRuns
from tuning.statistics.training_curves import count_spikes, early_area


def default_rate(task: TaskRuns, optimizer: str, batch_size: int) -> float | None:
    """The default learning rate of an optimizer's class."""
    del task, batch_size
    return DEFAULT_RATES.get(optimizer)


def best_rate(task: TaskRuns, optimizer: str, batch_size: int) -> float | None:
    """See `tuning.statistics.task_runs.TaskRuns.best_rate`."""
    return task.best_rate(optimizer, batch_size)


MEASURES: Mapping[str, Measure] = {
    "early area, default rate": Measure(
        "early area, default rate",
        mean_over_batch_sizes(early_area, default_rate),
        "ratio",
        "training loss over the initial loss, averaged over the first fifth of the "
        "steps, at the rate that the class has if none is given",
    ),
    "early area, best rate": Measure(
        "early area, best rate",
        mean_over_batch_sizes(early_area, best_rate),
        "ratio",
        "the same at the rate with the least validation loss, chosen for each "
        "optimizer and batch size",
    ),
    "steps to SGD's loss, default rate": Measure(
        "steps to SGD's loss, default rate",
        steps_to_reference(REFERENCE, default_rate),
        "ratio",
        "share of the steps until the training loss, a mean over a twentieth of them, "
        "is at most SGD's last one (same seed and batch size, each at its default "
        "rate); 200 % if never; only where SGD gains a tenth of the initial loss, "
        "since less is within the noise of batches",
        unit="share",
    ),
    "steps to SGD's loss, best rate": Measure(
        "steps to SGD's loss, best rate",
        steps_to_reference(REFERENCE, best_rate),
        "ratio",
        "the same with each at its best rate",
        unit="share",
    ),
    "diverged runs": Measure(
        "diverged runs",
        diverged_share,
        "difference",
        "share of all runs, over rates and batch sizes, in which a loss became "
        "infinite or undefined",
        unit="share",
    ),
    "spikes, default rate": Measure(
        "spikes, default rate",
        mean_over_batch_sizes(count_spikes, default_rate),
        "difference",
        "how often per run the training loss, a mean over a twentieth of the steps, "
        "rises by a tenth of the initial loss and a quarter of what had been gained",
    ),
    "spikes, best rate": Measure(
        "spikes, best rate",
        mean_over_batch_sizes(count_spikes, best_rate),
        "difference",
        "the same at each optimizer's best rate",
    ),
    "bad runs": Measure(
        "bad runs",
        bad_share,
        "difference",
        "share of runs that diverged or ended above their initial loss, on the tasks "
        "whose gradients explode",
        unit="share",
    ),
    "normalised sensitivity": Measure(
        "normalised sensitivity",
        normalised_sensitivity,
        "ratio",
        "S, what a rate chosen blindly from the grid loses on average (Wortsman et al. "
        "2023), as a share of the improvement that the best of any optimizer reaches; "
        "where that is a tenth of the initial loss or more",
        unit="share",
    ),
    "gap between batch sizes": Measure(
        "gap between batch sizes",
        good_range_gap,
        "difference",
        "decades by which the stable ranges of learning rates (that miss at most 5 % "
        "of the improvement) of two batch sizes lie apart; 0 if they overlap, that is "
        "if one learning rate is stable at all of them; the whole grid if an optimizer "
        "does not gain a tenth of the initial loss where another does",
    ),
    "state": Measure(
        "state",
        state_bytes_per_parameter,
        "ratio",
        "bytes that the optimizer keeps per parameter",
    ),
    "peak": Measure(
        "peak",
        peak_bytes,
        "ratio",
        "most memory that a process takes which trains a large model",
        unit="bytes",
    ),
}
"""Every measure by its name."""
