"""The verdicts on the claims and what they rest on, as plain values."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tuning.claims.rules import Claim, Evidence
from tuning.statistics.rivals import RivalComparison

Verdict = Literal["supported", "mixed", "not supported", "not judged"]
Standing = Literal["better", "no clear difference", "worse", "not judged"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one measure for one subject against one rival.

    Attributes:
        evidence: the part of the claim that asks for it.
        comparison: the figures.
        verdict: what follows for the claim.
    """

    evidence: Evidence
    comparison: RivalComparison
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The verdict on one claim for one subject."""

    claim: Claim
    subject: str
    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class BeyondStock:
    """One of our optimizers against Keras's Adam on one measure."""

    evidence: Evidence
    comparison: RivalComparison
    standing: Standing
