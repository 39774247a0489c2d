"""Findings as tables of text, the same ones for HTML and Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuning.claims.contenders import LABELS, SUBJECTS
from tuning.claims.findings import BeyondStock, Finding, Judgement
from tuning.claims.measures import MEASURES
from tuning.claims.rules import CLAIMS, Claim, Evidence
from tuning.report.number_text import NOTHING, format_bytes, format_number, format_share
from tuning.report.tables import Cell, Table
from tuning.statistics.rivals import Estimate, RivalComparison, figure_of
from tuning.statistics.task_runs import Measure, TaskRuns
from tuning.statistics.values import Interval

KINDS: Mapping[str, str] = {
    "applications": "",
    "exploding": "",
    "large": " (large model)",
}
"""Suffixes that distinguish equal measures on different kinds of workloads."""


def label(optimizer: str) -> str:
    """The name of an optimizer in tables."""
    return LABELS.get(optimizer, optimizer)


def measure_name(evidence: Evidence) -> str:
    """The name of a measure, with its workloads if others have the same measure."""
    return evidence.measure + KINDS[evidence.tasks]


def overview_table(judgements: Sequence[Judgement]) -> Table:
    """One screen: a row per claim, then one per measure against its closest rival."""
    rows = []
    subjects = [s for s in SUBJECTS if _has_any(judgements, s)]
    for claim in CLAIMS:
        of_claim = {j.subject: j for j in judgements if j.claim == claim}
        if not of_claim:
            continue
        rows.append(
            (
                Cell(claim.name),
                *(_verdict_cell(of_claim[s].verdict) for s in subjects),
            )
        )
        for evidence in claim.evidence:
            cells = [
                _closest_cell(
                    [f for f in of_claim[s].findings if f.evidence == evidence]
                )
                for s in subjects
            ]
            rows.append((Cell(f"\N{EN DASH} {measure_name(evidence)}"), *cells))
    return Table(("Claim", *(label(s) for s in subjects)), tuple(rows))


def claim_table(judgements: Sequence[Judgement]) -> Table:
    """One claim: every measure and rival, and the verdict for each subject."""
    headers = ("Measure, against", *(label(j.subject) for j in judgements))
    rows = []
    for number, finding in enumerate(judgements[0].findings):
        rival = finding.comparison.rival
        against = f"at most {finding.evidence.at_most:g}" if rival is None else None
        name = f"{measure_name(finding.evidence)}, {against or label(rival or '')}"
        cells = [_finding_cell(j.findings[number]) for j in judgements]
        rows.append((Cell(name), *cells))
    verdicts = tuple(_verdict_cell(j.verdict) for j in judgements)
    return Table(headers, (*rows, (Cell("Verdict"), *verdicts)))


def figure_table(
    claim: Claim, tasks: Mapping[str, Sequence[TaskRuns]], optimizers: Sequence[str]
) -> Table:
    """The figures behind a claim: a row per measure and workload, all optimizers."""
    rows = []
    for evidence in claim.evidence:
        measure = MEASURES[evidence.measure]
        for task in tasks.get(evidence.tasks, ()):
            found = {o: figure_of(measure, task, o) for o in optimizers}
            values = [f.value for f in found.values() if f is not None]
            if not values:
                continue
            least = figure_text(measure, min(values))
            cells = [_figure_cell(measure, found[o], least) for o in optimizers]
            rows.append((Cell(f"{evidence.measure}, {task.workload}"), *cells))
    headers = ("Measure, workload", *(label(o) for o in optimizers))
    return Table(headers, tuple(rows))


def beyond_table(found: Sequence[BeyondStock]) -> Table:
    """Our optimizers against Keras's Adam: a row per measure, a column for each."""
    subjects = list(dict.fromkeys(b.comparison.subject for b in found))
    evidence = list(dict.fromkeys(b.evidence for b in found))
    rows = []
    for one in evidence:
        cells = []
        for subject in subjects:
            of_it = next(
                b
                for b in found
                if b.evidence == one and b.comparison.subject == subject
            )
            cells.append(
                Cell(
                    _pooled_text(of_it.comparison),
                    of_it.standing == "better",
                    _interval_and_counts(of_it.comparison),
                    of_it.standing,
                )
            )
        kind = "ratio" if MEASURES[one.measure].compared_by == "ratio" else "difference"
        rows.append((Cell(f"{measure_name(one)}, {kind}"), *cells))
    return Table(("Measure", *(label(s) for s in subjects)), tuple(rows))


