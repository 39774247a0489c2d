import subprocess
import sys

import keras
import numpy as np
import pandas
import pytest
import scipy.sparse
import tiny_workload

from tuning.optimizer_names import SWEPT_BY_DEFAULT
from tuning.optimizer_options import parse_options
from tuning.references import resolve_reference
from tuning.trainers.optimizers import build_optimizer, check_optimizers
from tuning.workload import checked_metric_names, load_checked_data
from tuning.workloads import digits, find_workload


def test_data_come_back_as_arrays():
    data = load_checked_data(tiny_workload.WORKLOAD, [16])
    assert [len(array) for array in data] == [50, 50, 20, 20]


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match=r"batch sizes \[64\].*50 training"):
        load_checked_data(tiny_workload.WORKLOAD, [16, 64])


@pytest.mark.parametrize(
    ("load_data", "error", "message"),
    [
        (lambda: (np.ones((3, 1)), np.ones(3)), TypeError, "must return"),
        (
            lambda: (np.ones((3, 1)), np.ones(2), np.ones(1), np.ones(1)),
            ValueError,
            "as many",
        ),
        (
            lambda: (np.ones((0, 1)), np.ones(0), np.ones(1), np.ones(1)),
            ValueError,
            "at least one",
        ),
    ],
    ids=["two arrays", "lengths differ", "empty"],
)
def test_unusable_data_are_refused(load_data, error, message):
    with pytest.raises(error, match=message):
        load_checked_data(tiny_workload.make_workload(load_data=load_data), [1])


A = np.ones((3, 1))


class DataLoader:
    """Looks like torch's."""

    def __iter__(self):
        return iter([(A, A)])


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return A, A


def dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(A)


def ragged_tensor():
    import tensorflow as tf

    return tf.ragged.constant([[1.0], [1.0, 2.0], [3.0]])


NAN = np.array([[1.0], [np.nan], [np.nan]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (dataset, r"x_train is a tf\.data\.Dataset: .*arrays for now.*np\.stack"),
        (Batches, r"x_train is a Batches: .*arrays for now.*np\.concatenate"),
        (DataLoader, r"x_train is a DataLoader: .*arrays for now"),
        (lambda: (row for row in A), r"x_train is a generator: .*arrays for now"),
        (lambda: iter(A), "arrays for now"),
        (lambda: [A] * 9, r"x_train is a list of 9: .*np\.stack"),
        (lambda: [[1.0], [1.0, 2.0], [3.0]], "must have one shape"),
        (ragged_tensor, "must have one shape"),
        (
            lambda: np.array([[1.0], [1.0, 2.0], [3.0]], dtype=object),
            "x_train is an array of examples of different shapes",
        ),
        (lambda: np.array([1, None, 3], dtype=object), r"Python objects \(int\)"),
        (
            lambda: pandas.DataFrame({"a": [1, 2, 3], "city": ["x", "y", "z"]}),
            r"x_train is a DataFrame with columns that are not numbers, \['city'\]",
        ),
        (lambda: scipy.sparse.csr_matrix(A), "x_train is a csr_matrix: .*toarray"),
        (lambda: np.array(["2020-01-01"] * 3, "datetime64"), "turn them into numbers"),
        (lambda: np.ma.masked_equal([[1], [2], [1]], 1), "2 masked values.*filled"),
        (lambda: None, "x_train is None: return a NumPy array"),
        (lambda: "x.npy", "x_train is a str: return a NumPy array"),
        (lambda: 3.0, "x_train is a float: return a NumPy array"),
        (lambda: NAN, "x_train has NaN in 2 of 3 examples.*number 1"),
        (lambda: A[:2], "received x_train: 2, y_train: 3"),
        (lambda: A[:0], "received x_train: 0, y_train: 3"),
    ],
)
def test_what_no_model_can_be_trained_on_is_told_in_one_line(x, message):
    workload = tiny_workload.make_workload(load_data=lambda: (x(), A, A, A))
    with pytest.raises((TypeError, ValueError), match=message) as told:
        load_checked_data(workload, [1])
    assert "\n" not in str(told.value)
    assert "workload 'tiny'" in str(told.value)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (dataset, r"returned a tf\.data\.Dataset: .*arrays for now"),
        (lambda: ((A, A), (A, A)), "returned a tuple of 2: .*not two pairs"),
        (lambda: (dataset(), dataset()), "returned a tuple of 2: .*arrays for now"),
        (lambda: (A, A, A), r"returned a tuple of 3\."),
        (lambda: None, r"returned None\."),
        (lambda: {"x_train": A}, "returned a dict"),
        (lambda: A, "returned a ndarray"),
    ],
)
def test_what_is_not_four_arrays_is_told(loaded, message):
    workload = tiny_workload.make_workload(load_data=loaded)
    with pytest.raises(TypeError, match=message):
        load_checked_data(workload, [1])


