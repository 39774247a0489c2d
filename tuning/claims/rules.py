"""The claims, and what counts as support; printed on the page.

No rule depends on a result. A changed rule holds for every run, and the history of this
file shows when it was changed.
"""

from __future__ import annotations

import dataclasses

from tuning.claims.contenders import (
    ADAGRAD,
    KEEPERS,
    MOMENTUM,
    RMSPROP,
    SGD,
    STORAGES,
    SUBJECTS,
)
from tuning.statistics.limits import LEAST_DIFFERENCE

LEAST_TASKS = 3
"""Workloads that a measure needs for a verdict, unless the claim says otherwise."""

WORSE_SHARE = 0.25
"""A measure supports a claim only if at most this share of the workloads is worse."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A measure that decides on a claim.

    Attributes:
        measure: a name of `tuning.claims.measures.MEASURES`.
        rivals: optimizers to compare with; if there are none, the figure itself is
            compared with ``at_most``.
        tasks: which workloads count: ``"applications"``, ``"exploding"`` or ``"large"``
            (the model on which memory is measured).
        least_tasks: fewer workloads give no verdict.
        at_most: the largest ratio to a rival, or without rivals the largest figure,
            that is good enough; ``None`` if the subject must be better than its rival.
    """

    measure: str
    rivals: tuple[str, ...]
    tasks: str = "applications"
    least_tasks: int = LEAST_TASKS
    at_most: float | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim about Adam.

    Attributes:
        name: short, for headings and tables.
        text: the claim.
        evidence: the measures that decide.
        subjects: optimizers for which the claim is judged.
    """

    name: str
    text: str
    evidence: tuple[Evidence, ...]
    subjects: tuple[str, ...] = SUBJECTS


CLAIMS = (
    Claim(
        "Fast convergence",
        "It converges faster than SGD, above all early.",
        (
            Evidence("early area, default rate", (SGD,)),
            Evidence("early area, best rate", (SGD,)),
            Evidence("steps to SGD's loss, default rate", (SGD,)),
            Evidence("steps to SGD's loss, best rate", (SGD,)),
        ),
    ),
    Claim(
        "Stability",
        "It is more stable than Adagrad and RMSprop.",
        (
            Evidence("diverged runs", (ADAGRAD, RMSPROP)),
            Evidence("spikes, default rate", (ADAGRAD, RMSPROP)),
            Evidence("spikes, best rate", (ADAGRAD, RMSPROP)),
            Evidence("bad runs", (ADAGRAD, RMSPROP), "exploding", 1),
        ),
    ),
    Claim(
        "Robustness",
        "It is robust to the learning rate and the batch size.",
        (
            Evidence("normalised sensitivity", (SGD, MOMENTUM, ADAGRAD, RMSPROP)),
            Evidence("gap between batch sizes", (), at_most=0.25),
        ),
    ),
    Claim(
        "Little memory",
        "It needs little memory: no more than others that keep state for each weight.",
        (
            Evidence("state", KEEPERS, at_most=1.02),
            Evidence("state", KEEPERS, "large", 1, at_most=1.02),
            Evidence("peak", KEEPERS, "large", 1, at_most=1.05),
        ),
        (*SUBJECTS, *STORAGES),
    ),
)

RULES = (
    "On one workload an optimizer is better or worse than its rival if the 95 % "
    "bootstrap interval over seeds of the ratio or difference of their figures lies "
    "wholly on that side of 1 or 0, and a ratio differs from 1 by at least "
    f"{LEAST_DIFFERENCE:.0%}; else the two are even.",
    "Over the workloads, ratios are averaged geometrically, differences as they are; "
    "the interval is a bootstrap over workloads and seeds.",
    "A measure supports the claim against a rival if that interval lies wholly on the "
    f"better side, and at most {WORSE_SHARE:.0%} of the workloads are worse. It does "
    "not support it if the mean is not on the better side, or more workloads are worse "
    "than better. Otherwise it is mixed. With fewer than "
    f"{LEAST_TASKS} workloads (one, where gradients explode and on the large model) it "
    "is not judged.",
    "Where the claim asks for no more than a certain amount, that amount takes the "
    "place of 1 or 0, and reaching it is good enough: 1.02 times a rival's state, 1.05 "
    "times its peak memory, a quarter of a decade between batch sizes.",
    "A claim is supported if every judged measure supports it against every rival, "
    "not supported if none does so even in part, and mixed otherwise.",
    "Beyond Keras's Adam: better or worse if the interval over workloads and seeds "
    "lies wholly on that side of 1 or 0, and a ratio differs from 1 by at least "
    f"{LEAST_DIFFERENCE:.0%}; else no clear difference.",
)
"""The rules in words; `tuning.claims.verdicts` implements them."""
