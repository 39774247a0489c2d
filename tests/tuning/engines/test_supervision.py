"""Time limits and second tries, on an engine that does what it is told."""

import os

import pytest
from sweep_values import make_record

from tuning.engines.engine import Began, Finished, Lost
from tuning.engines.options import EngineOptions
from tuning.engines.supervision import SupervisedRuns
from tuning.grid import Run
from tuning.trainers.task import Task
from tuning.workload import Workload

RUN = Run("keras.SGD", 8, 0.1, 0)
TASK = Task(Workload("tiny", list, list, "mse"), data=(), epochs=3)


class Script:
    """An engine whose events are written down; an int lets so many seconds pass."""

    def __init__(self, *events):
        self.workers = 2
        self.events, self.now = list(events), 0.0
        self.started, self.ended, self.waits = [], [], []

    def clock(self):
        return self.now

    def start(self, worker, run):
        self.started.append((worker, run))

    def wait(self, seconds):
        self.waits.append(seconds)
        event = self.events.pop(0)
        if isinstance(event, int):
            self.now += event
            return None
        return event

    def end(self, worker):
        self.ended.append(worker)

    def close(self):
        pass


def supervise(script, **options):
    runs = SupervisedRuns(script, TASK, clock=script.clock, **options)
    runs.start(1, RUN)
    return runs


def test_a_run_comes_back_as_its_engine_tells():
    finished = Finished(1, make_record())
    script = Script(Began(1), finished)
    assert supervise(script).next_finished() is finished
    assert script.waits == [None, None]  # without a limit, as long as it takes


def test_a_run_past_its_limit_is_ended_and_fails():
    script = Script(20, Began(1), 4, 6)
    finished = supervise(script, run_timeout=10).next_finished()
    assert script.ended == [1]
    assert script.waits == [None, None, 10, 6]  # the worker's start does not count
    assert finished.worker == 1
    assert finished.record.status == "failed"
    assert finished.record.run_id == RUN.run_id
    assert finished.record.epochs == 3
    assert "TimeoutError: ended after 10 s" in finished.record.message


def test_a_run_that_ends_before_its_limit_is_kept():
    finished = Finished(1, make_record())
    script = Script(Began(1), 9, finished)
    assert supervise(script, run_timeout=10).next_finished() is finished
    assert script.ended == []


def test_one_late_run_leaves_the_others_their_time():
    other = Run("keras.SGD", 8, 0.1, 1)
    script = Script(Began(1), 6, Began(0), 4, Finished(0, make_record(1)))
    runs = supervise(script, run_timeout=10)
    runs.start(0, other)
    assert runs.next_finished().worker == 1
    assert runs.next_finished().record.status == "ok"
    assert script.ended == [1]


def test_a_lost_run_is_tried_again_with_its_whole_time(caplog):
    finished = Finished(1, make_record())
    script = Script(Began(1), 9, Lost(1, "power cut"), 9, Began(1), 9, finished)
    assert supervise(script, run_timeout=10).next_finished() is finished
    assert script.started == [(1, RUN), (1, RUN)]
    assert "(power cut); the run is tried again" in caplog.text


def test_a_run_that_loses_two_workers_fails():
    script = Script(Began(1), Lost(1, "once"), Began(1), Lost(1, "out of memory"))
    record = supervise(script).next_finished().record
    assert record.status == "failed"
    assert record.message == (
        "its worker was lost 2 times; the last time out of memory."
    )


def test_what_workers_say_is_told_once(caplog):
    notes = ("slow path",)
    script = Script(Finished(1, make_record(), None, notes))
    runs = supervise(script)
    runs.next_finished()
    script.events = [Finished(1, make_record(), None, (*notes, "other"))]
    runs.start(1, RUN)
    runs.next_finished()
    assert [record.message for record in caplog.records] == ["slow path", "other"]


@pytest.mark.parametrize(
    ("options", "is_in_process"),
    [
        ({}, True),
        ({"workers": 1}, True),
        ({"workers": 2}, False),
        ({"run_timeout": 9}, False),
        ({"name": "ray", "workers": 1}, False),
    ],
    ids=str,
)
def test_a_driver_leaves_gpus_to_workers_if_it_has_any(
    monkeypatch, options, is_in_process
):
    name = "TF_FORCE_GPU_ALLOW_GROWTH"
    monkeypatch.setenv(name, "x")  # so that it is put back at the end
    monkeypatch.delenv(name)
    choice = EngineOptions(**options)
    choice.leave_gpus_to_workers()
    assert choice.is_in_process is is_in_process
    assert (os.environ.get(name) is None) is is_in_process


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "slurm"}, "engine must be one of.*received 'slurm'"),
        ({"workers": 0}, "workers must be at least 1; received 0"),
        ({"run_timeout": 0}, "run_timeout must be a positive number.*received 0"),
        ({"run_timeout": float("nan")}, "received nan"),
        ({"ray_address": "auto"}, "an option of the engine 'ray'; received engine"),
        ({"name": "ray", "gpus_per_run": -1}, "gpus_per_run must be a number"),
    ],
    ids=str,
)
def test_an_engine_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EngineOptions(**options)
