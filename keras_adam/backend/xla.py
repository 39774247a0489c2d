"""A whole update compiled by XLA, on the TensorFlow backend.

Keras compiles the optimizer only together with the model, and by default not at all
on CPU, under a strategy, or with layers that XLA does not know. The update itself is
always compilable, so it is compiled on its own: about forty graph nodes per variable
become one call. Inside a train step that is compiled anyway it is simply inlined.

What is compiled belongs to no optimizer, see `shared_programs`: it takes the variables
as arguments.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import keras

from keras_adam.backend.variables import native_variable
from keras_adam.backend.xla_programs import (
    Program,
    Traced,
    is_instrumented,
    shared_program,
)

logger = logging.getLogger(__name__)


Run = Callable[..., Any]
"""Called as ``run(kind, function, variables, *arguments)``; returns what the function
does with the arguments, and may compile it once for each kind."""


def call(
    kind: Hashable, function: Callable, variables: Sequence[Any], *arguments: Any
) -> Any:
    """Run a part where it stands, uncompiled."""
    del kind, variables
    return function(*arguments)


class Update(NamedTuple):
    """An update in parts, of which the second is worth compiling as a whole.

    Reading and assigning hundreds of small variables is what a compiled program is
    slow at and slow to compile; the graph around it does that better. And what is
    much code for one weight is better compiled once for all weights of a shape than
    once for each, and run as soon as that weight's gradient is there.

    Attributes:
        prepare: gradients to a pair: what ``compute`` takes, and what stands apart.
        compute: called as ``compute(together, learning_rate)``; may assign variables
            itself; returns tensors.
        finish: assigns what ``compute`` returned, or returns it.
        variables: returns all that ``compute`` reads and assigns.
        step_apart: called as ``step_apart(apart, computed, learning_rate, run)``; calls
            ``run(kind, function, variables, *arguments)`` for what is compiled by
            itself, once for each hashable ``kind``, which tells apart functions and the
            shapes and constants of their arguments.
    """

    prepare: Callable[[Any], tuple[Any, Any]]
    compute: Callable[[Any, Any], Any]
    finish: Callable[[Any], Any]
    variables: Callable[[], Sequence[Any]]
    step_apart: Callable[[Any, Any, Any, Run], None] = lambda *_: None

    def __call__(self, gradients: Any, learning_rate: Any, run: Run = call) -> Any:
        """All parts, one after the other."""
        together, apart = self.prepare(gradients)
        # A program that has nothing to do is not worth its call.
        run_together = run if _has_tensors(together) else call
        computed = run_together(
            "together", self.compute, self.variables(), together, learning_rate
        )
        self.step_apart(apart, computed, learning_rate, run)
        return self.finish(computed)


def undivided(
    compute: Callable[[Any, Any], Any], variables: Callable[[], Sequence[Any]]
) -> Update:
    """An update of one part, which returns what ``compute`` does."""
    return Update(
        lambda given: (given, None), compute, lambda computed: computed, variables
    )


def _has_tensors(structure: Any) -> bool:
    return any(leaf is not None for leaf in keras.tree.flatten(structure))


class _Prepared(NamedTuple):
    """A compiled update; ``in_graph`` is for a graph that is being traced."""

    device: str
    in_graph: Callable
    eager: Callable


MOST_PROGRAMS = 16
"""Programs kept per optimizer. Each set of weights that has gradients needs one; a
model that switches between more sets than this would compile without end."""


class CompiledApply:
    """Calls an update, compiled by XLA where that is possible.

    Args:
        jit_compile: ``"auto"`` compiles where possible and logs once why not where
            it is not; ``True`` raises instead; ``False`` never compiles.
    """

    def __init__(self, jit_compile: bool | str) -> None:
        self._jit_compile = jit_compile
        self._prepared: dict[Hashable, _Prepared] = {}
        self._refused: set[Hashable] = set()
        self._told: set[str] = set()
        self.trace_count = 0
        """How many updates were prepared, and how often one was traced again, for
        tests of retracing. A program that another optimizer has compiled counts."""

    def __call__(
        self,
        update: Update,
        gradients: Any,
        learning_rate: Any,
        variables: Callable[[], Sequence[Any]],
        key: Hashable,
        structure: Callable[[], Hashable | None],
    ) -> Any:
        """Run the update and return what its ``finish`` returns.

        Args:
            update: assigns variables, or returns tensors.
            gradients: dense tensors, in the structure that ``prepare`` takes.
            learning_rate: scalar tensor.
            variables: returns what the update reads and assigns, to see where that
                lives.
            key: tells apart updates of different variables or with other constants;
                the same key must always come with the same ``update``.
            structure: returns all that decides what the update computes, apart from
                the values of variables; ``None`` where that is not known, as of a
                subclass's own rule.

        Raises:
            ValueError: ``jit_compile=True`` and the update cannot be compiled.
        """
        if self._jit_compile is False or keras.backend.backend() != "tensorflow":
            # JAX compiles the update with the caller's train step; torch never does.
            return update(gradients, learning_rate)
        is_prepared = key in self._prepared or (
            key not in self._refused
            and self._prepare(
                update, gradients, learning_rate, variables(), key, structure()
            )
        )
        if not is_prepared:
            return update(gradients, learning_rate)
        import tensorflow as tf  # Absent where another backend is at work.

        prepared = self._prepared[key]
        run = prepared.eager if tf.executing_eagerly() else prepared.in_graph
        # XLA reaches variables of the device it runs on, and of no other.
        with tf.device(prepared.device):
            return run(gradients, learning_rate)

    def _prepare(
        self,
        update: Update,
        gradients: Any,
        learning_rate: Any,
        variables: Sequence[Any],
        key: Hashable,
        structure: Hashable | None,
    ) -> bool:
        """Prepare the programs of a key, if there can be any."""
        import tensorflow as tf  # Absent where another backend is at work.

        devices = {native_variable(v).device for v in variables}
        if len(devices) > 1:
            places = sorted(devices)
            self.refuse(f"its variables live on {len(devices)} devices: {places}")
            return False
        if len(self._prepared) >= MOST_PROGRAMS:
            self.refuse(
                f"{MOST_PROGRAMS} programs have been compiled for as many sets of "
                "weights with a gradient"
            )
            return False
        if is_instrumented():
            self.refuse(
                "a debugging tool adds operations to every graph that XLA does not "
                "know, for example tf.debugging.enable_check_numerics()"
            )
            return False
        device = devices.pop()
        # Shared by eager loops alone: within Keras's own train step a program was met
        # that held a tensor of an earlier graph.
        is_shared = tf.executing_eagerly() and structure is not None
        run = _Compiler(self, structure, device, is_shared=is_shared)
        if structure is None:
            problem = run.why_not_compilable(update, gradients, learning_rate)
            if problem:
                self._refused.add(key)
                self.refuse(f"XLA refuses an operation of its update rule: {problem}")
                return False
        self.trace_count += 1

        def in_graph(gradients: Any, learning_rate: Any) -> Any:
            return update(gradients, learning_rate, run)

        self._prepared[key] = _Prepared(
            device, in_graph, tf.function(Traced(in_graph), autograph=False)
        )
        return True

    def refuse(self, reason: str) -> None:
        """Take note that an update runs uncompiled, and why.

        Raises:
            ValueError: ``jit_compile=True`` rules that out.
        """
        if self._jit_compile is True:
            raise ValueError(
                f"jit_compile=True, but the update cannot be compiled: {reason}. "
                'Use jit_compile="auto" to compile only where that is possible.'
            )
        if self._jit_compile == "auto" and reason not in self._told:
            logger.warning("The update runs without XLA: %s.", reason)
            self._told.add(reason)


class _Compiler:
    """Runs the parts of one update as programs, each compiled once."""

    def __init__(
        self,
        owner: CompiledApply,
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
            variables = ()  # Another rule may reach its variables in any way.
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

    def why_not_compilable(
        self, update: Update, gradients: Any, learning_rate: Any
    ) -> str:
        """What XLA says against the part that is compiled as a whole, if anything."""
        together, _ = update.prepare(gradients)
        return self._program("together").why_not_compilable(
            update.compute, (), (together, learning_rate)
        )
