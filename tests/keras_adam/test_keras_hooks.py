"""The private parts of Keras and TensorFlow that the optimizer stands on are there.

Either may move them in any release. When one of these tests fails, read what took its
place before changing the name: the behaviour around it may have changed as well.
"""

import ast
import inspect
import re

import keras
import numpy as np
import pytest
from places import REPOSITORY

import keras_adam

BASE = keras.optimizers.Optimizer
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

# Methods of Keras's optimizers that `Adam` overrides, with their parameters.
OVERRIDDEN = {
    "_backend_apply_gradients": ["self", "grads", "trainable_variables"],
    **(
        {"_trackable_children": ["self", "save_type", "kwargs"]}
        if ON_TENSORFLOW
        else {}
    ),
}

CALLED = {
    "_get_variable_index": ["self", "variable"],
    "_var_key": ["self", "variable"],
    "_use_weight_decay": ["self", "variable"],
    "_overwrite_variable_with_gradient": ["self", "variable"],
    "_track_variable": ["self", "variable"],
    "_get_current_learning_rate": ["self"],
    "_check_variables_are_known": ["self", "variables"],
}
"""Methods of Keras's optimizers that are called, with their parameters."""

READ = (
    "_iterations",
    "_learning_rate",
    "_trainable_variables",
    "_momentums",
    "_velocities",
    "_velocity_hats",
    "_accumulated_gradients",
    "_model_variables_moving_average",
    "_exclude_from_weight_decay",
)
"""Attributes of Keras's Adam that are read, or by which checkpoints know variables."""

OF_VARIABLES = (
    "_shape",
    "_dtype",
    "_initialize_with_initializer",
    "_direct_assign",
    *(
        ("_serialize_to_tensors", "_restore_from_tensors", "_shared_name")
        if ON_TENSORFLOW
        else ()
    ),
)
"""Of ``keras.Variable``: what the view of a pack overrides or reads."""

OF_TENSORFLOW = (
    "tf.__internal__.EagerTensor",
    "tf.__internal__.FuncGraph",
    "tf.__internal__.execute_fn_for_device",
    "tf.__internal__.distribute.interim.maybe_merge_call",
    "tf.raw_ops.ResourceGather",
    "tf.raw_ops.ResourceScatterUpdate",
    "tf.raw_ops.DisableCopyOnRead",
    "tf.distribute.DistributedValues",
)
"""Parts of TensorFlow that its documentation leaves out, or shows for experts alone."""


def test_the_overridden_hook_is_what_apply_calls():
    called = []

    class Spy(keras.optimizers.SGD):
        def _backend_apply_gradients(self, grads, trainable_variables):
            called.append((len(grads), len(trainable_variables)))

    variable = keras.Variable(np.ones(2, "float32"))
    optimizer = Spy(0.1)
    optimizer.apply([keras.ops.ones((2,))], [variable])
    assert called == [(1, 1)]


def test_nothing_is_overridden_that_is_not_listed():
    own = {
        name
        for cls in keras_adam.Adam.__mro__[: keras_adam.Adam.__mro__.index(BASE)]
        for name in vars(cls)
        if name.startswith("_") and not name.startswith("__")
    }
    inherited = {name for name in own if hasattr(BASE, name)}
    assert inherited - {"_tf_api_names", "_api_export_path"} == set(OVERRIDDEN)


def test_one_class_derives_from_keras():
    assert keras_adam.Adam.__mro__[1] is BASE


@pytest.mark.parametrize(("name", "parameters"), (OVERRIDDEN | CALLED).items())
def test_a_method_takes_what_it_took(name, parameters):
    assert list(inspect.signature(getattr(BASE, name)).parameters) == parameters


@pytest.mark.parametrize("name", OF_VARIABLES)
def test_what_a_view_of_a_pack_overrides_or_reads_exists(name):
    assert hasattr(keras.Variable(np.ones(2, "float32")), name)


@pytest.mark.parametrize("name", READ)
def test_an_attribute_exists(name):
    optimizer = keras.optimizers.Adam(
        amsgrad=True, use_ema=True, gradient_accumulation_steps=2
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([keras.Variable(np.ones(2, "float32"))])
    assert hasattr(optimizer, name)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", OF_TENSORFLOW)
def test_tensorflow_has(name):
    import tensorflow as tf

    found = tf
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    assert callable(found)


@pytest.mark.tensorflow_only
def test_a_graph_lists_its_captures():
    """As pairs of a tensor outside and its placeholder within."""
    import tensorflow as tf

    outside = tf.constant(1.0)
    with tf.__internal__.FuncGraph("graph").as_default() as graph:
        inside = tf.identity(outside)
    ((captured, placeholder),) = graph.captures
    assert captured is outside
    assert inside.op.inputs[0] is placeholder


def test_every_private_name_in_use_is_listed():
    """A private attribute that the package reads and does not define stands above."""
    sources = sorted((REPOSITORY / "keras_adam").rglob("*.py"))
    trees = [ast.parse(path.read_text()) for path in sources]
    text = "\n".join(path.read_text() for path in sources)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr)
    }
    defined = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    } | {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    listed = {*OVERRIDDEN, *CALLED, *READ, *OF_VARIABLES}
    of_python = {"_fields", "_replace", "_asdict"}
    assert used - defined - listed - of_python == set()
    internal = set(re.findall(r"tf\.(?:__internal__|raw_ops)[.\w]+", text))
    assert internal == {n for n in OF_TENSORFLOW if "__internal__" in n or "raw_" in n}
