"""A sweep as event files for TensorBoard.

`sweep_events` writes each run's curves and the HParams page while a sweep runs.
`report_events` writes the report of the whole sweep. Both write through `event_file`.
This folder is separate from `tuning.sweep` and `tuning.report`, because neither of
these imports the other.
"""
