"""Where the runs of a sweep are executed.

`engine` is the interface of all engines. There are three: `in_process`, `local` and
`ray_cluster`. `options` names them; `supervision` adds time limits and second tries.
An engine trains runs and reports the results. `tuning.search` chooses the next run and
`tuning.sweep` writes the records, so one process writes every file of a sweep.
"""
