"""What the operating system does: paths, files, JSON in files, the end of a process.

Errors that it raises become one line that says what to do. Nothing here knows sweeps.
"""
