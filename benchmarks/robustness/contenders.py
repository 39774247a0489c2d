"""The optimizers whose robustness is compared, each with its users' usual options."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Contender(NamedTuple):
    """An optimizer with its options.

    Attributes:
        reference: ``package.module:attribute`` of its class or factory.
        options: arguments other than the learning rate.
        default_rate: default learning rate of its class or of its paper.
    """

    reference: str
    options: Mapping[str, Any]
    default_rate: float

    def factory(self) -> Any:
        """The class or function that makes it.

        Raises:
            ValueError: this version of the package does not have it.
        """
        try:
            return pkgutil.resolve_name(self.reference)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{self.reference} is not there: {error}") from error


BASELINE = "keras-adam"
"""The contender to which ratios are computed."""

OURS = "keras_adam:Adam"

CONTENDERS: dict[str, Contender] = {
    BASELINE: Contender("keras.optimizers:Adam", {}, 1e-3),
    "adamw": Contender("keras.optimizers:AdamW", {}, 1e-3),
    "adam-clip": Contender("keras.optimizers:Adam", {"global_clipnorm": 1.0}, 1e-3),
    "rmsprop": Contender("keras.optimizers:RMSprop", {}, 1e-3),
    "adagrad": Contender("keras.optimizers:Adagrad", {}, 1e-3),
    "momentum": Contender("keras.optimizers:SGD", {"momentum": 0.9}, 1e-2),
    "lion": Contender("keras.optimizers:Lion", {}, 1e-3),
    # Judged at the weights that it trains with, because `fit` reports these to Keras's
    # users. Its paper judges their average.
    "schedule-free-adamw": Contender("keras.optimizers:ScheduleFreeAdamW", {}, 2.5e-3),
    "prodigy": Contender("benchmarks.robustness.prodigy:Prodigy", {}, 1.0),
    "ours": Contender(OURS, {}, 1e-3),
    "robust": Contender("keras_adam:Adam.robust", {}, 1e-3),
}


def read_variants(texts: Sequence[str]) -> dict[str, Contender]:
    """Read ``label:{"option": value}``: our Adam with these options.

    ``label=module:attribute{"option": value}`` names another class or factory.

    Raises:
        ValueError: a text has another form, or a label occurs twice.
    """
    found: dict[str, Contender] = {}
    for text in texts:
        match = re.fullmatch(r"([\w.+-]+)(?::|=([\w.]+:[\w.]+))(\{.*\})?", text)
        if not match or (match[2] is None and match[3] is None):
            raise ValueError(
                'a variant is label:{"option": value} (of keras_adam.Adam) or '
                f'label=module:attribute{{"option": value}}; received {text!r}.'
            )
        label, reference, options = match.groups()
        if label in found or label in CONTENDERS:
            raise ValueError(f"the label {label!r} is taken; received {text!r}.")
        try:
            plain = json.loads(options or "{}")
        except ValueError as error:
            raise ValueError(f"the options of {label!r} are no JSON: {error}") from None
        found[label] = Contender(reference or OURS, plain, 1e-3)
    return found
