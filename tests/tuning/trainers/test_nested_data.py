"""Several inputs, outputs and weights of examples, in compiled epochs and in fit."""

import keras
import numpy as np
import pytest
import tiny_workload

from tuning import Data, WeightedData, Workload
from tuning.grid import Run
from tuning.sweep.fingerprint import fingerprint_data
from tuning.trainers.data_order import epoch_order
from tuning.trainers.task import Task
from tuning.trainers.trainer import Trainer
from tuning.workload import checked_metric_names, load_checked_data

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiled epochs are TensorFlow's"
)

X, Y, X_VAL, Y_VAL = tiny_workload.load_data()
WAYS = ("compiled-epochs", "model.fit")


def two_inputs(x):
    return {"left": x[:, :2], "right": [x[:, 2:3], x[:, 3:]]}


def two_outputs(y):
    return {"kind": y, "is_first": (y == 0).astype("float32")}


def load_nested():
    return Data(two_inputs(X), two_outputs(Y), two_inputs(X_VAL), two_outputs(Y_VAL))


def build_nested_model():
    inputs = {
        "left": keras.Input((2,), name="left"),
        "right": (keras.Input((1,)), keras.Input((1,))),
    }
    joined = keras.layers.Concatenate()([inputs["left"], *inputs["right"]])
    outputs = {
        "kind": keras.layers.Dense(3, activation="softmax", name="kind")(joined),
        "is_first": keras.layers.Dense(1, activation="sigmoid", name="is_first")(
            joined
        ),
    }
    return keras.Model(inputs, outputs)


LOSSES = {"kind": "sparse_categorical_crossentropy", "is_first": "binary_crossentropy"}
LOSS_WEIGHTS = {"kind": 1.0, "is_first": 0.25}


def make_nested_workload(**changes):
    plain = {
        "name": "nested",
        "build_model": build_nested_model,
        "load_data": load_nested,
        "loss": LOSSES,
        "loss_weights": LOSS_WEIGHTS,
        "metrics": lambda: {"kind": ["accuracy"], "is_first": "accuracy"},
        "epochs": 2,
    }
    return Workload(**{**plain, **changes})


def train(workload, execution, batch_size=16):
    data = load_checked_data(workload, [batch_size])
    task = Task(workload, data, workload.epochs, execution=execution)
    return Trainer(task).run(Run("keras.SGD", batch_size, 0.1, 1))


@pytest.mark.parametrize("way", WAYS)
def test_several_inputs_and_outputs_are_trained_as_by_keras(way):
    record = train(make_nested_workload(), way)
    assert record.status == "ok", record.message
    assert record.execution == way
    data = load_checked_data(make_nested_workload(), [16])
    keras.utils.set_random_seed(1)
    model = build_nested_model()
    model.compile(keras.optimizers.SGD(0.1), LOSSES, loss_weights=LOSS_WEIGHTS)
    before = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
    assert record.initial_loss == pytest.approx(before["loss"], rel=1e-5)
    losses = []
    for epoch in range(2):
        rows = epoch_order(50, 1, epoch)
        x, y = two_inputs(X[rows]), two_outputs(Y[rows])
        x["right"] = tuple(x["right"])
        model.fit(x, y, 16, shuffle=False, verbose=0)
        logs = model.evaluate(data.x_val, data.y_val, verbose=0, return_dict=True)
        losses.append(logs["loss"])
    np.testing.assert_allclose(record.history["val_loss"], losses, rtol=1e-5)
    assert {"val_kind_accuracy", "val_is_first_accuracy"} <= set(record.history)


def test_both_ways_are_the_same():
    fast, plain = (train(make_nested_workload(), way) for way in WAYS)
    for name, values in plain.history.items():
        np.testing.assert_allclose(fast.history[name], values, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_weights_of_examples_count(way):
    def weighted(weight, copies=1):
        weights = np.where(Y == 0, weight, 1.0)

        def load_data():
            # All in one batch, so that an example twice is one of twice the weight.
            return WeightedData(X, Y, weights, X_VAL, Y_VAL, np.ones(20))

        return tiny_workload.make_workload(load_data=load_data, metrics=list)

    one, none = train(weighted(1.0), way, 50), train(weighted(0.0), way, 50)
    plain = train(tiny_workload.make_workload(metrics=list), way, 50)
    np.testing.assert_allclose(
        one.history["val_loss"], plain.history["val_loss"], rtol=1e-5
    )
    without = tiny_workload.make_workload(
        load_data=lambda: Data(X[Y != 0], Y[Y != 0], X_VAL, Y_VAL), metrics=list
    )
    left_out = train(without, way, int((Y != 0).sum()))
    # Keras divides by the number of examples, whatever their weights.
    assert left_out.status == none.status == "ok"
    share = (Y != 0).mean()
    assert none.training_curve[0] == pytest.approx(
        share * left_out.training_curve[0], rel=1e-5
    )


def test_names_of_metrics_by_output():
    names = checked_metric_names(make_nested_workload())
    assert names == ["kind_accuracy", "is_first_accuracy"]


def test_nestings_have_fingerprints_of_their_own():
    def of(**changes):
        data = load_checked_data(make_nested_workload(), [1])
        return fingerprint_data(data._replace(**changes))

    x = load_checked_data(make_nested_workload(), [1]).x_train
    assert of() == of()
    renamed = {"links": x["left"], "right": x["right"]}
    changed = {**x, "left": x["left"] + 1}
    assert len({of(), of(x_train=renamed), of(x_train=changed)}) == 3


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ({"a": X, "b": X[:9]}, ValueError, "received x_train: 9 and 50, y_train: 50"),
        ({"a": X, "b": "text"}, TypeError, r"x_train\['b'\] is a str"),
        ({"a": (X, [1, None])}, TypeError, r"x_train\['a'\]\[1\]"),
        ({}, TypeError, "x_train is an empty dict"),
        ([X] * 9, TypeError, "a list of up to 8 arrays is taken for several inputs"),
        ({"a": np.full((50, 1), np.nan)}, ValueError, "x_train has NaN"),
    ],
)
def test_nestings_that_cannot_be_used_say_where(x, error, message):
    workload = make_nested_workload(
        load_data=lambda: (x, two_outputs(Y), two_inputs(X_VAL), two_outputs(Y_VAL))
    )
    with pytest.raises(error, match=message):
        load_checked_data(workload, [1])
