"""One run: from a planned `tuning.grid.Run` to its `tuning.records.RunRecord`.

`trainer` trains runs one after the other, in compiled epochs (`compiled_epochs`) where
the model allows it, else with Keras's `model.fit` (`model_fit`).
"""
