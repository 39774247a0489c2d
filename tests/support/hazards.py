"""An optimizer that does to a sweep, at certain rates, whatever can be done to one."""

import os
import pathlib
import resource
import signal
import sys
import time

import keras
import tiny_workload

FINE, DIVERGES, RAISES, HANGS = 0.01, 1e18, 0.02, 0.03
NO_MEMORY, KILLED, KILLED_ONCE = 0.04, 0.05, 0.06
EXITS, ENDS_AT_ONCE = 0.07, 0.08
MARK = "HAZARDS_MARK"
"""Variable that names a file: where it is, `KILLED_ONCE` has been."""


def hazardous(learning_rate):
    """SGD, or a catastrophe."""
    if learning_rate == RAISES:
        raise RuntimeError("bad luck")
    if learning_rate == HANGS:
        time.sleep(3600)
    if learning_rate == NO_MEMORY:
        used = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit = used * resource.getpagesize() + 2**28
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        bytearray(2**30)
    if learning_rate == EXITS:
        sys.exit(0)
    if learning_rate == ENDS_AT_ONCE:
        os._exit(0)
    if learning_rate == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    mark = pathlib.Path(os.environ.get(MARK, "/nonexistent"))
    if learning_rate == KILLED_ONCE and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return keras.optimizers.SGD(learning_rate)


def squared(y_true, y_pred):
    """A loss without bound, so that a high rate diverges."""
    targets = keras.ops.cast(y_true, "float32")[:, None]
    return keras.ops.mean((y_pred - targets) ** 2, axis=-1)


WORKLOAD = tiny_workload.make_workload(loss=squared, metrics=list, epochs=2)
