import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_workload import WORKLOAD, load_data, make_workload
from typer.testing import CliRunner

from tuning import read_records, resume_sweep, run_sweep
from tuning.cli.app import app
from tuning.grid import Run
from tuning.trainers.data_order import epoch_order, evaluation_batch
from tuning.trainers.optimizers import build_optimizer
from tuning.trainers.schedule import scheduled_rate
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiled epochs are TensorFlow's"
)

EPOCHS = 4
QUICK = {"optimizers": ["keras.SGD"], "execution": "model.fit", "epochs": 2, "seeds": 1}


def train(workload, run, **options):
    trainer = Trainer(Task(workload, load_data(), epochs=EPOCHS, **options))
    record = trainer.run(run)
    assert record.status == "ok", record.message
    return record


def fit_by_hand(run, rates, rows_of_epochs):
    """Keras alone: one ``fit`` per epoch, its rate and rows given."""
    keras.utils.set_random_seed(run.seed)
    model = WORKLOAD.build_model()
    model.compile(build_optimizer(run.optimizer, run.learning_rate), loss=WORKLOAD.loss)
    x, y, x_val, y_val = load_data()
    losses = []
    for rate, rows in zip(rates, rows_of_epochs, strict=True):
        model.optimizer.learning_rate = rate
        logs = model.fit(
            x[rows],
            y[rows],
            batch_size=run.batch_size,
            shuffle=False,
            validation_data=(x_val, y_val),
            validation_batch_size=evaluation_batch(len(x_val)),
            verbose=0,
        ).history
        losses += logs["val_loss"]
    return losses


def test_a_linear_schedule_falls_from_the_given_rate_in_equal_parts():
    rates = [scheduled_rate("linear", 0.8, epoch, 4) for epoch in range(4)]
    np.testing.assert_allclose(rates, [0.8, 0.6, 0.4, 0.2])
    assert scheduled_rate("constant", 0.8, 3, 4) == 0.8


@pytest.mark.parametrize("execution", ["compiled-epochs", "model.fit"])
def test_each_epoch_has_the_rate_of_its_schedule(execution):
    run = Run("keras.SGD(momentum=0.9)", 16, 0.1, seed=1)
    record = train(make_workload(schedule="linear"), run, execution=execution)
    orders = [epoch_order(50, 1, epoch) for epoch in range(EPOCHS)]
    expected = fit_by_hand(run, [0.1, 0.075, 0.05, 0.025], orders)
    np.testing.assert_allclose(record.history["val_loss"], expected, rtol=1e-5)
    assert record.schedule == "linear"
    assert record.learning_rate == 0.1


def test_rates_and_schedules_share_one_compiled_epoch():
    trainer = Trainer(Task(make_workload(schedule="linear"), load_data(), epochs=2))
    first = trainer.run(Run("keras.SGD(momentum=0.9)", 16, 0.1, seed=0))
    trainer.run(Run("keras.SGD(momentum=0.9)", 16, 0.01, seed=0))
    again = trainer.run(Run("keras.SGD(momentum=0.9)", 16, 0.1, seed=0))
    assert trainer.traces == {("keras.SGD(momentum=0.9)", 16): 1}
    assert again.history == first.history


def test_a_schedule_begins_with_the_given_rate():
    run = Run("keras.SGD(momentum=0.9)", 16, 0.1, seed=1)
    plain, linear = (
        train(make_workload(schedule=schedule), run, execution="model.fit")
        for schedule in ("constant", "linear")
    )
    assert plain.history["val_loss"][0] == linear.history["val_loss"][0]
    assert plain.history["val_loss"][1:] != linear.history["val_loss"][1:]


def decaying_sgd(learning_rate):
    schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate, 10, 0.5)
    return keras.optimizers.SGD(schedule)


def test_an_optimizer_with_a_schedule_of_its_own_is_given_no_other(tmp_path):
    options = {**QUICK, "optimizers": {"decaying": decaying_sgd}}
    with pytest.raises(ValueError, match="'decaying' has a learning-rate schedule"):
        run_sweep(WORKLOAD, tmp_path / "s", schedule="linear", **options)
    assert not (tmp_path / "s").exists()
    assert run_sweep(WORKLOAD, tmp_path / "s", **options)[0].status == "ok"


