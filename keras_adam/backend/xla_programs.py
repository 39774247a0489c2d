"""Compiled programs that optimizers of one structure share, on TensorFlow.

TensorFlow never frees what XLA has compiled: a loop that makes a new optimizer for
each of a thousand short trainings would compile a thousand times and keep it all. So a
program belongs to no optimizer. It takes the variables that it reads and assigns as
arguments, and a second optimizer of the same structure calls it with its own.
"""

from __future__ import annotations

import collections
import contextvars
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from keras_adam.backend.variables import native_variable, standing_in

MOST_SHARED = 256
"""The most programs that are kept. Beyond that, the program is dropped that no new
optimizer has asked for the longest."""


class _Call(NamedTuple):
    """What a program computes, if it has to be traced for this call."""

    function: Callable
    variables: list[Any]


_current: contextvars.ContextVar[_Call] = contextvars.ContextVar("current_call")


class Traced:
    """A function for ``tf.function`` to trace, as an object of its own.

    For plain functions TensorFlow counts how often the same code is traced. It would
    warn about a loop that makes optimizers or programs, although each traces once.
    """

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._function(*arguments)


class Program:
    """A function compiled by XLA whose variables are arguments.

    Attributes:
        trace_count: how often it was traced.
        is_shareable: whether it computes only with its arguments. If not, it also uses
            variables of the optimizer that traced it, or tensors of its graph.
        is_of_one_graph: whether it computes with tensors of the graph it was called in,
            and can be called in no other.
    """

    def __init__(self) -> None:
        import tensorflow as tf  # May be missing on other backends.

        self.trace_count = 0
        self.is_shareable = True
        self.is_of_one_graph = False
        # TensorFlow refuses to call a graph once one of its variables is gone, so the
        # placeholders are kept.
        self._traced_with: list[tuple[list[Any], list[Any]]] = []
        self._function = tf.function(
            Traced(self._trace), jit_compile=True, autograph=False
        )

    def __call__(
        self, function: Callable, variables: Sequence[Any], arguments: Sequence[Any]
    ) -> Any:
        """Compute ``function(*arguments)``.

        Args:
            function: reads and assigns the variables by `backend.variables`. All calls
                must pass functions that compute the same.
            variables: that the function reads or assigns, Keras's or the backend's.
            arguments: tensors, in any structure.
        """
        import tensorflow as tf  # May be missing on other backends.

        if tf.config.functions_run_eagerly():
            return function(*arguments)
        natives = _distinct(variables)
        token = _current.set(_Call(function, natives))
        try:
            return self._function(list(arguments), natives)
        finally:
            _current.reset(token)

    def _trace(self, arguments: list[Any], natives: list[Any]) -> Any:
        self.trace_count += 1  # Python runs only while tracing.
        self._traced_with.append((arguments, natives))
        import tensorflow as tf  # May be missing on other backends.

        function, variables = _current.get()
        with standing_in(variables, natives):
            result = function(*arguments)
        given = {
            id(variable.handle)
            for variable in tf.nest.flatten((arguments, natives))
            if isinstance(variable, tf.Variable)
        }
        for tensor, _ in tf.compat.v1.get_default_graph().captures:
            is_constant = isinstance(tensor, tf.__internal__.EagerTensor)
            is_variable = tensor.dtype == tf.resource
            if id(tensor) not in given and (is_variable or not is_constant):
                self.is_shareable = False
                self.is_of_one_graph |= not (is_constant or is_variable)
        return result

    def why_not_compilable(
        self, function: Callable, variables: Sequence[Any], arguments: Sequence[Any]
    ) -> str:
        """Why XLA cannot compile the function; empty if it can.

        Nothing is computed.

        Args:
            function: as for a call.
            variables: as for a call.
            arguments: as for a call.
        """
        import tensorflow as tf  # May be missing on other backends.

        natives = _distinct(variables)
        token = _current.set(_Call(function, natives))
        try:
            with tf.init_scope():
                zeros = tf.nest.map_structure(
                    lambda tensor: tf.zeros(tensor.shape, tensor.dtype), list(arguments)
                )
                lower = self._function.experimental_get_compiler_ir(zeros, natives)
                lower(stage="hlo")
        except (tf.errors.OpError, ValueError, TypeError) as error:
            return str(error).strip().splitlines()[0]
        finally:
            _current.reset(token)
        return ""


_shared: collections.OrderedDict[Hashable, Program] = collections.OrderedDict()
_lock = threading.Lock()


def shared_program(key: Hashable) -> Program:
    """The program of a key, which all optimizers of the process share.

    Args:
        key: all that determines what the program computes, and where.
    """
    with _lock:
        program = _shared.pop(key, None)
        if program is None or not program.is_shareable:
            program = Program()
        _shared[key] = program
        if len(_shared) > MOST_SHARED:
            _shared.popitem(last=False)
        return program


def is_instrumented() -> bool:
    """Whether a debugging tool adds operations to the graphs that are traced."""
    import tensorflow as tf  # May be missing on other backends.

    with tf.__internal__.FuncGraph("thrown_away").as_default() as graph:
        tf.identity(tf.constant(1.0))
    return len(graph.get_operations()) > 2


def _distinct(variables: Sequence[Any]) -> list[Any]:
    """The backend's variables, each once."""
    natives = (native_variable(variable) for variable in variables)
    return list({id(native): native for native in natives}.values())
