"""Models of trainings by `fit`: all stays but the optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_workload
from fit_training import Pair, X, Y, build_model, dataset, make_workload, train

from tuning.grid import Run
from tuning.trainers.fit_model import ScaledSchedule, scaled_to
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's"
)


def test_shared_layers_without_weights_are_refused():
    backbone = keras.layers.Dense(8)

    def build():
        model = keras.Sequential([backbone, keras.layers.Dense(3)])
        model.compile("adam", loss=tiny_workload.loss)
        return model

    record = train(make_workload(build_model=build))
    assert record.status == "failed"
    assert "call its build(input_shape)" in record.message


def test_a_build_with_a_parameter_run_gets_the_run():
    seen = []

    def build(run=None):
        seen.append(run)
        return build_model()

    record = train(make_workload(build_model=build), batch_size=10, rate=0.05)
    assert record.status == "ok", record.message
    assert seen == [None, Run("keras.Adam", 10, 0.05, 1)]


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
