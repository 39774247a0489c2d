"""Statistics over records: how much an optimizer depends on rate and batch size.

From the records of a sweep to a `Summary`, in steps that each stand in a file:
`seed_losses` (one loss per seed, and its bootstrap), `shared_seeds` (which seeds can be
compared), `curves` (one optimizer at one batch size), `optimizer_summary` (over all
batch sizes), `summary` (all optimizers). Nothing here knows Keras or drawing.
"""

from tuning.statistics.summary import summarize
from tuning.statistics.values import ExcludedRun, OptimizerSummary, Summary

__all__ = ["ExcludedRun", "OptimizerSummary", "Summary", "summarize"]
