"""A training whose code leaves something behind, as the variable LEFT_BEHIND says."""

import atexit
import multiprocessing
import os
import sys
import threading

from tiny_workload import build_model, load_data, make_workload

VARIABLE = "LEFT_BEHIND"


def wait_for_ever():
    threading.Event().wait()


def leave(place):
    """Leave behind what the variable wants left there, once in this process."""
    wanted = os.environ.get(VARIABLE, "")
    if place not in wanted or place in _left:
        return
    _left.add(place)
    if "thread" in wanted:
        threading.Thread(target=wait_for_ever, name=f"mine-{place}").start()
    if "process" in wanted:
        multiprocessing.Process(target=wait_for_ever, name=f"mine-{place}").start()
    if "atexit" in wanted:
        atexit.register(wait_for_ever)
    if "lost" in wanted and sys.argv[0] == "-c":  # in a worker
        os.abort()


_left = set()


def build():
    leave("model")
    return build_model()


def load():
    leave("data")
    return load_data()


WORKLOAD = make_workload(build_model=build, load_data=load, execution="model.fit")
