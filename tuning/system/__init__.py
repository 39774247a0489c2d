"""Paths, files, JSON files, and the end of a process.

Errors of the operating system become one line that says what to do. Nothing here
depends on sweeps.
"""
