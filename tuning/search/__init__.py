"""Which runs of a grid are trained, and in which order: KerasTuner's part.

`strategies` chooses an oracle; `tuner` asks it for runs until it has no more.
KerasTuner calls a run a trial; only this folder uses that word.
"""
