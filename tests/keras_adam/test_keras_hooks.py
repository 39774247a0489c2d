"""The private parts of Keras that the optimizer stands on are still there.

Keras may move them in any release. When one of these fails, read what took its place
before changing the name: the behaviour around it may have changed as well.
"""

import inspect

import keras
import numpy as np
import pytest

import keras_adam

BASE = keras.optimizers.Optimizer


def test_the_overridden_hook_is_what_apply_calls():
    called = []

    class Spy(keras.optimizers.SGD):
        def _backend_apply_gradients(self, grads, trainable_variables):
            called.append((len(grads), len(trainable_variables)))

    variable = keras.Variable(np.ones(2, "float32"))
    optimizer = Spy(0.1)
    optimizer.apply([keras.ops.ones((2,))], [variable])
    assert called == [(1, 1)]
    assert list(inspect.signature(BASE._backend_apply_gradients).parameters) == [
        "self",
        "grads",
        "trainable_variables",
    ]


def test_nothing_but_that_and_tensorflows_view_of_children_is_overridden():
    own = {
        name
        for cls in keras_adam.Adam.__mro__[: keras_adam.Adam.__mro__.index(BASE)]
        for name in vars(cls)
        if name.startswith("_") and not name.startswith("__")
    }
    inherited = {name for name in own if hasattr(BASE, name)}
    on_tensorflow = keras.backend.backend() == "tensorflow"
    assert inherited - {"_tf_api_names", "_api_export_path"} == {
        "_backend_apply_gradients",
        *(("_trackable_children",) if on_tensorflow else ()),
    }


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_get_variable_index", ["self", "variable"]),
        ("_var_key", ["self", "variable"]),
        ("_use_weight_decay", ["self", "variable"]),
        ("_overwrite_variable_with_gradient", ["self", "variable"]),
        ("_track_variable", ["self", "variable"]),
    ],
)
def test_what_is_called_takes_what_it_took(name, parameters):
    assert list(inspect.signature(getattr(BASE, name)).parameters) == parameters


@pytest.mark.parametrize(
    "name",
    [
        "_initialize_with_initializer",
        "_direct_assign",
        *(
            ("_serialize_to_tensors", "_restore_from_tensors")
            if keras.backend.backend() == "tensorflow"
            else ()
        ),
    ],
)
def test_what_a_view_of_a_pack_overrides_exists(name):
    assert callable(getattr(keras.Variable, name))


def test_the_attributes_that_are_read_exist():
    optimizer = keras.optimizers.Adam(
        amsgrad=True, use_ema=True, gradient_accumulation_steps=2
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([keras.Variable(np.ones(2, "float32"))])
    for name in (
        "_iterations",
        "_learning_rate",
        "_trainable_variables",
        "_momentums",
        "_velocities",
        "_velocity_hats",
        "_accumulated_gradients",
        "_model_variables_moving_average",
        "_exclude_from_weight_decay",
    ):
        assert hasattr(optimizer, name), name
