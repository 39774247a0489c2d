"""Workloads that are trained by `model.fit`: what is judged, counted, refused."""

import math

import keras
import numpy as np
import pytest
import tiny_workload
from fit_training import (
    ARRAYS,
    X_VAL,
    Y_VAL,
    X,
    Y,
    build_model,
    dataset,
    make_workload,
    train,
    train_and_count,
)

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's"
)


def test_a_run_trains_as_the_script_does():
    record = train(make_workload())
    keras.utils.set_random_seed(1)
    model = build_model()
    model.compile(
        keras.optimizers.Adam(0.03), loss=tiny_workload.loss, metrics=["accuracy"]
    )
    keras.utils.set_random_seed(1)
    expected = model.fit(**ARRAYS, batch_size=16, epochs=2, verbose=0).history
    assert record.status == "ok", record.message
    assert record.execution == "model.fit"
    assert record.objective == "val_loss"
    assert set(record.history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(record.history[name], values, rtol=1e-5)
    assert record.final_val_loss == record.history["val_loss"][-1]
    assert record.val_metrics == {"accuracy": record.history["val_accuracy"][-1]}
    assert record.steps == 2 * math.ceil(50 / 16)
    assert record.optimizer_config["learning_rate"] == pytest.approx(0.03)
    assert record.state_bytes == 2 * 4 * model.count_params()


def test_the_loss_before_the_first_step_is_that_of_the_validation_data():
    record = train(make_workload())
    keras.utils.set_random_seed(1)
    loss = build_model().evaluate(X_VAL, Y_VAL, verbose=0)[0]
    assert record.initial_loss == pytest.approx(loss, rel=1e-5)


def test_without_validation_data_the_training_loss_is_judged():
    record = train(make_workload(data={"x": X, "y": Y}))
    assert record.status == "ok", record.message
    assert record.objective == "loss"
    assert record.final_val_loss == record.history["loss"][-1]
    # The loss of the first batch, before the first step.
    assert record.initial_loss == pytest.approx(record.training_curve[0], rel=1e-4)


def test_several_steps_in_one_execution_are_counted_as_steps():
    def build():
        return build_model(steps_per_execution=2)

    record = train(make_workload(build_model=build))
    alone = train(make_workload())
    assert record.status == "ok", record.message
    assert record.steps == alone.steps == 8
    assert len(record.training_curve) == 8
    np.testing.assert_allclose(
        record.history["val_loss"], alone.history["val_loss"], rtol=1e-5
    )
    mean_of_two = np.mean(alone.training_curve[:2])
    assert record.training_curve[0] == pytest.approx(mean_of_two, rel=1e-4)


def test_data_that_end_within_an_execution_are_counted_by_the_optimizer():
    def build():
        return build_model(steps_per_execution=3)

    workload = make_workload(build_model=build, data=lambda: dataset().batch(16))
    record = train(workload)
    assert record.status == "ok", record.message
    assert record.steps == 8  # 2 epochs of 4 steps, in executions of 3 and 1
    assert len(record.training_curve) == 8


def test_a_train_step_that_logs_no_loss_is_judged_by_what_it_logs():
    class Silent(keras.Model):
        def train_step(self, data):
            return {"cost": super().train_step(data)["loss"]}

    def build():
        inputs = keras.Input((4,))
        model = Silent(inputs, keras.layers.Dense(3)(inputs))
        model.compile("sgd", loss=tiny_workload.loss)
        return model

    silent = make_workload(build_model=build, data={"x": X, "y": Y}, objective="cost")
    record = train(silent)
    assert record.status == "ok", record.message
    assert record.final_val_loss == record.history["cost"][-1]
    assert record.training_curve == []


def test_metrics_of_several_numbers_are_left_out():
    class PerClass(keras.metrics.Mean):
        def result(self):
            return keras.ops.stack([super().result()] * 3)

        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_pred)

    record = train(make_workload(build_model=lambda: build_model(metrics=[PerClass()])))
    assert record.status == "ok", record.message
    assert set(record.history) == {"loss", "val_loss"}