def figure_text(measure: Measure, value: float) -> str:
    """A figure in its unit."""
    if measure.unit == "share":
        return format_share(value)
    return (
        format_bytes(round(value)) if measure.unit == "bytes" else format_number(value)
    )


def _has_any(judgements: Sequence[Judgement], subject: str) -> bool:
    of_subject = [j for j in judgements if j.subject == subject]
    return any(j.verdict != "not judged" for j in of_subject)


def _closest_cell(findings: Sequence[Finding]) -> Cell:
    """The cell of the rival against which the subject does worst."""
    judged = [f for f in findings if f.comparison.pooled is not None]
    if not judged:
        return Cell(NOTHING)
    closest = max(judged, key=lambda f: f.comparison.pooled.value)  # pyright: ignore
    comparison = closest.comparison
    rival = f" of {label(comparison.rival)}" if comparison.rival else ""
    if MEASURES[comparison.measure].compared_by == "difference" and rival:
        rival = rival.replace(" of ", " from ")
    badge = closest.verdict if closest.verdict == "not judged" else ""
    return Cell(
        f"{_pooled_text(comparison)}{rival}",
        note=_interval_text(comparison),
        badge=badge,
    )


def _finding_cell(finding: Finding) -> Cell:
    comparison = finding.comparison
    if comparison.pooled is None:
        return Cell(NOTHING, badge=finding.verdict)
    return Cell(
        _pooled_text(comparison),
        finding.verdict == "supported",
        _interval_and_counts(comparison),
        finding.verdict,
    )


def _figure_cell(measure: Measure, estimate: Estimate | None, least: str) -> Cell:
    if estimate is None:
        return Cell(NOTHING)
    text = figure_text(measure, estimate.value)
    interval = estimate.interval
    is_exact = interval is None or interval.low == interval.high
    note = "" if is_exact or interval is None else _brackets(measure, interval)
    return Cell(text, text == least, note)


def _brackets(measure: Measure, interval: Interval) -> str:
    ends = (figure_text(measure, end) for end in (interval.low, interval.high))
    return f"[{', '.join(ends)}]"


def _verdict_cell(verdict: str) -> Cell:
    return Cell("", is_best=True, badge=verdict)


def _pooled_text(comparison: RivalComparison) -> str:
    if comparison.pooled is None:
        return NOTHING
    text = _pooled_number(comparison, comparison.pooled.value)
    is_ratio = MEASURES[comparison.measure].compared_by == "ratio"
    if comparison.rival is not None and is_ratio:
        text += " \N{MULTIPLICATION SIGN}"
    return text


def _pooled_number(comparison: RivalComparison, value: float) -> str:
    """A figure, ratio or difference over the workloads: shares in percent."""
    measure = MEASURES[comparison.measure]
    if comparison.rival is None:
        return figure_text(measure, value)
    if measure.compared_by == "ratio":
        return format_number(value)
    sign = "+" if value > 0 else "-" if value < 0 else ""
    size = abs(value)
    is_share = measure.unit == "share"
    return sign + (format_share(size) if is_share else format_number(size))


def _interval_text(comparison: RivalComparison) -> str:
    """The interval in the same unit as the figure; empty if it has no width."""
    pooled = comparison.pooled
    if pooled is None or pooled.interval is None:
        return ""
    low, high = pooled.interval.low, pooled.interval.high
    if math.isclose(low, high, rel_tol=1e-9):
        return ""
    return f"[{', '.join(_pooled_number(comparison, end) for end in (low, high))}]"


def _interval_and_counts(comparison: RivalComparison) -> str:
    """The interval, and on how many workloads the subject is better, even and worse."""
    counts = {
        outcome: comparison.count(outcome) for outcome in ("better", "even", "worse")
    }
    told = [f"{outcome} on {count}" for outcome, count in counts.items() if count]
    return "; ".join(part for part in (_interval_text(comparison), *told) if part)
