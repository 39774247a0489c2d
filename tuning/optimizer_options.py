"""Options of optimizers, as ``--set optimizer.option=value`` gives them.

An option with several values makes several optimizers of one, which differ in their
names: ``keras_adam.Adam(beta_2=0.9)`` and ``keras_adam.Adam(beta_2=0.99)``.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.optimizer_names import parse_name, split_outside

OptionValues = Mapping[str, Mapping[str, Sequence[Any]]]
"""Values by option by optimizer."""


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """What ``--set`` asks for.

    Attributes:
        fixed: options with one value, by optimizer; as `tuning.grid.Grid.options`.
        swept: all options of optimizers that have one with several values.
    """

    fixed: dict[str, dict[str, Any]]
    swept: dict[str, dict[str, list[Any]]]

    def expand(self, optimizers: Sequence[str]) -> list[str]:
        """The optimizers, those with swept options once for every combination.

        Raises:
            ValueError: options are swept of an optimizer that is not among these, or
                that has the option in its name already.
        """
        unknown = [name for name in self.swept if name not in optimizers]
        if unknown:
            raise ValueError(
                f"several values are set for options of {unknown}, which the sweep "
                f"does not run; its optimizers are {list(optimizers)}."
            )
        return [
            variant
            for name in optimizers
            for variant in _variants(name, self.swept.get(name, {}))
        ]


def parse_options(assignments: Sequence[str]) -> OptimizerOptions:
    """Read ``optimizer.option=value`` or ``optimizer.option=value,value``.

    A value is read as JSON (``0.99``, ``true``, ``null``), else as a Python literal
    (``True``, ``None``, ``1e-3``), else taken as text (``bfloat16``). A list in square
    brackets is one value.

    Raises:
        ValueError: an assignment has another form, or an option is set twice.
    """
    values: dict[str, dict[str, list[Any]]] = {}
    for assignment in assignments:
        target, *texts = split_outside(assignment, "=", most=1)
        # From the right, because the optimizer's name has dots, too.
        optimizer, _, option = target.strip().rpartition(".")
        if not (texts and optimizer and option.isidentifier()):
            raise ValueError(
                "an option is set as optimizer.option=value, for example "
                f"keras_adam.Adam.beta_2=0.99; received {assignment!r}."
            )
        of_optimizer = values.setdefault(optimizer, {})
        if option in of_optimizer:
            raise ValueError(
                f"option {optimizer}.{option} is set twice; separate its values by a "
                "comma to sweep them."
            )
        parts = [part.strip() for part in split_outside(texts[0], ",")]
        values_given = [_parse_value(p) for p in parts if p or len(parts) == 1]
        if not values_given or not all(map(_is_finite, values_given)):
            raise ValueError(
                f"the values of option {optimizer}.{option} must be given, and numbers "
                f"must be finite; received {texts[0].strip()!r}."
            )
        of_optimizer[option] = values_given
    swept = {
        name: options
        for name, options in values.items()
        if any(len(some) > 1 for some in options.values())
    }
    fixed = {
        name: {option: some[0] for option, some in options.items()}
        for name, options in values.items()
        if name not in swept
    }
    return OptimizerOptions(fixed, swept)


def _variants(name: str, options: Mapping[str, Sequence[Any]]) -> list[str]:
    """The names of an optimizer with every combination of values."""
    if not options:
        return [name]
    known = parse_name(name).arguments
    twice = sorted({*known} & {*options})
    if twice:
        raise ValueError(f"{name!r} has the option {twice[0]!r} in its name already.")
    target = name.partition("(")[0]
    variants = []
    for combination in itertools.product(*options.values()):
        arguments = {**known, **dict(zip(options, combination, strict=True))}
        written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        variants.append(f"{target}({written})")
    return variants


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _parse_value(text: str) -> Any:
    # The parsers raise these for thousands of nested brackets.
    too_deep = (RecursionError, MemoryError)
    try:
        return json.loads(text)
    except (ValueError, *too_deep):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, *too_deep):
        return text
