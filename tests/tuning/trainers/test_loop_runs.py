"""Workloads that are trained by a function of the user's own."""

import math
import pickle

import keras
import numpy as np
import pytest
import tiny_workload
from keras import ops

import tuning
from tuning import LoopWorkload
from tuning.grid import Run
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer


def train(workload, optimizer="keras.SGD", rate=0.25, seed=0, batch_size=8, **task):
    run = Run(optimizer, batch_size, rate, seed)
    return Trainer(Task(workload, None, workload.epochs, **task)).run(run)


def loop(function, **options):
    return tuning.training(**options)(function)


def test_a_function_becomes_a_workload():
    @tuning.training
    def descend(run):
        """Walk downhill.

        And nothing else.
        """

    assert isinstance(descend, LoopWorkload)
    assert (descend.name, descend.description) == ("descend", "Walk downhill.")
    named = tuning.training(descend.function, name="other", batch_sizes=(1,))
    assert (named.name, named.batch_sizes) == ("other", (1,))


def descend(run):
    """Gradient descent on w²/2, whose gradient is w."""
    weight = keras.Variable([1.0])
    run.optimizer.build([weight])
    run.report(0, loss=weight[0] ** 2 / 2)
    for step in range(1, 5):
        run.optimizer.apply([ops.convert_to_tensor(weight)], [weight])
        run.report(step, loss=weight[0] ** 2 / 2, weight=weight[0])


def test_a_loop_is_recorded_as_it_reports():
    record = train(loop(descend))
    weights = 0.75 ** np.arange(5)
    assert record.status == "ok", record.message
    assert (record.execution, record.objective) == ("loop", "loss")
    assert record.initial_loss == 0.5
    np.testing.assert_allclose(record.history["loss"], weights**2 / 2, rtol=1e-6)
    assert record.history["weight"][0] is None
    np.testing.assert_allclose(record.history["weight"][1:], weights[1:], rtol=1e-6)
    assert record.final_val_loss == record.best_val_loss == record.history["loss"][-1]
    assert record.val_metrics == {"weight": record.history["weight"][-1]}
    assert record.steps == 4
    assert record.training_curve == record.history["loss"][1:]
    assert record.steps_per_point == 1
    assert record.optimizer_config["learning_rate"] == 0.25
    assert record.seconds > 0


def test_a_run_says_what_it_is():
    seen = []

    def function(run):
        numbers = np.random.rand(), float(keras.random.uniform(()))
        seen.append((run.learning_rate, run.batch_size, run.seed, run.epochs, numbers))
        assert run.optimizer is run.optimizer
        assert float(run.make_optimizer(0.5).learning_rate) == 0.5
        run.report(1, loss=1.0)

    workload = loop(function, epochs=7)
    for seed in (3, 3, 4):
        assert train(workload, rate=0.1, seed=seed).status == "ok"
    assert seen[0][:4] == (0.1, 8, 3, 7)
    assert seen[0] == seen[1] != seen[2]


def test_validation_losses_are_judged_where_they_are_reported():
    def function(run):
        for step in range(1, 7):
            validation = {"val_loss": 10.0 - step} if step % 3 == 0 else {}
            run.report(10 * step, loss=float(step), **validation)

    record = train(loop(function))
    assert record.objective == "val_loss"
    # Training losses belong to the next validation.
    assert record.history == {"loss": [2.0, 5.0], "val_loss": [7.0, 4.0]}
    assert record.final_val_loss == 4.0
    assert record.steps == 60
    assert record.steps_per_point == 1
    assert record.training_curve == np.repeat(np.arange(1.0, 7), 10).tolist()


def test_many_reports_are_averaged():
    def function(run):
        for step in range(1, 1001):
            run.report(step, loss=1.0 / step)

    record = train(loop(function))
    assert len(record.history["loss"]) == 100
    first = np.mean(1.0 / np.arange(1, 11))
    assert record.history["loss"][0] == pytest.approx(first)
    assert record.initial_loss == 1.0
    assert record.steps == 1000
    assert len(record.training_curve) == 100


def test_a_target_is_counted_to():
    record = train(loop(descend, target_val_loss=0.2))
    assert record.steps_to_target == 2  # 0.75^4 / 2 = 0.16


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_function(value):
    after = []

    def function(run):
        run.report(0, loss=1.0)
        try:
            run.report(1, loss=value)
        except Exception:
            after.append("caught")
        after.append("went on")

    record = train(loop(function))
    assert record.status == "diverged"
    assert f"the training loss became {value}" in record.message
    assert record.final_val_loss is None
    assert not after


@pytest.mark.parametrize("objective", [None, "val_error"])
def test_a_loss_that_is_never_finite_diverges(objective):
    def function(run):
        run.report(0, loss=math.nan)

    record = train(loop(function, objective=objective))
    assert record.status == "diverged"
    assert record.initial_loss is None
    assert record.training_curve == []


def test_two_fits_in_one_function_are_reported_one_after_the_other():
    def function(run):
        x, y, _, _ = tiny_workload.load_data()
        model = tiny_workload.build_model()
        model.compile(run.optimizer, loss=tiny_workload.loss)
        for _ in range(2):
            model.fit(x, y, 25, 1, verbose=0, callbacks=run.callbacks)

    record = train(loop(function))
    assert record.status == "ok", record.message
    assert record.steps == 4


def test_a_fit_inside_the_function_reports_its_epochs():
    def function(run):
        x, y, x_val, y_val = tiny_workload.load_data()
        model = tiny_workload.build_model()
        model.compile(run.optimizer, loss=tiny_workload.loss, metrics=["accuracy"])
        validation = x_val, y_val
        model.fit(
            x,
            y,
            run.batch_size,
            run.epochs,
            verbose=0,
            validation_data=validation,
            callbacks=run.callbacks,
        )

    record = train(loop(function, epochs=3), "keras.Adam", rate=0.01, batch_size=25)
    assert record.status == "ok", record.message
    assert record.objective == "val_loss"
    assert len(record.history["val_accuracy"]) == 3
    assert record.steps == 6


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ([], "reported nothing"),
        ([(1, {"loss": 1.0}), (1, {"loss": 1.0})], "received 1 after 1"),
        ([(-1, {"loss": 1.0})], "grow from 0 on"),
        ([(1, {"loss": [1.0, 2.0]})], "needs a single number for 'loss'"),
        ([(1, {"loss": "low"})], "needs a single number for 'loss'"),
        ([(1, {"loss": 1.0, "reward": 2.0})], "reported ['loss', 'reward']"),
    ],
)
def test_what_is_reported_wrongly_fails_that_run(reports, message):
    def function(run):
        for step, values in reports:
            run.report(step, **values)

    record = train(loop(function, objective="val_cost"))
    assert record.status == "failed"
    assert message in record.message


def test_an_error_in_the_function_fails_that_run_alone():
    def function(run):
        if run.seed == 0:
            raise ZeroDivisionError("no luck")
        run.report(1, loss=1.0)

    workload = loop(function)
    assert "no luck" in train(workload, seed=0).message
    assert train(workload, seed=1).status == "ok"


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="above a function"):
        LoopWorkload(3, "three")
    with pytest.raises(ValueError, match="decides about its learning rate"):
        loop(descend, schedule="linear")
    with pytest.raises(ValueError, match="does not say whether less is better"):
        loop(descend, objective="fortune")


def test_the_decorator_stays_public_when_trainers_are_imported():
    import tuning.trainers.trainer

    assert callable(tuning.training)
    assert pickle.loads(pickle.dumps(loop(descend))) == loop(descend)
