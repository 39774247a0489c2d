"""A whole update compiled by XLA, on the TensorFlow backend.

Keras compiles the optimizer only together with the model, and by default not at all
on CPU, under a strategy, or with layers that XLA does not know. The update itself is
always compilable, so it is compiled on its own: about forty graph nodes per variable
become one call. Inside a train step that is compiled anyway it is simply inlined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import keras

from keras_adam.placement import native_variable

logger = logging.getLogger(__name__)


Run = Callable[..., Any]
"""Called as ``run(kind, function, *arguments)``; returns what the function does."""


def call(kind: Hashable, function: Callable, *arguments: Any) -> Any:
    """Run a part where it stands, uncompiled."""
    del kind
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
        step_apart: called as ``step_apart(apart, computed, learning_rate, run)``; calls
            ``run(kind, function, *arguments)`` for what is compiled by itself, once
            for each hashable ``kind``, which tells apart functions and the shapes and
            constants of their arguments.
    """

    prepare: Callable[[Any], tuple[Any, Any]]
    compute: Callable[[Any, Any], Any]
    finish: Callable[[Any], Any]
    step_apart: Callable[[Any, Any, Any, Run], None] = lambda *_: None

    def __call__(self, gradients: Any, learning_rate: Any, run: Run = call) -> Any:
        """All parts, one after the other."""
        together, apart = self.prepare(gradients)
        computed = self.compute(together, learning_rate)
        self.step_apart(apart, computed, learning_rate, run)
        return self.finish(computed)


def undivided(compute: Callable[[Any, Any], Any]) -> Update:
    """An update of one part, which returns what ``compute`` does."""
    return Update(lambda given: (given, None), compute, lambda computed: computed)


class _Program(NamedTuple):
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
        jit_compile: ``"auto"`` compiles where possible and says once in the log why
            not; ``True`` raises instead; ``False`` never compiles.
    """

    def __init__(self, jit_compile: bool | str) -> None:
        self._jit_compile = jit_compile
        self._programs: dict[Hashable, _Program] = {}
        self._told: set[str] = set()
        self.trace_count = 0
        """How often an update was traced and compiled, for tests of retracing."""

    def __call__(
        self,
        update: Update,
        gradients: Any,
        learning_rate: Any,
        variables: Callable[[], Sequence[Any]],
        key: Hashable,
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

        Raises:
            ValueError: ``jit_compile=True`` and the update cannot be compiled.
        """
        if self._jit_compile is False or keras.backend.backend() != "tensorflow":
            # JAX compiles the update with the caller's train step; torch never does.
            return update(gradients, learning_rate)
        if key not in self._programs and not self._compile(update, variables(), key):
            return update(gradients, learning_rate)
        import tensorflow as tf  # Absent where another backend is at work.

        program = self._programs[key]
        run = program.eager if tf.executing_eagerly() else program.in_graph
        # XLA reaches variables of the device it runs on, and of no other.
        with tf.device(program.device):
            return run(gradients, learning_rate)

    def _compile(self, update: Update, variables: Sequence[Any], key: Hashable) -> bool:
        """Make the program of a key, if there can be one."""
        import tensorflow as tf  # Absent where another backend is at work.

        devices = {native_variable(v).device for v in variables}
        if len(devices) > 1:
            places = sorted(devices)
            self.refuse(f"its variables live on {len(devices)} devices: {places}")
            return False
        if len(self._programs) >= MOST_PROGRAMS:
            self.refuse(
                f"{MOST_PROGRAMS} programs have been compiled for as many sets of "
                "weights with a gradient"
            )
            return False

        def counted(prepared: Any, learning_rate: Any) -> Any:
            self.trace_count += 1  # Python runs only while tracing.
            return update.compute(prepared, learning_rate)

        by_kind: dict[Hashable, Callable] = {}

        def run(kind: Hashable, function: Callable, *arguments: Any) -> Any:
            if kind not in by_kind:
                by_kind[kind] = tf.function(function, jit_compile=True, autograph=False)
            return by_kind[kind](*arguments)

        compute = tf.function(counted, jit_compile=True, autograph=False)
        in_parts = update._replace(compute=compute)

        def in_graph(gradients: Any, learning_rate: Any) -> Any:
            return in_parts(gradients, learning_rate, run)

        self._programs[key] = _Program(
            devices.pop(), in_graph, tf.function(in_graph, autograph=False)
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