@pytest.mark.parametrize(
    "x",
    [
        lambda: pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1, 2, 3]}),
        lambda: [[1.0], [2.0], [3.0]],
        lambda: np.array(["good", "bad", b"text"], dtype=object),
        lambda: keras.ops.ones((3, 1)),
        lambda: np.ma.masked_equal([[1], [2], [1]], 9),
        lambda: np.array([[1.0], [np.inf], [2.0]]),
        lambda: np.ones((3, 1), bool),
    ],
)
def test_what_becomes_an_array_is_taken(x):
    workload = tiny_workload.make_workload(load_data=lambda: (x(), A, A, A))
    data = load_checked_data(workload, [1])
    assert isinstance(data.x_train, np.ndarray)
    assert len(data.x_train) == 3


def test_targets_may_be_missing_where_the_loss_is_the_user_s_own():
    own = tiny_workload.make_workload(load_data=lambda: (A, NAN, A, A))
    assert load_checked_data(own, [1]).y_train is NAN
    for loss in ("mse", keras.losses.Huber(), keras.losses.mean_absolute_error):
        workload = tiny_workload.make_workload(
            load_data=lambda: (A, A, A, NAN), loss=loss
        )
        with pytest.raises(ValueError, match="y_val has NaN in 2 of 3 examples"):
            load_checked_data(workload, [1])


@pytest.mark.parametrize("error", [TypeError("no len()"), KeyError("x"), OSError("no")])
def test_an_error_of_load_data_is_told_with_its_place(error):
    def load_data():
        raise error

    with pytest.raises(ValueError, match="load_data of workload 'tiny' failed") as told:
        load_checked_data(tiny_workload.make_workload(load_data=load_data), [1])
    assert type(error).__name__ in str(told.value)
    assert "test_workload.py, line " in str(told.value)
    assert told.value.__cause__ is error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("WORKLOAD = {}['x']", r"KeyError: 'x' \(.*broken_task\.py, line 1\)"),
        ("import sys; sys.exit('usage')", "SystemExit: usage"),
        ("def WORKLOAD(): return 1 / 0", r"ZeroDivisionError.*broken_task\.py, line 1"),
        ("WORKLOAD = (", r"SyntaxError.*broken_task\.py"),
    ],
    ids=["error", "exit", "factory", "syntax"],
)
def test_a_workload_that_cannot_be_imported_is_told(
    tmp_path, monkeypatch, body, message
):
    (tmp_path / "broken_task.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_task", raising=False)
    with pytest.raises(ValueError, match=message):
        find_workload("broken_task:WORKLOAD")


def test_a_package_of_the_same_name_is_hinted_at():
    with pytest.raises(ValueError, match="is this lab's own"):
        find_workload("tuning.my_task:WORKLOAD")


def test_a_metric_named_like_the_loss_is_refused():
    metrics = lambda: ["accuracy", keras.metrics.Mean(name="error")]  # noqa: E731
    named = tiny_workload.make_workload(metrics=metrics)
    assert checked_metric_names(named) == ["accuracy", "error"]
    metrics = lambda: [keras.metrics.Mean(name="loss")]  # noqa: E731
    with pytest.raises(ValueError, match="a metric named 'loss'"):
        checked_metric_names(tiny_workload.make_workload(metrics=metrics))


@pytest.mark.parametrize("reference", ["digits", "a:b:c", ":b", "a:"])
def test_a_reference_of_another_form_is_refused(reference):
    with pytest.raises(ValueError, match=r"package\.module:attribute"):
        resolve_reference(reference, "workload")


@pytest.mark.parametrize("reference", ["no_such_module:x", "tiny_workload:nothing"])
def test_a_reference_to_nothing_is_refused(reference):
    with pytest.raises(ValueError, match="cannot be imported"):
        find_workload(reference)


def test_workloads_are_found_by_name_by_reference_and_by_function():
    assert find_workload("digits") is digits.WORKLOAD
    assert find_workload("tiny_workload:WORKLOAD") is tiny_workload.WORKLOAD
    assert find_workload("tiny_workload:make_workload").name == "tiny"


def test_what_is_no_workload_is_refused():
    with pytest.raises(ValueError, match="received int"):
        find_workload("tiny_workload:NOT_A_WORKLOAD")
    with pytest.raises(ValueError, match="unknown workload 'mnist'; use digits"):
        find_workload("mnist")


