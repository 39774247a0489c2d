"""A sweep as event files for TensorBoard.

`sweep_events` writes each run's curves and the HParams page while a sweep runs.
`report_events` writes what the report says of the whole sweep. Both write through
`event_file`. This folder is apart from `tuning.sweep` and `tuning.report`, because
these two do not know each other.
"""
