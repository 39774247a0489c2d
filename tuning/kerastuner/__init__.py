"""A sweep as a tuner of KerasTuner: `tuning.RobustnessTuner`.

`tuner_arguments` and `search_arguments` check what is received, `building` builds
models with fixed hyperparameters, `axes` and `planning` find out which learning rates
and batch sizes the user's code defines, `own_fit` trains by a ``HyperModel.fit`` of the
user's, `trials` turns records into trials. The sweep itself is that of `tuning.sweep`.
"""
