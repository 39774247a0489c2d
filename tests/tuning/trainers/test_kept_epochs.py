"""Compiled epochs are kept for several optimizers, as long as they are small."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_workload import WORKLOAD

from tuning.grid import Run
from tuning.trainers import kept_epochs
from tuning.trainers.kept_epochs import Kept, KeptEpochs
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer
from tuning.workload import load_checked_data


def kept(entries, model=None):
    """What is kept of a model whose variables have so many entries."""
    optimizer = SimpleNamespace(variables=[np.zeros(entries)])
    model = model or SimpleNamespace(variables=[], optimizer=optimizer)
    return Kept(SimpleNamespace(model=model))


def test_the_oldest_are_freed_when_there_is_no_room(monkeypatch):
    monkeypatch.setattr(kept_epochs, "MOST_BYTES", 4 * 30)
    some = KeptEpochs()
    for name in ("a", "b", "c"):
        some.make_room()
        some.add(name, kept(10))
    assert some.get("a") is not None
    some.make_room()
    some.add("d", kept(10))
    assert [name for name in "abcd" if some.get(name)] == ["b", "c", "d"]


def test_a_large_model_is_alone(monkeypatch):
    monkeypatch.setattr(kept_epochs, "MOST_BYTES", 4 * 30)
    some = KeptEpochs()
    some.add("a", kept(16))
    some.make_room()
    assert some.get("a") is None


def test_what_was_compiled_for_the_same_model_is_freed():
    some, model = KeptEpochs(), kept(1).group.model
    some.add("a", kept(1, model))
    some.add("b", kept(1))
    some.forget(model)
    assert some.get("a") is None
    assert some.get("b") is not None
    assert some.any_group() is some.get("b").group


@pytest.mark.parametrize("most_bytes", [2**28, 0], ids=["kept", "freed"])
def test_a_sweep_that_comes_back_traces_nothing_again(monkeypatch, most_bytes):
    monkeypatch.setattr(kept_epochs, "MOST_BYTES", most_bytes)
    trainer = Trainer(Task(WORKLOAD, load_checked_data(WORKLOAD, [8]), 1))
    runs = [
        Run(optimizer, 8, rate, seed)
        for rate, seed in ((0.1, 0), (0.01, 1))
        for optimizer in ("keras.SGD", "keras.Adam")
    ]
    records = [trainer.run(run) for run in (*runs, *runs)]
    assert {r.execution for r in records} == {"compiled-epochs"}, records[0].message
    times = 1 if most_bytes else 4
    assert trainer.traces == {("keras.SGD", 8): times, ("keras.Adam", 8): times}
    for first, again in zip(records[:4], records[4:], strict=True):
        assert first.history == again.history