def test_digits_are_split_the_same_way_every_time():
    first, second = digits.load_data(), digits.load_data()
    assert [len(array) for array in first] == [1437, 1437, 360, 360]
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert first.x_train.dtype == np.float32
    assert 0 <= first.x_train.min() < first.x_train.max() == 1
    shares = np.bincount(first.y_val) / 360 - np.bincount(first.y_train) / 1437
    assert np.abs(shares).max() < 0.01


def test_a_method_of_a_class_may_be_an_optimizer_s_home():
    found = build_optimizer("tiny_workload:Factory.sgd", 0.25)
    assert float(found.learning_rate) == 0.25


def test_a_sweep_compares_ours_and_keras_s_own_by_default():
    ours = {"keras_adam.Adam", "keras_adam.Adam.robust"}
    keras_s = {"keras.Adam", "keras.AdamW", "keras.RMSprop", "keras.Adagrad"}
    assert set(SWEPT_BY_DEFAULT) == ours | keras_s | {"keras.SGD(momentum=0.9)"}


@pytest.mark.parametrize("name", [*SWEPT_BY_DEFAULT, "keras.Lion", "keras_adam.AdamW"])
def test_every_optimizer_takes_the_rate(name):
    assert float(build_optimizer(name, 0.25).learning_rate) == 0.25


def test_an_optimizer_may_be_given_by_reference_or_by_the_caller():
    by_reference = build_optimizer("keras.optimizers:Nadam", 0.1, {"beta_1": 0.8})
    assert by_reference.beta_1 == 0.8

    def slow(learning_rate):
        return build_optimizer("keras.SGD", learning_rate / 2)

    own = {"slow": slow}
    assert float(build_optimizer("slow", 0.5, custom=own).learning_rate) == 0.25


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamm", {}, "unknown optimizers.*keras.Adam"),
        ("keras.SGD", {"beta_2": 0.9}, "cannot be made.*beta_2"),
        ("keras.SGD(momentum=0.9)", {"momentum": 0.5}, "says what momentum is"),
        ("keras.Adm", {}, "does not exist; keras.optimizers has Adadelta.*Adam, "),
        ("adam", {}, "Names have changed: adam is keras_adam.Adam now"),
        ("tiny_workload:broken_optimizer", {}, "no optimizer for"),
        ("tiny_workload:NOT_A_WORKLOAD", {}, "a class or a function"),
        ("tiny_workload:make_workload", {}, "cannot be made"),
        ("builtins:dict", {}, "must return a keras.optimizers.Optimizer.*dict"),
    ],
)
def test_an_unusable_optimizer_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(name, 0.1, options)


def test_every_optimizer_of_a_grid_is_checked():
    from sweep_values import make_grid

    check_optimizers(make_grid())
    with pytest.raises(ValueError, match="cannot be made"):
        check_optimizers(make_grid(options={"keras_adam.Adam": {"no_such_option": 1}}))


def test_a_factory_must_make_a_new_optimizer_each_time():
    from sweep_values import make_grid

    only = build_optimizer("keras.SGD", 0.1)
    own = {"same": lambda learning_rate: only}
    with pytest.raises(ValueError, match="must return a new optimizer each time"):
        check_optimizers(make_grid(optimizers=("same",)), own)


def test_a_factory_that_raises_anything_is_told():
    from sweep_values import make_grid

    with pytest.raises(ValueError, match="cannot be made: RuntimeError: too fast"):
        check_optimizers(
            make_grid(optimizers=("stops",)), {"stops": tiny_workload.StopsEarly}
        )


def test_options_are_read_as_json_then_python_then_text():
    assert parse_options(
        [
            "keras_adam.Adam.beta_2=0.99",
            "keras_adam.Adam.amsgrad=True",
            "keras.SGD(momentum=0.9).nesterov=true",
            "a.b:c.d=x=y",
        ]
    ).fixed == {
        "keras_adam.Adam": {"beta_2": 0.99, "amsgrad": True},
        "keras.SGD(momentum=0.9)": {"nesterov": True},
        "a.b:c": {"d": "x=y"},
    }


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["beta_2=0.9"], "optimizer.option=value"),
        (["keras_adam.Adam.beta_2"], "optimizer.option=value"),
        ([".x=1"], "optimizer.option=value"),
        (["a.x=1", "a.x=2"], "set twice"),
    ],
)
def test_an_option_of_another_form_is_refused(assignments, message):
    with pytest.raises(ValueError, match=message):
        parse_options(assignments)


def test_importing_the_lab_imports_no_tensorflow():
    code = (
        "import sys, tuning, tuning.cli.app; tuning.Grid; tuning.write_report;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    import tuning

    assert all(getattr(tuning, name) is not None for name in tuning.__all__)
    assert set(tuning.__all__) <= set(dir(tuning))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tuning.no_such_name
