"""Assign variables under a condition, on every Keras backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops


def assign_if(
    predicate: Any,
    then: Callable[[], None],
    otherwise: Callable[[], None],
    variables: Sequence[keras.Variable],
) -> None:
    """Call ``then`` if the predicate holds, else ``otherwise``; both may assign.

    TensorFlow and torch run one of the two. JAX has no side effects: it traces both,
    each in a scope of its own, and then ``variables`` are assigned the values that the
    chosen function left.

    Args:
        predicate: scalar bool tensor.
        then: assigns some of ``variables``, returns nothing.
        otherwise: assigns some of ``variables``, returns nothing.
        variables: every variable that either function reads or assigns.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        (then if bool(predicate) else otherwise)()
        return
    if backend == "tensorflow":
        # Both branches of tf.cond must return the same structure; None is one.
        ops.cond(predicate, then, otherwise)
        return
    values = ops.cond(
        predicate,
        lambda: _values_after(then, variables),
        lambda: _values_after(otherwise, variables),
    )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _values_after(
    assign: Callable[[], None], variables: Sequence[keras.Variable]
) -> list[Any]:
    before = [(variable, variable.value) for variable in variables]
    with keras.StatelessScope(state_mapping=before) as scope:
        assign()
    return [scope.get_current_value(variable) for variable in variables]
