"""Tests of four claims about Adam on the built-in workloads.

Each step has a file: `budgets` (what is trained, and about how long that takes),
`execution` (the sweeps, one directory per workload), `results` (reads them), `measures`
(figures of an optimizer on a workload, from `tuning.statistics`), `rules` (what counts
as support, fixed before the runs), `verdicts` (comparisons and their verdicts) and
`page`. Only `execution` and `peak_memory` depend on Keras.
"""
