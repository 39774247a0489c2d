"""One run: from a planned `tuning.grid.Run` to its `tuning.records.RunRecord`.

`trainer` trains runs one after the other. How, depends on the kind of workload (`way`):
arrays in compiled epochs or with Keras's ``model.fit`` (`array_runs`), a compiled model
with ``model.fit`` (`fit_runs`), or a function of the user's (`loop_runs`).

The folder is not called ``training``: ``tuning.training`` is the public decorator.
"""
