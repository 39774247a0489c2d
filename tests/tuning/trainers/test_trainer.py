import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_workload import WORKLOAD, build_model, load_data, make_workload
from training_by_keras import (
    EPOCHS,
    assert_same_history,
    fit_with_keras,
    make_trainer,
)

from tuning import Data
from tuning.grid import Run
from tuning.optimizer_names import EARLIER_NAMES
from tuning.trainers.compiled_epochs import CompiledEpochs
from tuning.trainers.data_order import epoch_order, evaluation_batch
from tuning.trainers.optimizers import build_optimizer
from tuning.trainers.task import Task
from tuning.trainers.training_log import losses_of_steps
from tuning.trainers.way import open_way

NAMES = list(EARLIER_NAMES.values())

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiled epochs are TensorFlow's"
)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_epochs_train_as_model_fit_does(name):
    run = Run(name, 16, 0.03, seed=1)
    record = make_trainer(execution="compiled-epochs").run(run)
    assert record.execution == "compiled-epochs"
    assert_same_history(
        record, fit_with_keras(WORKLOAD, run, build_optimizer(name, 0.03))
    )


def test_compiled_epochs_stay_with_a_compiled_fit_where_rounding_is_amplified():
    """At such a rate two ways of rounding part within a few epochs."""
    run = Run("keras.RMSprop", 16, 0.3, seed=0)
    record = make_trainer(execution="compiled-epochs", epochs=15).run(run)
    optimizer = build_optimizer("keras.RMSprop", 0.3)
    expected = fit_with_keras(WORKLOAD, run, optimizer, epochs=15, jit_compile=True)
    assert_same_history(record, expected)


def test_the_plain_path_trains_as_model_fit_does():
    run = Run("keras.SGD(momentum=0.9)", 16, 0.03, seed=1)
    record = make_trainer(execution="model.fit").run(run)
    assert record.execution == "model.fit"
    assert_same_history(
        record,
        fit_with_keras(WORKLOAD, run, build_optimizer("keras.SGD(momentum=0.9)", 0.03)),
    )


def build_noisy_model():
    return keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3),
        ]
    )


def test_dropout_and_batch_normalization_agree_with_a_compiled_fit():
    """TensorFlow draws other random numbers inside XLA, so fit is compiled too."""
    workload = make_workload(build_model=build_noisy_model)
    trainer = make_trainer(workload, execution="compiled-epochs")
    trainer.run(Run("keras_adam.Adam", 16, 0.1, seed=0))  # leaves its traces everywhere
    run = Run("keras_adam.Adam", 16, 0.03, seed=1)
    expected = fit_with_keras(
        workload, run, build_optimizer("keras_adam.Adam", 0.03), jit_compile=True
    )
    assert_same_history(trainer.run(run), expected)


@pytest.mark.parametrize("name", ["keras.Adagrad", "keras_adam.Adam"])
def test_a_run_does_not_depend_on_the_runs_before_it(name):
    trainer = make_trainer(make_workload(build_model=build_noisy_model))
    run = Run(name, 16, 0.03, seed=1)
    first = trainer.run(run)
    trainer.run(Run(name, 16, 30.0, seed=0))
    trainer.run(Run(name, 50, 0.03, seed=1))
    again = trainer.run(run)
    assert again.history == first.history
    assert again.initial_loss == first.initial_loss


def test_one_trace_per_optimizer_serves_every_batch_size():
    trainer = make_trainer()
    for batch_size in (16, 50, 7):
        for rate in (0.1, 0.01):
            for seed in (0, 1):
                trainer.run(Run("keras.SGD", batch_size, rate, seed))
    sgd = "keras.SGD"
    assert trainer.traces == {(sgd, 16): 1, (sgd, 50): 0, (sgd, 7): 0}


