"""Where the runs of a sweep are executed.

`engine` says what all of them offer; `in_process`, `local` and `ray_cluster` are the
three there are; `options` names them; `supervision` adds time limits and second tries.
An engine trains runs and reports what came out. `tuning.search` chooses the next run,
`tuning.sweep` writes the records, so one process writes every file of a sweep.
"""
