"""Where the runs of a sweep are executed.

`engine` says what all of them offer; `in_process`, `local` and `ray_cluster` are the
three there are; `supervision` adds time limits and second tries to any of them. An
engine trains and tells. What is run next is the oracle's business, and what becomes of
a record that of `tuning.sweep.run`, so every file of a sweep is written by one process.
"""