def test_a_batch_size_that_comes_again_is_not_compiled_again(monkeypatch):
    compiled = []
    compile_training = CompiledEpochs._compiled_training

    def counted(group, batch_size):
        compiled.append(batch_size)
        return compile_training(group, batch_size)

    monkeypatch.setattr(CompiledEpochs, "_compiled_training", counted)
    trainer = make_trainer()
    first, _, again = (
        trainer.run(Run("keras.SGD", batch_size, 0.1, 1)) for batch_size in (16, 25, 16)
    )
    assert compiled == [16, 25]
    assert again.history == first.history


class KnowsItsBatch(keras.Model):
    """Takes its batch apart, which needs a size that is known when it is traced."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(3)

    def call(self, inputs):
        return self.inner(tf.stack([inputs[i] for i in range(inputs.shape[0])]))


def test_a_model_that_must_know_its_batch_size_is_traced_for_each():
    trainer = make_trainer(make_workload(build_model=KnowsItsBatch))
    runs = [Run("keras.SGD", batch_size, 0.1, 1) for batch_size in (16, 25, 50)]
    records = [trainer.run(run) for run in runs]
    assert {record.execution for record in records} == {"compiled-epochs"}
    assert all(trainer.traces[run.optimizer, run.batch_size] for run in runs)

    def build():
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

    plain = make_workload(build_model=build)
    for run, record in zip(runs, records, strict=True):
        assert_same_history(
            record, fit_with_keras(plain, run, build_optimizer("keras.SGD", 0.1))
        )


def load_with_validation_of(examples):
    def load():
        data = load_data()
        many = np.random.default_rng(3).choice(len(data.x_val), examples)
        return data._replace(x_val=data.x_val[many], y_val=data.y_val[many])

    return load


@pytest.mark.parametrize("examples", [1, 256, 257, 300, 1024])
def test_validation_does_not_depend_on_its_batches(examples):
    workload = make_workload(load_data=load_with_validation_of(examples))
    run = Run("keras.SGD", 16, 0.1, 1)
    optimizer = build_optimizer("keras.SGD", 0.1)
    expected = fit_with_keras(workload, run, optimizer, epochs=1)
    for execution in ("compiled-epochs", "model.fit"):
        record = make_trainer(workload, execution=execution, epochs=1).run(run)
        assert_same_history(record, expected)


def test_validation_steps_are_equal_where_few_more_make_them_so():
    found = {n: evaluation_batch(n) for n in (1, 256, 257, 300, 360, 1025, 10_000)}
    assert found == {
        1: 1,
        256: 256,
        257: 256,  # a prime: 256 + 1
        300: 150,
        360: 180,
        1025: 205,  # 5 steps
        10_000: 250,  # 40 steps
    }


@pytest.mark.parametrize("name", NAMES)
def test_built_in_optimizers_share_their_trace_between_rates(name):
    trainer = make_trainer(epochs=1)
    for rate in (0.1, 0.01):
        trainer.run(Run(name, 50, rate, 0))
    assert trainer.traces == {(name, 50): 1}


def losses_step_by_step(run, epochs):
    """The loss of each batch before its step, by a loop of TensorFlow's own."""
    keras.utils.set_random_seed(run.seed)
    model, optimizer = build_model(), build_optimizer(run.optimizer, run.learning_rate)
    x, y, _, _ = load_data()
    losses = []
    for epoch in range(epochs):
        order = epoch_order(len(x), run.seed, epoch)
        for start in range(0, len(x), run.batch_size):
            rows = order[start : start + run.batch_size]
            with tf.GradientTape() as tape:
                logits = model(x[rows].astype("float32"), training=True)
                loss = tf.reduce_mean(WORKLOAD.loss(y[rows], logits))
            losses.append(float(loss))
            gradients = tape.gradient(loss, model.trainable_weights)
            optimizer.apply(gradients, model.trainable_weights)
    return losses


@pytest.mark.parametrize("execution", ["compiled-epochs", "model.fit"])
def test_a_record_tells_the_training_loss_of_every_step(execution):
    # 50 examples: three full steps and one of 2
    run = Run("keras.SGD", 16, 0.1, seed=1)
    record = make_trainer(execution=execution).run(run)
    assert record.steps_per_point == 1
    expected = losses_step_by_step(run, EPOCHS)
    assert len(expected) == record.steps == 12
    np.testing.assert_allclose(record.training_curve, expected, rtol=1e-4)


