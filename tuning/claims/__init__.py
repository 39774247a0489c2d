"""The four claims that are made of Adam, put to the test on the built-in workloads.

From the records of many sweeps to a page, in steps that each stand in a file: `budgets`
(what is trained, and about how long that takes), `execution` (the sweeps, one directory
per workload), `training_curves` (figures of one run), `task_runs` and `measures`
(figures of an optimizer on a workload), `evidence` (comparisons, and their intervals),
`rules` (what counts as support, fixed before the runs) and `verdicts`, `page`. Only
`execution` and `peak_memory` know Keras.
"""