def test_an_objective_of_the_training_starts_with_the_first_batch():
    def build():
        metric = keras.metrics.SparseCategoricalCrossentropy("nats", from_logits=True)
        return build_model(metrics=[metric])

    record = train(make_workload(build_model=build, objective="nats"))
    assert record.status == "ok", record.message
    assert record.initial_loss == pytest.approx(record.training_curve[0], rel=1e-4)
    assert record.final_val_loss == record.history["nats"][-1]


def test_the_objective_may_be_any_quantity_that_is_logged():
    def build():
        metric = keras.metrics.SparseCategoricalCrossentropy("nats", from_logits=True)
        return build_model(metrics=[metric])

    record = train(make_workload(build_model=build, objective="val_nats"))
    assert record.status == "ok", record.message
    assert record.objective == "val_nats"
    assert record.final_val_loss == record.history["val_nats"][-1]
    assert record.initial_loss is not None


def test_an_objective_that_rises_is_judged_by_its_negative():
    record = train(
        make_workload(objective="val_accuracy", target_val_loss=0.1, epochs=3)
    )
    assert record.status == "ok", record.message
    accuracies = record.history["val_accuracy"]
    assert (record.objective, record.direction) == ("val_accuracy", "max")
    assert record.final_val_loss == -accuracies[-1]
    assert record.best_val_loss == -max(accuracies)
    assert -1 <= record.initial_loss <= 0
    assert record.steps_to_target == record.steps // 3  # reached in the first epoch
    assert set(record.val_metrics) == {"loss"}
    never = make_workload(objective="val_accuracy", target_val_loss=1.1)
    assert train(never).steps_to_target is None


def test_an_objective_that_is_not_logged_is_an_error_that_lists_what_is():
    record = train(make_workload(objective="val_f1"))
    assert record.status == "failed"
    assert "needs the value 'f1'" in record.message
    assert "['accuracy', 'loss']" in record.message


def test_max_steps_ends_a_run():
    record, steps = train_and_count(make_workload(max_steps=6, epochs=5))
    assert record.status == "ok", record.message
    assert steps == record.steps == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"build_model": tiny_workload.build_model}, "must return a compiled model"),
        ({"build_model": lambda: 3}, "must return a keras.Model; it returned int"),
        ({"build_model": lambda make: build_model()}, "does not call it"),
        ({"data": [X, Y, X_VAL]}, "must be a dictionary of fit's arguments"),
        ({"data": (X, Y)}, "must be a dictionary of fit's arguments"),
        ({"data": {"x": X, "y": Y, "epochs": 3}}, "must not have 'epochs'"),
        ({"data": {"x": X[:9], "y": Y[:9]}}, "larger than the 9 training examples"),
        ({"data": lambda: iter(())}, "returns a new generator"),
    ],
)
def test_what_cannot_be_trained_says_what_to_do(changes, message):
    record = train(make_workload(**changes))
    assert record.status == "failed"
    assert message in record.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"build_model": None}, "build_model of workload 'tiny' must be a function"),
        ({"fit_options": {"verbose": 2}}, "must not have 'verbose'"),
        ({"max_steps": 0}, "max_steps of workload 'tiny' must be a positive integer"),
        ({"max_steps": True}, "received True"),
        ({"schedule": "cosine"}, "schedule must be one of"),
        ({"objective": "val_score"}, "does not say whether less is better"),
        ({"objective": "val_score", "direction": "up"}, "must be 'min' or 'max'"),
    ],
)
def test_invalid_fields_are_refused(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make_workload(**changes)


def test_a_linear_schedule_lowers_the_learning_rate():
    rates = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    workload = make_workload(schedule="linear", callbacks=lambda: [Watch()], epochs=4)
    assert train(workload, rate=0.4).status == "ok"
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_a_loss_that_is_not_finite_ends_the_run():
    record = train(make_workload(epochs=5), "keras.SGD", rate=1e30)
    assert record.status == "diverged"
    assert record.final_val_loss is None
    assert len(record.history["loss"]) < 5