def test_a_long_curve_is_a_hundred_means_over_equally_many_steps():
    run = Run("keras.SGD", 8, 0.1, seed=0)
    record = make_trainer(epochs=40).run(run)  # 7 steps an epoch, 280 in all
    assert record.steps_per_point == 3
    assert len(record.training_curve) == 94
    steps = np.array(losses_step_by_step(run, 40))
    expected = [steps[i : i + 3].mean() for i in range(0, 280, 3)]
    np.testing.assert_allclose(record.training_curve, expected, rtol=1e-3)


@pytest.mark.parametrize("execution", ["compiled-epochs", "model.fit"])
def test_the_curve_of_a_diverged_run_ends_with_it(execution):
    run = Run("keras.SGD", 16, 1e30, seed=0)
    record = make_trainer(execution=execution, epochs=9).run(run)
    assert record.status == "diverged"
    assert len(record.training_curve) == record.steps < 36
    assert record.training_curve[0] is not None
    assert record.training_curve[-1] is None


def test_losses_of_steps_are_taken_out_of_running_means():
    # Losses 4, 1 and 9 of 4, 4 and 1 examples: means 4, 2.5 and 29 / 9.
    found = losses_of_steps([4.0, 2.5, 29 / 9], batch_size=4, examples=9)
    np.testing.assert_allclose(found, [4.0, 1.0, 9.0])
    found = losses_of_steps([4.0, np.inf, np.inf], batch_size=4, examples=9)
    np.testing.assert_array_equal(found, [4.0, np.inf, np.nan])


def test_a_record_tells_what_was_run():
    workload = make_workload(target_val_loss=1e9)
    record = make_trainer(workload).run(Run("keras_adam.Adam", 16, 0.01, seed=3))
    assert record.run_id == "keras_adam.Adam/batch=16/lr=0.01/seed=3"
    assert record.workload == "tiny"
    assert record.optimizer_config["learning_rate"] == pytest.approx(0.01)
    assert (record.epochs, record.steps, record.steps_to_target) == (3, 12, 4)
    assert record.initial_loss is not None
    assert record.best_val_loss == min(record.history["val_loss"])
    assert record.final_val_loss == record.history["val_loss"][-1]
    assert record.val_metrics == {"accuracy": record.history["val_accuracy"][-1]}
    assert 0 < record.seconds_per_step * record.steps <= record.seconds
    assert record.versions["keras"] == keras.__version__
    assert record == type(record).from_json(record.to_json())


@pytest.mark.parametrize(
    ("name", "bytes_per_parameter"),
    [
        ("keras.SGD", 0),
        ("keras.SGD(momentum=0.9)", 4),
        ("keras.Adam", 8),
        ("keras_adam.Adam", 8),
    ],
)
@pytest.mark.parametrize("execution", ["compiled-epochs", "model.fit"])
def test_state_bytes_leave_step_count_and_rate_out(
    name, bytes_per_parameter, execution
):
    record = make_trainer(execution=execution, epochs=1).run(Run(name, 50, 0.01, 0))
    parameters = 4 * 8 + 8 + 8 * 3 + 3
    assert record.state_bytes == bytes_per_parameter * parameters


def squared_error(y_true, y_pred):
    wanted = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), 3)
    return keras.ops.mean(keras.ops.square(y_pred - wanted), axis=-1)


@pytest.mark.parametrize("execution", ["compiled-epochs", "model.fit"])
def test_a_diverged_run_is_a_result(execution):
    workload = make_workload(loss=squared_error, metrics=list)
    trainer = make_trainer(workload, execution=execution, epochs=50)
    record = trainer.run(Run("keras.SGD", 16, 1e9, seed=0))
    assert record.status == "diverged", record.message
    assert "loss became" in record.message
    epochs_run = len(record.history["loss"])
    assert epochs_run < 50
    assert record.steps == 4 * epochs_run
    assert record.final_val_loss is None
    assert None in (record.history["loss"][-1], record.history["val_loss"][-1])
    assert trainer.run(Run("keras.SGD", 16, 1e-3, seed=0)).status == "ok"


