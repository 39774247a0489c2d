"""A sweep as a tuner of KerasTuner: `tuning.RobustnessTuner`.

`arguments` checks what the tuner and its ``search`` receive, `building` builds models
with fixed hyperparameters, `axes` and `planning` find out which learning rates and
batch sizes the user's code defines, `own_fit` trains by a ``HyperModel.fit`` of the
user's, `trials` turns records into trials. The sweep itself is that of `tuning.sweep`.
"""
