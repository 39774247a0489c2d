"""What the constructor and ``search`` of a tuner take and refuse."""

import keras
import keras_tuner
import numpy as np
import pytest
from hyper_training import OwnFit, X, Y, build_model

from tuning import RobustnessTuner
from tuning.grid import Run
from tuning.kerastuner.search_arguments import CopiedCallbacks, SearchArguments
from tuning.kerastuner.tuner_arguments import NOT_HERE, fixed_values, judged_by

RUN = Run("keras.SGD", 16, 0.5, 0)


def of_call(*args, **kwargs):
    return SearchArguments.of_call(args, kwargs, is_of_fit=True)


@pytest.mark.parametrize("name", NOT_HERE)
def test_arguments_of_other_tuners_say_what_to_do(name):
    with pytest.raises(TypeError, match=f"no argument '{name}': "):
        RobustnessTuner(build_model, **{name: 3})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"progress": 3}, TypeError, "progress must be a function, True, False or"),
        ({"epochs": 3}, TypeError, "no argument 'epochs'; besides its own"),
        ({"checkpoints": -1}, ValueError, "checkpoints must be the number"),
        ({"objective": ["loss"]}, TypeError, "the name of one logged quantity"),
        ({"objective": "val_x"}, ValueError, r"keras_tuner.Objective\('val_x', 'min'"),
        ({"hyperparameters": 3}, TypeError, "a dictionary of values by name"),
    ],
)
def test_other_arguments_are_refused(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        RobustnessTuner(build_model, directory=tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("objective", "judged"),
    [
        (None, (None, None)),
        ("val_loss", ("val_loss", "min")),
        ("val_accuracy", ("val_accuracy", "max")),
        (keras_tuner.Objective("val_x", "max"), ("val_x", "max")),
    ],
)
def test_objectives(objective, judged):
    assert judged_by(objective)[1:] == judged


def test_values_of_kerastuners_own_hyperparameters():
    hp = keras_tuner.HyperParameters()
    hp.Fixed("units", 64)
    assert fixed_values(hp) == fixed_values({"units": 64}) == {"units": 64}


def test_hooks_that_are_never_called_are_refused():
    class Mine(RobustnessTuner):
        def run_trial(self, trial, *args, **kwargs):
            return 0.0

    with pytest.raises(TypeError, match="Mine overrides run_trial, which a sweep"):
        Mine(build_model)


def test_the_distributed_search_of_kerastuner_is_refused(monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(TypeError, match="give workers or engine='ray'"):
        RobustnessTuner(build_model)


def test_arguments_of_fit_by_position_and_name():
    given = of_call(X, Y, 16, 3, validation_split=0.2, class_weight={0: 1}, verbose=0)
    assert (given.batch_size, given.epochs, given.verbose) == (16, 3, 0)
    assert given.data == {"x": X, "y": Y}
    assert given.fit_options == {"validation_split": 0.2, "class_weight": {0: 1}}
    # Values that say nothing new may be given.
    assert of_call(X, Y, initial_epoch=0, validation_freq=1).fit_options == {}


def test_a_function_in_the_place_of_data_is_the_data_of_the_workload():
    def data():
        return {"x": X}

    assert of_call(data, epochs=2).data is data
    with pytest.raises(TypeError, match=r"received also \['y'\]"):
        assert of_call(data, Y).data


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, "it received no data"),
        ({"x": X, "epoch": 3}, TypeError, "unexpected keyword argument 'epoch'"),
        ({"x": iter([])}, TypeError, "a generator, which only one run can use"),
        ({"x": X, "initial_epoch": 2}, ValueError, "cannot take initial_epoch=2"),
        ({"x": X, "callbacks": [3]}, TypeError, "Keras callbacks; received int"),
    ],
)
def test_arguments_that_no_sweep_can_use_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        of_call(**arguments)


def test_callbacks_that_cannot_be_copied_are_refused():
    class Open(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.lines = (line for line in "ab")

    with pytest.raises(TypeError, match=r"Open cannot be copied .*callbacks=lambda"):
        of_call(X, Y, callbacks=[Open()])
    given = of_call(X, Y, callbacks=lambda: [Open()])
    assert isinstance(CopiedCallbacks(given.callbacks)(RUN)[0], Open)


def test_every_run_gets_copies_of_the_callbacks():
    original = keras.callbacks.EarlyStopping()
    board = keras.callbacks.TensorBoard("logs")
    make = CopiedCallbacks((original, board), (lambda run: run.run_id,))
    first, second = make(RUN), make(RUN)
    assert first[0] is not original
    assert first[0] is not second[0]
    assert first[1].log_dir == "logs/keras.SGD/batch=16/lr=0.5/seed=0"
    assert board.log_dir == "logs"
    assert first[2] == RUN.run_id


def test_a_fit_that_makes_its_batches_must_name_their_size(tmp_path):
    tuner = RobustnessTuner(OwnFit(), directory=tmp_path, learning_rate="lr")
    for arguments in ((), (np.zeros,)):
        with pytest.raises(ValueError, match="name it by batch_size='NAME'"):
            tuner.search(*arguments)
