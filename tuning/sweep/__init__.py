"""A sweep: planned, trained run by run, recorded, and continued after an interruption.

`run` holds what users call; `loop` trains the runs that have no record yet; `directory`
guards the files.
"""