def test_a_failing_model_is_a_record_with_one_line(caplog):
    def build():
        raise RuntimeError("no model\ntoday")

    trainer = make_trainer(make_workload(build_model=build))
    records = [trainer.run(Run("keras.SGD", 16, rate, 0)) for rate in (0.1, 0.2)]
    told = "RuntimeError: no model today"
    assert [(r.status, r.message) for r in records] == [("failed", told)] * 2
    assert list(trainer.tracebacks) == [told]
    assert "in build" in trainer.tracebacks[told]
    assert "model.fit" not in caplog.text  # not to blame, and not tried


def test_a_failed_run_does_not_spoil_the_next():
    def own(learning_rate):
        if learning_rate > 0.1:
            raise RuntimeError("too fast")
        return keras.optimizers.SGD(learning_rate)

    trainer = make_trainer(custom={"own": own})
    outcomes = [trainer.run(Run("own", 16, rate, 0)).status for rate in (0.1, 1, 0.1)]
    assert outcomes == ["ok", "failed", "ok"]


class LooksAtNumbers(keras.layers.Layer):
    """Runs Python code on the values, which no compiler can."""

    def call(self, inputs):
        doubled = tf.numpy_function(lambda x: 2 * x, [inputs], tf.float32)
        return inputs + 0.0 * tf.ensure_shape(doubled, inputs.shape)


def build_uncompilable_model():
    return keras.Sequential([LooksAtNumbers(), keras.layers.Dense(3)])


def test_a_model_that_cannot_be_compiled_is_trained_with_fit_and_says_so(caplog):
    workload = make_workload(build_model=build_uncompilable_model)
    trainer = make_trainer(workload, epochs=1)
    with caplog.at_level(logging.WARNING, logger="tuning"):
        records = [trainer.run(Run("keras.SGD", 16, rate, 0)) for rate in (0.1, 0.2)]
    assert [record.execution for record in records] == ["model.fit"] * 2
    assert [record.message for record in records] == [""] * 2
    assert caplog.text.count("is trained with model.fit") == 1


def test_insisting_on_compiled_epochs_fails_where_they_cannot_be():
    workload = make_workload(build_model=build_uncompilable_model)
    record = make_trainer(workload, execution="compiled-epochs").run(
        Run("keras.SGD", 16, 0.1, 0)
    )
    assert record.status == "failed"
    assert "cannot be compiled" in record.message


def build_convnet():
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((4,)),
            layers.Reshape((4, 1)),
            layers.Conv1D(3, 3, padding="same", activation="relu"),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("name", ["keras.Adam", "keras_adam.Adam"])
def test_convolutions_on_a_cpu_are_trained_without_xla_as_fit_does(name):
    workload = make_workload(build_model=build_convnet)
    trainer = make_trainer(workload, execution="compiled-epochs")
    trainer.run(Run(name, 50, 0.1, seed=0))
    run = Run(name, 16, 0.03, seed=1)
    record = trainer.run(run)
    assert record.execution == "graph-epochs", record.message
    by_fit = make_trainer(workload, execution="model.fit").run(run)
    assert record.history["val_loss"] == pytest.approx(by_fit.history["val_loss"], 1e-5)
    assert trainer.run(run).history == record.history


class UnownedNoise(keras.layers.Layer):
    """Draws from the global random numbers, which no run can reset."""

    def call(self, inputs, training=False):
        return inputs + keras.random.normal((4,)) if training else inputs


def test_random_numbers_that_belong_to_nobody_are_left_to_fit(caplog):
    def build():
        return keras.Sequential(
            [keras.layers.Input((4,)), UnownedNoise(), keras.layers.Dense(3)]
        )

    trainer = make_trainer(make_workload(build_model=build))
    record = trainer.run(Run("keras.SGD", 16, 0.1, 0))
    assert (record.status, record.execution, record.message) == ("ok", "model.fit", "")
    assert "keras.random.SeedGenerator" in caplog.text


