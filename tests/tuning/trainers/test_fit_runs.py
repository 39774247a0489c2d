"""Workloads that are trained by `model.fit`, with whatever it takes."""

import dataclasses
import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_workload

from tuning import FitWorkload
from tuning.grid import Run
from tuning.trainers.fit_model import ScaledSchedule, scaled_to
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's"
)

X, Y, X_VAL, Y_VAL = tiny_workload.load_data()
ARRAYS = {"x": X, "y": Y, "validation_data": (X_VAL, Y_VAL)}


def build_model(optimizer="sgd", **compile_options):
    model = tiny_workload.build_model()
    compiled = {"loss": tiny_workload.loss, "metrics": ["accuracy"], **compile_options}
    model.compile(optimizer, **compiled)
    return model


def make_workload(**changes):
    plain = {"name": "tiny", "build_model": build_model, "data": ARRAYS, "epochs": 2}
    return FitWorkload(**{**plain, **changes})


def train(workload, optimizer="keras.Adam", batch_size=16, rate=0.03, seed=1, **task):
    run = Run(optimizer, batch_size, rate, seed)
    return Trainer(Task(workload, None, workload.epochs, **task)).run(run)


def dataset(x=X, y=Y):
    return tf.data.Dataset.from_tensor_slices((x, y))


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1


def train_and_count(workload, **run):
    """The record of a run, and the steps that Keras took in it."""
    steps = Steps()
    counted = dataclasses.replace(workload, callbacks=lambda: [steps])
    return train(counted, **run), steps.count


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


def test_the_same_seed_gives_the_same_run():
    workload = make_workload(
        data=lambda: (dataset().shuffle(50).batch(10), dataset(X_VAL, Y_VAL).batch(20))
    )
    first, second, other = (train(workload, seed=seed) for seed in (1, 1, 2))
    assert first.history == second.history
    assert first.history != other.history


@pytest.mark.parametrize(
    "data",
    [
        ARRAYS,
        lambda: ARRAYS,
        (dataset(), dataset(X_VAL, Y_VAL)),
        (dataset().batch(7), dataset(X_VAL, Y_VAL).batch(20)),
        lambda: (dataset().batch(7).prefetch(1), dataset(X_VAL, Y_VAL).batch(20)),
        lambda batch_size: (dataset().batch(batch_size), dataset(X_VAL, Y_VAL)),
        {"x": dataset().batch(16), "validation_data": (X_VAL, Y_VAL)},
    ],
)
def test_batches_have_the_size_of_the_run(data):
    record, steps = train_and_count(make_workload(data=data, epochs=1))
    assert record.status == "ok", record.message
    assert steps == record.steps == math.ceil(50 / 16)


def test_a_dataset_that_drops_the_last_batch_still_does():
    data = {"x": dataset().batch(7, drop_remainder=True)}
    _, steps = train_and_count(make_workload(data=data, epochs=1), batch_size=16)
    assert steps == 3  # 49 examples are left of 50


def test_datasets_of_dictionaries_are_batched_by_the_models_inputs():
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((2,), name="b")}

    def build():
        joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
        model = keras.Model(inputs, keras.layers.Dense(3)(joined))
        model.compile("adam", loss=tiny_workload.loss)
        return model

    # Targets are vectors: by themselves they would look like batches.
    rows = dataset({"a": X[:, :2], "b": X[:, 2:]}, Y[:, None])
    for data in (rows, rows.batch(5)):
        workload = make_workload(build_model=build, data=data, epochs=1)
        record, steps = train_and_count(workload, batch_size=10)
        assert record.status == "ok", record.message
        assert steps == 5


def test_columns_of_scalars_are_batched_too():
    def build():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)])
        model.compile("adam", loss=tiny_workload.loss)
        return model

    columns = dataset(X[:, 0], Y), dataset(X[:, :1], Y[:, None])
    for rows in (*columns, columns[0].batch(5), columns[1].batch(5)):
        workload = make_workload(build_model=build, data=rows, epochs=1)
        record, steps = train_and_count(workload, batch_size=10)
        assert record.status == "ok", record.message
        assert steps == 5


def test_without_validation_data_the_training_loss_is_judged():
    record = train(make_workload(data={"x": X, "y": Y}))
    assert record.status == "ok", record.message
    assert record.objective == "loss"
    assert record.final_val_loss == record.history["loss"][-1]
    # The loss of the first batch, before the first step.
    assert record.initial_loss == pytest.approx(record.training_curve[0], rel=1e-4)


