"""Statistics of records: how an optimizer depends on learning rate and batch size.

The steps from the records of a sweep to a `Summary` each have a file: `seed_losses`
(one loss per seed, and its bootstrap), `shared_seeds` (which seeds can be compared),
`curves` (one optimizer at one batch size), `optimizer_summary` (over all batch sizes),
`summary` (all optimizers). Nothing here depends on Keras or on drawing.
"""

from tuning.statistics.summary import summarize
from tuning.statistics.values import ExcludedRun, OptimizerSummary, Summary

__all__ = ["ExcludedRun", "OptimizerSummary", "Summary", "summarize"]