class TensorFlowNoise(keras.layers.Layer):
    """Draws random numbers that TensorFlow counts behind everybody's back."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def call(self, inputs, training=False):
        return inputs + self.draw(tf.shape(inputs)) if training else inputs


@pytest.mark.parametrize(
    "draw",
    [
        tf.random.normal,
        tf.random.uniform,
        # Inside the body of a function, which the graph keeps in its library.
        lambda shape: tf.while_loop(
            lambda noise: tf.reduce_sum(noise) < 0,
            lambda noise: [tf.random.truncated_normal(tf.shape(noise))],
            [tf.zeros(shape)],
        )[0],
    ],
    ids=["normal", "uniform", "in a loop"],
)
def test_random_numbers_of_tensorflow_are_left_to_fit(draw, caplog):
    def build():
        return keras.Sequential(
            [keras.layers.Input((4,)), TensorFlowNoise(draw), keras.layers.Dense(3)]
        )

    trainer = make_trainer(make_workload(build_model=build), epochs=1)
    records = [trainer.run(Run("keras.SGD", 16, 0.1, 0)) for _ in range(2)]
    assert [r.execution for r in records] == ["model.fit"] * 2, records[0].message
    assert records[0].history == records[1].history
    assert "tf.random does" in caplog.text


@pytest.mark.parametrize("kind", ["O", "U", "S"])
@pytest.mark.parametrize("execution", ["auto", "model.fit"])
def test_texts_are_trained_with_fit(kind, execution):
    """Compiled, they would end the process; Keras takes them as tensors alone."""
    texts = np.array(["good day", "bad night"] * 20).astype(kind)
    y = np.array([0, 1] * 20, "int32")

    def build():
        words = keras.layers.TextVectorization(
            vocabulary=["good", "bad", "day", "night"], output_sequence_length=2
        )
        layers = [keras.layers.Embedding(6, 4), keras.layers.Flatten()]
        inputs = keras.layers.Input((), dtype="string")
        return keras.Sequential([inputs, words, *layers, keras.layers.Dense(3)])

    workload = make_workload(
        build_model=build, load_data=lambda: Data(texts, y, texts[:6], y[:6])
    )
    run = Run("keras_adam.Adam", 16, 0.1, 0)
    record = make_trainer(workload, epochs=5, execution=execution).run(run)
    assert (record.status, record.execution) == ("ok", "model.fit"), record.message
    assert record.final_val_loss < 0.5 * record.initial_loss


class OwnStep(keras.Model):
    """Reports a loss that no metric tracks."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(3)

    def call(self, inputs):
        return self.inner(inputs)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss, "last_batch": tf.shape(x)[0]}


def test_the_model_s_own_train_step_is_what_runs():
    workload = make_workload(build_model=OwnStep, metrics=list)
    run = Run("keras.SGD", 16, 0.1, seed=1)
    record = make_trainer(workload, execution="compiled-epochs").run(run)
    assert record.history["last_batch"] == [2.0] * EPOCHS  # 50 = 3 * 16 + 2
    assert_same_history(
        record, fit_with_keras(workload, run, build_optimizer("keras.SGD", 0.1))
    )


def test_a_step_without_a_loss_is_told():
    class NoLoss(OwnStep):
        def train_step(self, data):
            return {"steps": tf.constant(1.0)}

    trainer = make_trainer(make_workload(build_model=NoLoss))
    record = trainer.run(Run("keras.SGD", 16, 0.1, 0))
    assert record.status == "failed"
    assert "needs the value 'loss'" in record.message


def test_schedules_and_options_that_follow_the_rate_are_not_shared():
    def with_schedule(learning_rate):
        return keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(learning_rate, 10)
        )

    def with_decay(learning_rate):
        return keras.optimizers.SGD(learning_rate, weight_decay=learning_rate)

    own = {"schedule": with_schedule, "decay": with_decay}
    trainer = make_trainer(custom=own, execution="compiled-epochs")
    for name, factory in own.items():
        for rate in (0.3, 0.03):
            run = Run(name, 16, rate, seed=1)
            assert_same_history(
                trainer.run(run), fit_with_keras(WORKLOAD, run, factory(rate))
            )


