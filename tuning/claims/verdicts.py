"""From comparisons to verdicts, by the rules of `tuning.claims.rules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuning.claims.contenders import BEYOND, STOCK
from tuning.claims.findings import BeyondStock, Finding, Judgement, Standing, Verdict
from tuning.claims.measures import MEASURES
from tuning.claims.rules import CLAIMS, WORSE_SHARE, Claim
from tuning.statistics.limits import LEAST_DIFFERENCE
from tuning.statistics.rivals import Bar, RivalComparison, compare_rivals
from tuning.statistics.task_runs import TaskRuns


def judge_all(tasks: Mapping[str, Sequence[TaskRuns]]) -> tuple[Judgement, ...]:
    """Judge every claim for every subject.

    Args:
        tasks: the workloads by kind, as `tuning.claims.rules.Evidence.tasks` names it.
    """
    return tuple(
        judge(claim, subject, tasks) for claim in CLAIMS for subject in claim.subjects
    )


def judge(
    claim: Claim, subject: str, tasks: Mapping[str, Sequence[TaskRuns]]
) -> Judgement:
    """Judge one claim for one subject; see `judge_all`."""
    findings = []
    for evidence in claim.evidence:
        measure = MEASURES[evidence.measure]
        for rival in evidence.rivals or (None,):
            bar = None if evidence.at_most is None else Bar(evidence.at_most, True)
            of_kind = tasks.get(evidence.tasks, ())
            found = compare_rivals(measure, of_kind, subject, rival, bar)
            verdict = judge_comparison(found, evidence.least_tasks)
            findings.append(Finding(evidence, found, verdict))
    verdicts = [finding.verdict for finding in findings]
    return Judgement(claim, subject, combine(verdicts), tuple(findings))


def judge_comparison(comparison: RivalComparison, least_tasks: int) -> Verdict:
    """The verdict of a measure against one rival.

    Args:
        comparison: over the workloads.
        least_tasks: fewer workloads give no verdict.
    """
    pooled, bar = comparison.pooled, comparison.bar
    count = len(comparison.tasks)
    if pooled is None or count < least_tasks:
        return "not judged"
    worse, better = comparison.count("worse"), comparison.count("better")
    if not bar.is_passed(pooled.value) or worse > better:
        return "not supported"
    is_clear = pooled.interval is not None and bar.is_passed(pooled.interval.high)
    return "supported" if is_clear and worse <= WORSE_SHARE * count else "mixed"


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim from those of its measures."""
    judged = [verdict for verdict in verdicts if verdict != "not judged"]
    if not judged:
        return "not judged"
    if all(verdict == "supported" for verdict in judged):
        return "supported"
    if all(verdict == "not supported" for verdict in judged):
        return "not supported"
    return "mixed"


def beyond_stock(
    tasks: Mapping[str, Sequence[TaskRuns]],
) -> tuple[BeyondStock, ...]:
    """Ours against Keras's Adam, on every measure that decides on a claim."""
    found = []
    for subject in BEYOND:
        for evidence in (e for claim in CLAIMS for e in claim.evidence):
            of_kind = tasks.get(evidence.tasks, ())
            measure = MEASURES[evidence.measure]
            comparison = compare_rivals(measure, of_kind, subject, STOCK)
            standing = _standing(comparison, evidence.least_tasks)
            found.append(BeyondStock(evidence, comparison, standing))
    return tuple(found)


def _standing(comparison: RivalComparison, least_tasks: int) -> Standing:
    pooled, bar = comparison.pooled, comparison.bar
    if pooled is None or len(comparison.tasks) < least_tasks:
        return "not judged"
    is_ratio = MEASURES[comparison.measure].compared_by == "ratio"
    if is_ratio and abs(pooled.value - 1.0) < LEAST_DIFFERENCE:
        return "no clear difference"
    if pooled.interval is not None and pooled.interval.high < bar.value:
        return "better"
    if pooled.interval is not None and pooled.interval.low > bar.value:
        return "worse"
    return "no clear difference"
