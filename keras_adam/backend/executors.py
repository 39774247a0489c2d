"""How a step is run: directly, compiled by XLA, or once per replica.

Every executor has one method, ``run(update, gradients, learning_rate)``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

RunPart = Callable[..., Any]
"""Called as ``run(kind, function, variables, *arguments)``. It returns
``function(*arguments)``, and may compile the function once for each hashable kind: so
calls of one kind must have the same function, shapes and constants. The variables are
all that the function reads or assigns, in addition to its arguments."""


def run_here(
    kind: Hashable, function: Callable, variables: Sequence[Any], *arguments: Any
) -> Any:
    """Run a part directly, uncompiled."""
    del kind, variables
    return function(*arguments)


class Update(Protocol):
    """A step in parts that an executor can run."""

    key: Hashable
    """Differs for updates of different weights or with other constants."""
    custom_rule: Any
    """A subclass's own rule, which XLA may refuse; ``None``: Adam's."""

    @property
    def has_rows(self) -> bool:
        """Whether the number of rows in the gradients varies from call to call."""
        ...

    def __call__(
        self, gradients: Sequence[Any], learning_rate: Any, run: RunPart
    ) -> None:
        """Take the step, running its parts by ``run``."""
        ...

    def whole(self, gradients: list[Any], learning_rate: Any) -> None:
        """The step as one part."""
        ...

    def arguments(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients in a form that a compiled function accepts."""
        ...

    def variables(self) -> list[Any]:
        """All that the step may read or assign."""
        ...

    def structure(self) -> Hashable | None:
        """Everything that determines what is computed, except the values of variables.

        ``None`` if that is not known, as for a subclass.
        """
        ...


class DirectExecutor:
    """Runs updates directly. JAX compiles them with the caller's train step."""

    trace_count = 0

    def run(self, update: Update, gradients: Sequence[Any], learning_rate: Any) -> None:
        """Run an update.

        Args:
            update: assigns variables.
            gradients: one per weight.
            learning_rate: scalar tensor.
        """
        update(update.arguments(gradients), learning_rate, run_here)

    def refuse(self, reason: str) -> None:
        """Do nothing: no update is compiled."""