class ShrinksWithTheRate(keras.optimizers.SGD):
    """Keeps a number made of the rate, which its configuration does not tell."""

    def __init__(self, learning_rate, **options):
        super().__init__(learning_rate, **options)
        self.shrink = 1 - learning_rate

    def update_step(self, gradient, variable, learning_rate):
        variable.assign(variable * self.shrink - learning_rate * gradient)


class ShrinksByATable(ShrinksWithTheRate):
    """Keeps it where no look at plain attributes finds it."""

    def __init__(self, learning_rate, **options):
        super().__init__(learning_rate, **options)
        self.table, self.shrink = np.array([self.shrink]), None

    def update_step(self, gradient, variable, learning_rate):
        shrink = float(self.table[0])
        variable.assign(variable * shrink - learning_rate * gradient)


class TellsLess(ShrinksWithTheRate):
    """Has a configuration of its own, without that number."""

    def get_config(self):
        return {**super().get_config(), "kind": "shrinks"}


@pytest.mark.parametrize("kind", [ShrinksWithTheRate, ShrinksByATable, TellsLess])
def test_what_an_optimizer_makes_of_its_rate_is_not_shared(kind):
    trainer = make_trainer(custom={"own": kind}, execution="compiled-epochs")
    for rate in (0.3, 0.03):
        run = Run("own", 16, rate, seed=1)
        assert_same_history(trainer.run(run), fit_with_keras(WORKLOAD, run, kind(rate)))


@pytest.fixture
def half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("half_precision")
def test_loss_scaling_starts_anew_with_every_run():
    trainer = make_trainer(execution="compiled-epochs")
    run = Run("keras.Adam", 16, 0.03, seed=1)
    first, other, again = (
        trainer.run(r) for r in (run, Run("keras.Adam", 16, 0.3, 0), run)
    )
    assert (first.status, other.status) == ("ok", "ok")
    assert first.history == again.history
    expected = fit_with_keras(WORKLOAD, run, build_optimizer("keras.Adam", 0.03))
    # Half precision: XLA keeps intermediate values in float32 where fit rounds.
    np.testing.assert_allclose(first.history["loss"], expected["loss"], rtol=1e-2)


@pytest.mark.filterwarnings("ignore:.*does not apply to tf.data functions")
def test_tensorflow_told_to_run_eagerly_is_obeyed(caplog):
    tf.config.run_functions_eagerly(True)
    try:
        record = make_trainer(epochs=1).run(Run("keras.SGD", 50, 0.1, 0))
    finally:
        tf.config.run_functions_eagerly(False)
    assert (record.status, record.execution, record.message) == ("ok", "model.fit", "")
    assert "run_functions_eagerly" in caplog.text


def test_a_workload_may_say_how_its_runs_are_executed(caplog):
    workload = make_workload(execution="model.fit")
    run = Run("keras.SGD", 50, 0.1, 0)
    assert make_trainer(workload, epochs=1).run(run).execution == "model.fit"
    assert "model.fit" not in caplog.text  # wanted so, and no news
    insisting = make_trainer(workload, epochs=1, execution="compiled-epochs")
    assert insisting.run(run).execution == "compiled-epochs"
    with pytest.raises(ValueError, match="execution of workload 'tiny' must be one of"):
        make_workload(execution="fast")


def test_an_unknown_execution_is_refused():
    with pytest.raises(ValueError, match="execution must be one of"):
        make_trainer(execution="fast")


def test_the_order_of_the_data_depends_on_seed_and_epoch():
    orders = {
        tuple(epoch_order(20, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_data_are_trained_on_in_keras_s_float_type():
    assert load_data().x_train.dtype == np.float64
    assert build_model().compute_dtype == "float32"
    way = open_way(Task(WORKLOAD, load_data(), EPOCHS))
    assert way.data.x_train.dtype == np.float32