def test_a_schedule_is_part_of_the_plan(tmp_path):
    reference = "tiny_workload:WORKLOAD"
    records = run_sweep(reference, tmp_path, schedule="linear", **QUICK)
    assert {record.schedule for record in records} == {"linear"}
    assert json.loads((tmp_path / "sweep.json").read_text())["schedule"] == "linear"
    with pytest.raises(ValueError, match="schedule is linear there, constant here"):
        run_sweep(reference, tmp_path, **QUICK)
    lines = (tmp_path / "runs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_text(lines[0])
    resume_sweep(tmp_path, execution="model.fit")
    assert {record.schedule for record in read_records(tmp_path)} == {"linear"}
    assert len(read_records(tmp_path)) == len(lines)


def test_a_schedule_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="received 'cosine'"):
        run_sweep(WORKLOAD, tmp_path / "s", schedule="cosine", **QUICK)


def test_the_command_line_takes_a_schedule_and_the_report_names_it(tmp_path):
    arguments = ["run", "tiny_workload:WORKLOAD", "--out", str(tmp_path / "s")]
    arguments += ["--optimizers", "keras.SGD", "--seeds", "1", "--epochs", "1"]
    result = CliRunner().invoke(app, [*arguments, "--schedule", "linear"])
    assert result.exit_code == 0, result.output
    report = (tmp_path / "s" / "report.md").read_text()
    assert "Schedule of the rate" in report
    assert "linear" in report


@given(st.integers(1, 40), st.integers(1, 100), st.integers(1, 6))
def test_epochs_are_pieces_of_one_pass_after_the_other(examples, per_epoch, epochs):
    pieces = [epoch_order(examples, 3, epoch, per_epoch) for epoch in range(epochs)]
    assert [len(piece) for piece in pieces] == [per_epoch] * epochs
    rows = np.concatenate(pieces)
    whole = len(rows) // examples * examples
    for a_pass in rows[:whole].reshape(-1, examples):
        assert sorted(a_pass) == list(range(examples))
    assert len(set(rows[whole:])) == len(rows) - whole


@pytest.mark.parametrize("execution", ["compiled-epochs", "model.fit"])
@pytest.mark.parametrize("per_epoch", [20, 70])
def test_an_epoch_takes_as_many_examples_as_it_is_told(execution, per_epoch):
    workload = make_workload(examples_per_epoch=per_epoch)
    run = Run("keras.SGD(momentum=0.9)", 16, 0.1, seed=1)
    record = train(workload, run, execution=execution)
    orders = [epoch_order(50, 1, epoch, per_epoch) for epoch in range(EPOCHS)]
    expected = fit_by_hand(run, [0.1] * EPOCHS, orders)
    np.testing.assert_allclose(record.history["val_loss"], expected, rtol=1e-5)
    assert record.steps == EPOCHS * -(-per_epoch // 16)


def test_a_batch_larger_than_an_epoch_is_refused(tmp_path):
    workload = make_workload(examples_per_epoch=20)
    with pytest.raises(ValueError, match=r"\[32\] are larger than the 20 .* per epoch"):
        run_sweep(workload, tmp_path / "s", batch_sizes=[32], **QUICK)


@pytest.mark.parametrize("examples", [0, 2.5, True, "all"])
def test_an_epoch_has_a_number_of_examples(examples):
    with pytest.raises(ValueError, match="must be a positive integer"):
        make_workload(examples_per_epoch=examples)


def schedule_free(learning_rate):
    return keras.optimizers.ScheduleFreeAdamW(learning_rate)


def test_state_that_copies_the_weights_begins_with_the_weights_of_the_seed():
    """ScheduleFree keeps the point from which it steps; another seed's is far away."""
    own = {"free": schedule_free}
    shared = Trainer(Task(WORKLOAD, load_data(), epochs=EPOCHS, custom=own))
    shared.run(Run("free", 16, 0.1, seed=0))
    run = Run("free", 16, 0.1, seed=1)
    after_another = shared.run(run)
    alone = train(WORKLOAD, run, custom=own)
    assert after_another.execution == alone.execution == "compiled-epochs"
    assert after_another.history == alone.history
    by_fit = train(WORKLOAD, run, custom=own, execution="model.fit")
    np.testing.assert_allclose(
        alone.history["val_loss"], by_fit.history["val_loss"], rtol=1e-5
    )
