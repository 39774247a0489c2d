"""Findings as cells: one unit in a cell, outcomes in words, verdicts as badges."""

import dataclasses

import pytest
from claims_records import write_claims_directory
from html_page import Page

from tuning.claims.contenders import OURS, SGD
from tuning.claims.findings import BeyondStock, Finding, Judgement
from tuning.claims.page import write_claims
from tuning.claims.rules import Claim, Evidence
from tuning.claims.tables import beyond_table, claim_table
from tuning.statistics.rivals import Bar, Estimate, RivalComparison, TaskComparison
from tuning.statistics.values import Interval

TIMES = "\N{MULTIPLICATION SIGN}"


def comparison(measure, value, low, high, rival=SGD, **counts):
    one = Estimate(value, None)
    tasks = tuple(
        TaskComparison("t", one, one, one, outcome)
        for outcome, count in counts.items()
        for _ in range(count)
    )
    pooled = Estimate(value, Interval(low, high, 2))
    return RivalComparison(measure, OURS, rival, Bar(1.0, False), tasks, pooled)


def cell_of(measure, *figures, verdict="mixed", **options):
    found = comparison(measure, *figures, **options)
    evidence = Evidence(measure, (SGD,))
    finding = Finding(evidence, found, verdict)
    judgement = Judgement(Claim("c", "t", (evidence,)), OURS, verdict, (finding,))
    return claim_table([judgement]).rows[0][1]


@pytest.mark.parametrize(
    ("measure", "figures", "text", "interval"),
    [
        ("diverged runs", (-0.111, -0.2, 0.05), "-11.1 %", "[-20 %, +5 %]"),
        (
            "early area, best rate",
            (0.9, 0.8, 1.1),
            f"0.900 {TIMES}",
            "[0.800, 1.10]",
        ),
        ("spikes, best rate", (0.5, 0.25, 1.5), "+0.500", "[+0.250, +1.50]"),
        ("spikes, best rate", (0.5, 0.5, 0.5), "+0.500", ""),
    ],
)
def test_figure_and_interval_have_one_unit(measure, figures, text, interval):
    cell = cell_of(measure, *figures)
    assert (cell.text, cell.note) == (text, interval)


def test_outcomes_are_told_in_words_those_that_occur():
    cell = cell_of("diverged runs", 0.0, 0.0, 0.0, even=8)
    assert (cell.text, cell.note, cell.badge) == ("0 %", "even on 8", "mixed")
    cell = cell_of("diverged runs", 0.0, -0.1, 0.1, better=5, worse=3)
    assert cell.note == "[-10 %, +10 %]; better on 5; worse on 3"


def test_a_standing_beside_keras_is_a_badge_too():
    found = comparison("diverged runs", -0.1, -0.2, -0.05, better=8)
    one = BeyondStock(Evidence("diverged runs", ()), found, "better")
    cell = beyond_table([one]).rows[0][1]
    assert (cell.text, cell.badge, cell.is_best) == ("-10 %", "better", True)
    none = dataclasses.replace(one, standing="no clear difference")
    assert not beyond_table([none]).rows[0][1].is_best


def test_verdicts_differ_in_word_and_in_colour(tmp_path):
    text = write_claims(write_claims_directory(tmp_path)).read_text()
    page = Page(text)
    badges = {attrs["class"] for _, attrs in page.tags if "badge" in str(attrs)}
    assert badges >= {"badge not-judged", "badge not-supported"}
    for kind in ("supported", "mixed", "not-supported"):
        assert f".badge.{kind}" in text
    assert "0/1/0" not in text