def test_a_share_of_the_data_validates():
    split = make_workload(data={"x": X, "y": Y, "validation_split": 0.2})
    apart = make_workload(
        data={"x": X[:40], "y": Y[:40], "validation_data": (X[40:], Y[40:])}
    )
    one, other = train(split), train(apart)
    assert one.status == "ok", one.message
    assert one.history == other.history
    assert one.initial_loss == other.initial_loss is not None


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


def test_the_weights_that_early_stopping_restores_are_judged():
    def stop():
        return [keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)]

    record = train(make_workload(callbacks=stop, epochs=9), rate=3.0)
    losses = record.history["val_loss"]
    assert record.status == "ok", record.message
    assert record.final_val_loss == min(losses) < losses[-1]


def test_callbacks_may_know_their_run():
    runs = []

    def make(run):
        runs.append(run.run_id)
        return []

    assert train(make_workload(callbacks=make)).run_id == runs[0]


def test_a_backup_of_another_run_is_never_restored(tmp_path):
    def back_up():
        return [keras.callbacks.BackupAndRestore(tmp_path / "backup")]

    record = train(make_workload(callbacks=back_up))
    assert "goes on by itself" in record.message


def test_a_callback_that_sets_the_learning_rate_is_told_of():
    def schedule():
        return [keras.callbacks.LearningRateScheduler(lambda epoch: 0.5)]

    record = train(make_workload(callbacks=schedule))
    assert record.status == "failed"
    assert (
        "sets the learning rate to 0.5, but that of the run is 0.03" in record.message
    )
    lowered = [keras.callbacks.ReduceLROnPlateau(patience=1)]
    assert train(make_workload(callbacks=lambda: lowered)).status == "ok"


def test_a_generator_serves_one_run_and_one_epoch():
    def batches():
        return ((X[i : i + 10], Y[i : i + 10]) for i in range(0, 50, 10))

    def validation():
        yield X_VAL, Y_VAL

    def data():
        return {"x": batches(), "validation_data": validation(), "validation_steps": 1}

    record = train(make_workload(data=data, epochs=1), batch_size=10)
    assert record.status == "ok", record.message
    assert record.steps == 5
    assert record.initial_loss > record.final_val_loss
    record = train(make_workload(data=data, epochs=2), batch_size=10)
    assert "the generator ended after 5 steps" in record.message
    record = train(make_workload(data={"x": batches()}), batch_size=10)
    assert "make data a function that returns a new one" in record.message


