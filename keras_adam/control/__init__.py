"""What can be added to a step of Adam: one file per control.

A control owns the variables that it keeps between steps and calls pure functions of
`keras_adam.rule`. `controls.Controls` lists them all; the pipeline of
`keras_adam.step` decides in which order they act.
"""
