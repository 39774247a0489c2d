"""Code of the user's that ends the process: a failed run, never a quiet end."""

import os
import subprocess
import sys

import hazards
import keras
import pytest
import tiny_workload
from tiny_workload import make_workload
from typer.testing import CliRunner

from tuning import run_sweep
from tuning.cli.app import app
from tuning.grid import Run
from tuning.system.process_end import os_exit_raises
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer
from tuning.workload import load_checked_data
from tuning.workloads import find_workload


def raise_this(error):
    raise error


ENDINGS = {
    "SystemExit: 0": lambda: sys.exit(0),
    "SystemExit": sys.exit,
    "SystemExit: usage": lambda: sys.exit("usage"),
    "SystemExit: os._exit(0) was called": lambda: os._exit(0),
    "GeneratorExit: over": lambda: raise_this(GeneratorExit("over")),
    "BaseException: over": lambda: raise_this(BaseException("over")),
}


def train(place, end, execution="auto"):
    """A run whose code of that kind ends so."""

    class Ends(keras.layers.Layer):
        def call(self, inputs):
            end()
            return inputs

    class EndsAfterAnEpoch(keras.Sequential):
        def reset_metrics(self):
            end()

    def build_model():
        if place == "build_model":
            end()
        layers = tiny_workload.build_model().layers
        if place == "layer":
            layers.append(Ends())
        return (EndsAfterAnEpoch if place == "model" else keras.Sequential)(layers)

    def loss(y_true, y_pred):
        if place == "loss":
            end()
        return tiny_workload.loss(y_true, y_pred)

    def optimizer(learning_rate):
        if place == "optimizer":
            end()
        return keras.optimizers.SGD(learning_rate)

    def metrics():
        if place == "metrics":
            end()
        return []

    workload = make_workload(build_model=build_model, loss=loss, metrics=metrics)
    task = Task(
        workload,
        workload.load_data(),
        epochs=1,
        custom={"own": optimizer},
        execution=execution,
    )
    trainer = Trainer(task)
    return trainer.run(Run("own", 16, 0.1, 0))


@pytest.mark.parametrize("message", ENDINGS)
def test_a_run_that_ends_the_process_has_failed(message):
    record = train("build_model", ENDINGS[message])
    assert (record.status, record.message) == ("failed", message)


@pytest.mark.parametrize("execution", ["auto", "model.fit"])
@pytest.mark.parametrize("place", ["layer", "loss", "optimizer", "metrics", "model"])
def test_wherever_a_run_ends_the_process(place, execution):
    record = train(place, ENDINGS["SystemExit: 0"], execution)
    assert (record.status, record.message) == ("failed", "SystemExit: 0")


def test_an_interruption_is_no_failure():
    with pytest.raises(KeyboardInterrupt):
        train("build_model", lambda: raise_this(KeyboardInterrupt))


def test_the_sweep_goes_on_after_a_run_that_ended_the_process(tmp_path):
    rates = [hazards.EXITS, hazards.ENDS_AT_ONCE, hazards.FINE]
    records = run_sweep(
        hazards.WORKLOAD,
        tmp_path / "sweep",
        optimizers={"keras.SGD": hazards.hazardous, "other": keras.optimizers.SGD},
        learning_rates=[hazards.FINE, *rates[:2]],
        seeds=1,
        execution="model.fit",
    )
    of_sgd = {r.learning_rate: r.status for r in records if r.optimizer == "keras.SGD"}
    assert [of_sgd[rate] for rate in rates] == ["failed", "failed", "ok"]
    assert len(records) == 6


@pytest.mark.parametrize("message", ENDINGS)
def test_data_that_end_the_process_are_refused(message):
    workload = make_workload(load_data=ENDINGS[message])
    with pytest.raises(ValueError, match="load_data of workload 'tiny' failed") as told:
        load_checked_data(workload, [1])
    assert message in str(told.value)


@pytest.mark.parametrize("body", ["sys.exit(0)", "os._exit(0)", "raise GeneratorExit"])
def test_a_file_that_ends_the_process_is_refused(tmp_path, monkeypatch, body):
    (tmp_path / "ending_task.py").write_text(f"import os, sys\n{body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ending_task", raising=False)
    with pytest.raises(
        ValueError, match=r"cannot be imported.*ending_task\.py, line 2"
    ):
        find_workload("ending_task:WORKLOAD")


def test_a_command_never_ends_well_by_the_user_s_code(tmp_path, monkeypatch):
    monkeypatch.setattr("tuning.sweep.run.run_sweep", lambda *_, **__: sys.exit(0))
    arguments = ["run", "tiny_workload:WORKLOAD", "--out", str(tmp_path / "sweep")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr == "keras-adam-sweep: ended early by SystemExit: 0\n"


@pytest.mark.parametrize(
    "ending",
    [
        # multiprocessing ends the processes that it forks so.
        "child = os.fork() or os._exit(7)\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        "threading.Thread(target=os._exit, args=(7,)).start()\n"
        "    threading.Event().wait()",
    ],
    ids=["forked process", "thread"],
)
def test_processes_and_threads_of_a_run_may_end_as_they_do(ending):
    code = (
        "import os, sys, threading\n"
        "from tuning.system.process_end import os_exit_raises\n"
        f"with os_exit_raises(), os_exit_raises():\n    {ending}\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == 7


def test_os_exit_is_itself_again_afterwards():
    end = os._exit
    with pytest.raises(SystemExit), os_exit_raises():
        os._exit(0)
    assert os._exit is end
