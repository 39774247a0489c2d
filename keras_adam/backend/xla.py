"""An executor that has XLA compile the parts of an update, on TensorFlow.

Keras compiles the optimizer only together with the model, and by default not at all
on CPU, under a strategy, or with layers that XLA does not know. The update itself can
always be compiled, so it is compiled on its own: about forty graph nodes per variable
become one call. Inside a train step that is compiled anyway it is simply inlined.

An update is several programs, for two reasons. A compiled program is slow, and slow to
compile, if it reads and assigns hundreds of small variables; the graph around it does
that better. And if one weight needs much code, it is better to compile the code once
for all weights of a shape, and to run it as soon as a weight's gradient is there.

Compiled programs belong to no optimizer: they take the variables as arguments, see
`xla_programs`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from keras_adam.backend.executors import RunPart, Update, run_here
from keras_adam.backend.variables import native_variable
from keras_adam.backend.xla_programs import (
    Program,
    Traced,
    is_instrumented,
    shared_program,
)

logger = logging.getLogger(__name__)

MOST_UPDATES = 16
"""The most updates compiled per optimizer. Each set of weights with gradients needs
one. A model that switches between more sets than this would compile without end."""


class _Prepared(NamedTuple):
    """An update that is ready to run.

    Attributes:
        device: that holds all its variables; ``None`` if it is not compiled.
        in_graph: called while a graph is being traced.
        eager: called in eager execution.
    """

    device: str | None
    in_graph: Callable
    eager: Callable


class XlaExecutor:
    """Runs updates compiled by XLA where that is possible.

    Args:
        jit_compile: ``"auto"`` compiles if possible, and else logs once why not;
            ``True`` raises instead of logging.

    Attributes:
        trace_count: number of compiled updates, plus number of retracings. An update
            counts even if another optimizer has compiled its program.
        graphs: one ``tf.function`` for each update by rows.
    """

    def __init__(self, jit_compile: bool | str) -> None:
        self._jit_compile = jit_compile
        self._prepared: dict[Hashable, _Prepared] = {}
        self._reported: set[str] = set()
        self.trace_count = 0
        self.graphs: list[Any] = []

    def run(self, update: Update, gradients: Sequence[Any], learning_rate: Any) -> None:
        """Run an update.

        Args:
            update: assigns variables; updates with the same key must compute the same.
            gradients: one per weight.
            learning_rate: scalar tensor.

        Raises:
            ValueError: ``jit_compile=True`` and the update cannot be compiled.
        """
        import tensorflow as tf  # May be missing on other backends.

        gradients = update.arguments(gradients)
        prepared = self._prepared.get(update.key)
        if prepared is None:
            prepared = self._prepare(update, gradients, learning_rate)
        function = prepared.eager if tf.executing_eagerly() else prepared.in_graph
        if prepared.device is None:
            function(gradients, learning_rate)
            return
        # XLA can use only the variables of the device that it runs on.
        with tf.device(prepared.device):
            function(gradients, learning_rate)

    def _prepare(
        self, update: Update, gradients: list[Any], learning_rate: Any
    ) -> _Prepared:
        """Prepare an update, and remember it unless there are too many."""
        if len(self._prepared) >= MOST_UPDATES:
            self.refuse(
                f"{MOST_UPDATES} programs have been compiled for as many sets of "
                "weights with a gradient, or settings of options"
            )
            return _Prepared(None, *[_with_parts(update, run_here)] * 2)
        import tensorflow as tf  # May be missing on other backends.

        devices = {native_variable(v).device for v in update.variables()}
        run_part, device = self._compiler(update, gradients, learning_rate, devices)
        in_graph = eager = _with_parts(update, run_part)
        if update.has_rows:
            # Traced twice at most, however the number of ids varies: the second graph
            # accepts any number.
            eager = tf.function(
                Traced(in_graph), autograph=False, reduce_retracing=True
            )
            self.graphs.append(eager)
        elif device is not None:
            eager = tf.function(Traced(in_graph), autograph=False)
        prepared = _Prepared(device, in_graph, eager)
        self._prepared[update.key] = prepared
        return prepared

    def _compiler(
        self,
        update: Update,
        gradients: list[Any],
        learning_rate: Any,
        devices: set[str],
    ) -> tuple[RunPart, str | None]:
        """What runs the parts of an update, and on which device."""
        import tensorflow as tf  # May be missing on other backends.

        problem = ""
        if len(devices) > 1:
            places = sorted(devices)
            problem = f"its variables live on {len(devices)} devices: {places}"
        elif is_instrumented():
            problem = (
                "a debugging tool adds operations to every graph that XLA does not "
                "know, for example tf.debugging.enable_check_numerics()"
            )
        elif update.custom_rule is not None:
            found = Program().why_not_compilable(
                update.whole, (), (gradients, learning_rate)
            )
            if found:
                problem = f"XLA refuses an operation of its update rule: {found}"
        if problem:
            self.refuse(problem)
            return run_here, None
        (device,) = devices
        structure = update.structure()
        # Shared by eager loops only: within Keras's own train step, a program once held
        # a tensor of an earlier graph.
        is_eager = tf.executing_eagerly() and not update.has_rows
        self.trace_count += 1
        compiler = _Compiler(
            self, structure, device, is_shared=is_eager and structure is not None
        )
        return compiler, device

    def refuse(self, reason: str) -> None:
        """Log once that updates run uncompiled, and why.

        Raises:
            ValueError: ``jit_compile=True`` rules that out.
        """
        if self._jit_compile is True:
            raise ValueError(
                f"jit_compile=True, but the update cannot be compiled: {reason}. "
                'Use jit_compile="auto" to compile only where that is possible.'
            )
        if reason not in self._reported:
            logger.warning("The update runs without XLA: %s.", reason)
            self._reported.add(reason)


def _with_parts(update: Update, run_part: RunPart) -> Callable:
    def run(gradients: Any, learning_rate: Any) -> None:
        update(gradients, learning_rate, run_part)

    return run


class _Compiler:
    """Runs the parts of one update as programs, each compiled once."""

    def __init__(
        self,
        owner: XlaExecutor,
        structure: Hashable | None,
        device: str,
        *,
        is_shared: bool,
    ) -> None:
        self._owner = owner
        self._is_shared = is_shared
        self._structure = structure
        self._device = device
        self._programs: dict[Hashable, Program] = {}

    def __call__(
        self,
        kind: Hashable,
        function: Callable,
        variables: Sequence[Any],
        *arguments: Any,
    ) -> Any:
        is_new = kind not in self._programs
        if is_new or self._programs[kind].is_of_one_graph:
            self._programs[kind] = self._program(kind)
        if self._structure is None:
            variables = ()  # A custom rule may reach its variables in any way.
        program = self._programs[kind]
        traces = program.trace_count
        result = program(function, variables, arguments)
        if not is_new and kind == "together":
            self._owner.trace_count += program.trace_count - traces
        return result

    def _program(self, kind: Hashable) -> Program:
        if not self._is_shared:
            return Program()
        return shared_program((self._structure, self._device, kind))