def test_images_without_channels_are_batched():
    images = np.zeros((50, 5, 5), "float32")

    def build():
        model = keras.Sequential(
            [keras.Input((5, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        )
        model.compile("adam", loss=tiny_workload.loss)
        return model

    for rows in (dataset(images), dataset(images[..., None])):
        data = rows.batch(5) if rows.element_spec[0].shape.rank == 2 else rows
        workload = make_workload(build_model=build, data=data, epochs=1)
        record, steps = train_and_count(workload, batch_size=10)
        assert record.status == "ok", record.message
        assert steps == 5


def test_shared_layers_without_weights_are_refused():
    backbone = keras.layers.Dense(8)

    def build():
        model = keras.Sequential([backbone, keras.layers.Dense(3)])
        model.compile("adam", loss=tiny_workload.loss)
        return model

    record = train(make_workload(build_model=build))
    assert record.status == "failed"
    assert "call its build(input_shape)" in record.message


def test_a_train_step_with_other_optimizers_alone_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = keras.layers.Dense(3)
            self.own = keras.optimizers.SGD(0.1)

        def call(self, x):
            return self.net(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tiny_workload.loss(y, self(x)))
            weights = self.net.trainable_variables
            self.own.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    def build():
        model = Own()
        model.compile("sgd", loss=tiny_workload.loss)
        return model

    record = train(make_workload(build_model=build, data={"x": X, "y": Y}))
    assert record.status == "failed"
    assert "the run's optimizer took no step" in record.message


def test_a_model_that_was_loaded_with_its_optimizer_can_be_swept(tmp_path):
    model = build_model(loss="mse", metrics=[])
    model.fit(X, X[:, :3], verbose=0)
    model.save(tmp_path / "model.keras")

    def build():
        return keras.models.load_model(tmp_path / "model.keras")

    workload = make_workload(build_model=build, data={"x": X, "y": X[:, :3]})
    record = train(workload)
    assert record.status == "ok", record.message
    assert record.history == train(workload).history


def test_every_optimizer_of_a_model_follows_the_schedule_of_the_sweep():
    made = []

    def build(make_optimizer):
        made[:] = [make_optimizer(), make_optimizer(0.001)]
        model = Pair(made[1])
        model.compile(made[0], loss=tiny_workload.loss)
        return model

    data = {"x": X, "y": Y}
    record = train(make_workload(build_model=build, data=data, schedule="linear"))
    assert record.status == "ok", record.message
    rates = [float(optimizer.learning_rate) for optimizer in made]
    assert rates == pytest.approx([0.03 / 2, 0.001 / 2])


def test_an_optimizer_that_cannot_take_a_schedule_says_so():
    def build():
        return build_model(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1, 9))
        )

    def doubled(learning_rate):
        return keras.optimizers.SGD(2 * learning_rate)

    record = train(make_workload(build_model=build), custom={"keras.Adam": doubled})
    assert record.status == "failed"
    assert "cannot be made with learning_rate=ScaledSchedule" in record.message


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


def test_an_objective_that_is_not_logged_is_an_error_that_lists_what_is():
    record = train(make_workload(objective="val_f1"))
    assert record.status == "failed"
    assert "needs the value 'f1'" in record.message
    assert "['accuracy', 'loss']" in record.message


def test_callbacks_may_end_a_run():
    def stop():
        return [keras.callbacks.EarlyStopping(start_from_epoch=1, patience=0)]

    # At this learning rate the third epoch is worse than the second.
    record = train(make_workload(callbacks=stop, epochs=9), rate=3.0)
    losses = record.history["val_loss"]
    assert record.status == "ok", record.message
    assert len(losses) < 9
    assert losses[-1] > losses[-2]
    assert record.epochs == 9


def test_callbacks_must_be_new():
    shared = [keras.callbacks.EarlyStopping()]
    with pytest.raises(TypeError, match="must be a function"):
        make_workload(callbacks=shared)
    workload = make_workload(callbacks=lambda: shared)
    trainer = Trainer(Task(workload, None, 2))
    first, second = (trainer.run(Run("keras.SGD", 16, 0.1, seed)) for seed in (0, 1))
    assert first.status == "ok"
    assert second.status == "failed"
    assert "must return new callbacks" in second.message


def test_steps_per_epoch_cuts_epochs_of_any_data():
    for data in (dataset().batch(5), dataset().repeat().batch(5)):
        workload = make_workload(data=data, fit_options={"steps_per_epoch": 3})
        record, steps = train_and_count(workload, batch_size=25)
        assert record.status == "ok", record.message
        assert steps == record.steps == 6


def test_max_steps_ends_a_run():
    record, steps = train_and_count(make_workload(max_steps=6, epochs=5))
    assert record.status == "ok", record.message
    assert steps == record.steps == 6


def test_data_that_end_early_fail_the_run():
    def generator():
        return itertools.islice(itertools.repeat((X[:10], Y[:10])), 5)

    workload = make_workload(data=generator, fit_options={"steps_per_epoch": 4})
    record = train(workload, batch_size=10)
    assert record.status == "failed"
    assert "ended after 1 of 4 steps in epoch 2" in record.message


class Batches(keras.utils.PyDataset):
    def __init__(self, batch_size):
        super().__init__()
        self._size = batch_size

    def __len__(self):
        return 50 // self._size

    def __getitem__(self, index):
        rows = slice(index * self._size, (index + 1) * self._size)
        return X[rows], Y[rows]


def test_batches_that_cannot_be_cut_anew_need_the_right_size():
    workload = make_workload(data=lambda: Batches(10))
    assert train(workload, batch_size=10).status == "ok"
    record = train(workload, batch_size=25)
    assert record.status == "failed"
    assert "a parameter batch_size" in record.message
    record = train(make_workload(data=Batches))
    assert record.status == "ok", record.message


def test_the_models_train_step_loss_weights_and_class_weights_stay():
    class Doubled(keras.Model):
        def compute_loss(self, *arguments, **options):
            return 2 * super().compute_loss(*arguments, **options)

    def build(kind):
        inputs = keras.Input((4,))
        model = kind(inputs, keras.layers.Dense(3)(inputs))
        model.compile("sgd", loss=tiny_workload.loss)
        return model

    def run(kind=keras.Model, rate=0.1, **options):
        workload = make_workload(build_model=lambda: build(kind), **options)
        return train(workload, "keras.SGD", rate=rate)

    # Half of the learning rate and twice the loss are the same training.
    one, two = run(rate=0.1), run(Doubled, rate=0.05)
    np.testing.assert_allclose(
        two.history["val_loss"], 2 * np.array(one.history["val_loss"]), rtol=1e-4
    )
    weighted = run(fit_options={"class_weight": {0: 2.0, 1: 2.0, 2: 2.0}}, rate=0.05)
    np.testing.assert_allclose(
        weighted.history["val_loss"], one.history["val_loss"], rtol=1e-4
    )


def test_frozen_layers_stay_frozen_and_shared_layers_start_anew():
    backbone = keras.layers.Dense(8)
    backbone.build((None, 4))
    start = backbone.kernel.numpy()

    def build():
        frozen = keras.layers.Dense(8, trainable=False, name="frozen")
        model = keras.Sequential(
            [keras.Input((4,)), backbone, frozen, keras.layers.Dense(3)]
        )
        model.compile("adam", loss=tiny_workload.loss)
        return model

    workload = make_workload(build_model=build)
    first, second = train(workload), train(workload)
    assert first.history == second.history
    np.testing.assert_array_equal(backbone.kernel.numpy(), start)
    trainable = 4 * 8 + 8 + 8 * 3 + 3
    assert first.state_bytes == 2 * 4 * trainable


def test_a_loss_scale_optimizer_stays():
    def build():
        sgd = keras.optimizers.SGD()
        return build_model(keras.optimizers.LossScaleOptimizer(sgd))

    record = train(make_workload(build_model=build))
    assert record.status == "ok", record.message
    assert record.optimizer_config["name"].startswith("adam")


def test_a_schedule_is_scaled_as_a_whole():
    def schedule():
        return keras.optimizers.schedules.CosineDecay(
            0.0, 10, warmup_target=0.5, warmup_steps=5
        )

    scaled = scaled_to(schedule(), 0.02, 20)
    for step in range(20):
        expected = float(schedule()(step)) * 0.02 / 0.5
        assert float(scaled(step)) == pytest.approx(expected, rel=1e-5)
    copy = ScaledSchedule.from_config(scaled.get_config())
    assert float(copy(7)) == float(scaled(7))
    rates = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    def build():
        return build_model(keras.optimizers.Adam(schedule()))

    workload = make_workload(
        build_model=build,
        callbacks=lambda: [Watch()],
        epochs=2,
        fit_options={"steps_per_epoch": 5},
        data=dataset().batch(10),
    )
    record = train(workload, rate=0.02, batch_size=10)
    assert record.status == "ok", record.message
    np.testing.assert_allclose(rates, [float(scaled(i)) for i in range(10)], rtol=1e-4)


def test_a_schedule_without_a_positive_value_is_refused():
    zero = keras.optimizers.schedules.PiecewiseConstantDecay([5], [0.0, 0.0])
    with pytest.raises(ValueError, match="must be positive and finite"):
        scaled_to(zero, 0.1, 10)


class Pair(keras.Model):
    """Two nets, each with an optimizer of its own."""

    def __init__(self, second):
        super().__init__()
        self.nets = keras.layers.Dense(3), keras.layers.Dense(3)
        self.second = second

    def call(self, x):
        return self.nets[0](x) + self.nets[1](x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(tiny_workload.loss(y, self(x)))
        for net, optimizer in zip(
            self.nets, (self.optimizer, self.second), strict=True
        ):
            weights = net.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def test_a_model_with_several_optimizers_asks_for_each():
    made = []

    def build(make_optimizer):
        made[:] = [make_optimizer(), make_optimizer(0.001)]
        model = Pair(made[1])
        model.compile(made[0], loss=tiny_workload.loss)
        return model

    record = train(make_workload(build_model=build, data={"x": X, "y": Y}))
    assert record.status == "ok", record.message
    rates = [float(optimizer.learning_rate) for optimizer in made]
    assert rates == pytest.approx([0.03, 0.001])
    assert all(int(optimizer.iterations) == record.steps for optimizer in made)
    assert record.state_bytes == 2 * 2 * 4 * (4 * 3 + 3)
    # A train_step that returns the loss of the step, not a mean over the epoch.
    assert record.history["loss"][0] == pytest.approx(
        np.mean(record.training_curve[:4])
    )


def test_an_optimizer_that_was_used_before_is_refused():
    outside = keras.optimizers.SGD(0.1)

    def build():
        model = Pair(outside)
        model.compile("sgd", loss=tiny_workload.loss)
        return model

    trainer = Trainer(Task(make_workload(build_model=build), None, 1))
    first, second = (trainer.run(Run("keras.SGD", 16, 0.1, seed)) for seed in (0, 1))
    assert first.status == "ok", first.message
    assert second.status == "failed"
    assert "make a new optimizer inside build_model" in second.message


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
        ({"objective": "val_accuracy"}, "such as 1 - accuracy"),
        ({"objective": "kind_auc"}, "grows as training gets better"),
    ],
)
def test_invalid_fields_are_refused(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make_workload(**changes)


@pytest.mark.parametrize(
    "objective", ["lost_reward", "val_mae", "negative_auc", "loss"]
)
def test_falling_objectives_are_allowed(objective):
    assert make_workload(objective=objective).objective == objective


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
