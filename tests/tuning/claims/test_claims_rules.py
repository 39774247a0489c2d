"""Comparisons and verdicts: intervals, boundaries, what has no data."""

import dataclasses
import math

import pytest
from claims_records import make_run
from hypothesis import given
from hypothesis import strategies as st

from tuning.claims.contenders import (
    DEFAULT_RATES,
    OURS,
    RMSPROP,
    ROBUST,
    SGD,
    STOCK,
    SUBJECTS,
)
from tuning.claims.measures import MEASURES
from tuning.claims.rules import CLAIMS, Claim, Evidence
from tuning.claims.verdicts import (
    beyond_stock,
    combine,
    judge,
    judge_all,
    judge_comparison,
)
from tuning.statistics.rivals import (
    Bar,
    Estimate,
    RivalComparison,
    TaskComparison,
    compare_rivals,
    figure_of,
    pool,
)
from tuning.statistics.task_runs import TaskRuns
from tuning.statistics.values import Interval

AREA = MEASURES["early area, default rate"]
DIVERGED = MEASURES["diverged runs"]


def task(name="task", **areas):
    """Early areas by optimizer and seed, at the default rates."""
    names = {
        "adam": OURS,
        "robust": ROBUST,
        "keras_adam": STOCK,
        "sgd": SGD,
        "rmsprop": RMSPROP,
    }
    return TaskRuns.collect(
        make_run(
            names[optimizer],
            workload=name,
            rate=DEFAULT_RATES[names[optimizer]],
            seed=seed,
            curve=[2.0 * value] * 20,
        )
        for optimizer, values in areas.items()
        for seed, value in enumerate(values)
    )


def test_an_interval_runs_over_what_the_seeds_allow():
    # Two seeds: either alone, or both. 0.2, 0.4, and 0.3 twice.
    found = figure_of(AREA, task(adam=(0.2, 0.4)), OURS)
    assert found.value == pytest.approx(0.3)
    assert found.interval == Interval(pytest.approx(0.2), pytest.approx(0.4), 2)
    assert figure_of(AREA, task(adam=(0.2,)), OURS) == Estimate(
        pytest.approx(0.2), None
    )
    assert figure_of(AREA, task(adam=(0.2,)), SGD) is None


def test_ratios_are_taken_from_the_same_seeds():
    # 0.2 / 0.4 and 0.4 / 0.8: half with every seed, though single figures overlap.
    found = compare_rivals(AREA, [task(adam=(0.2, 0.4), sgd=(0.4, 0.8))], OURS, SGD)
    (only,) = found.tasks
    assert only.compared.value == pytest.approx(0.5)
    assert only.compared.interval.low == pytest.approx(0.5)
    assert only.compared.interval.high == pytest.approx(0.5)
    assert only.outcome == "better"
    assert found.pooled.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("adam", "sgd", "outcome"),
    [
        ((0.2, 0.4), (0.3, 0.3), "even"),  # 2/3 ... 4/3
        ((0.2, 0.29), (0.3, 0.3), "better"),
        ((0.31, 0.4), (0.3, 0.3), "worse"),
        ((0.3, 0.3), (0.3, 0.3), "even"),
        ((0.2975, 0.298), (0.3, 0.3), "even"),  # by less than 1 %
        ((0.2965, 0.297), (0.3, 0.3), "better"),
        ((0.3, 0.2), (0.3, 0.3), "even"),  # one seed reads the same: up to 1
        ((0.1,), (0.9,), "even"),  # one seed tells nothing of chance
    ],
)
def test_an_outcome_needs_the_whole_interval_on_one_side(adam, sgd, outcome):
    found = compare_rivals(AREA, [task(adam=adam, sgd=sgd)], OURS, SGD)
    assert found.tasks[0].outcome == outcome


def test_where_reaching_the_bar_is_enough_equal_is_better():
    equal = [task(adam=(0.3, 0.3), sgd=(0.3, 0.3))]
    assert compare_rivals(AREA, equal, OURS, SGD, Bar(1.0, True)).count("better") == 1
    assert compare_rivals(AREA, equal, OURS, SGD, Bar(0.99, True)).count("worse") == 1


def test_workloads_without_both_figures_are_left_out():
    tasks = [task("a", adam=(0.2, 0.4)), task("b", adam=(0.2, 0.4), sgd=(0.3, 0.3))]
    found = compare_rivals(AREA, tasks, OURS, SGD)
    assert [one.workload for one in found.tasks] == ["b"]
    nothing = compare_rivals(AREA, tasks[:1], OURS, SGD)
    assert (nothing.tasks, nothing.pooled) == ((), None)


def test_a_ratio_to_nothing_is_no_ratio():
    tasks = [task(adam=(0.2, 0.4), sgd=(0.0, 0.0))]
    assert compare_rivals(AREA, tasks, OURS, SGD).tasks == ()


def test_ratios_are_pooled_geometrically_and_differences_as_they_are():
    ratios = pool([0.5, 2.0], [[0.5], [2.0]], is_ratio=True)
    assert ratios.value == pytest.approx(1.0)
    assert ratios.interval.low == pytest.approx(0.5)  # the first drawn twice
    assert ratios.interval.high == pytest.approx(2.0)
    differences = pool([-0.1, 0.3], [[-0.1], [0.3]], is_ratio=False)
    assert differences.value == pytest.approx(0.1)


def test_one_workload_has_the_interval_of_its_seeds():
    found = pool([0.5], [[0.4, 0.5, 0.5, 0.6]], is_ratio=False)
    assert found == Estimate(0.5, Interval(0.4, 0.6, 4))
    assert pool([0.5], [[0.5]], is_ratio=False).interval is None


def test_a_ratio_of_nothing_keeps_the_mean_finite():
    found = pool([0.0, 1.0], [[0.0], [1.0]], is_ratio=True)
    assert 0 < found.value < 1
    assert math.isfinite(found.interval.low)


@given(
    st.lists(
        st.lists(st.floats(0.01, 100), min_size=2, max_size=4), min_size=1, max_size=5
    )
)
def test_a_pooled_interval_lies_within_what_was_drawn(drawn):
    values = [row[0] for row in drawn]
    for is_ratio in (True, False):
        interval = pool(values, drawn, is_ratio=is_ratio).interval
        low, high = min(map(min, drawn)), max(map(max, drawn))
        assert low * (1 - 1e-9) <= interval.low <= interval.high <= high * (1 + 1e-9)


def comparison(
    value, low=None, high=None, *, better=0, even=0, worse=0, rival=SGD, bar=1.0
):
    """A pooled comparison with so many workloads of each outcome."""
    one = Estimate(value, None)
    tasks = tuple(
        TaskComparison("t", one, one, one, outcome)
        for outcome, count in (("better", better), ("even", even), ("worse", worse))
        for _ in range(count)
    )
    interval = None if low is None else Interval(low, high, 2)
    bar = Bar(bar, rival is None)
    return RivalComparison("m", OURS, rival, bar, tasks, Estimate(value, interval))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (comparison(0.8, 0.7, 0.9, better=8), "supported"),
        (comparison(0.8, 0.7, 0.99, better=1, even=7), "supported"),
        # At most a quarter of the workloads may be worse.
        (comparison(0.8, 0.7, 0.9, better=6, worse=2), "supported"),
        (comparison(0.8, 0.7, 0.9, better=5, worse=3), "mixed"),
        # More worse than better, whatever the mean says.
        (comparison(0.8, 0.7, 0.9, better=3, worse=4, even=1), "not supported"),
        # The interval must leave out 1.
        (comparison(0.8, 0.7, 1.0, better=8), "mixed"),
        (comparison(0.8, 0.7, 1.2, better=8), "mixed"),
        (comparison(0.8, better=8), "mixed"),
        # No better on the mean.
        (comparison(1.0, 0.9, 1.1, better=8), "not supported"),
        (comparison(1.0, 1.0, 1.0, even=8), "not supported"),
        (comparison(1.2, 1.1, 1.3, worse=8), "not supported"),
        # Too few workloads.
        (comparison(0.8, 0.7, 0.9, better=2), "not judged"),
        (comparison(0.8, 0.7, 0.9, better=3), "supported"),
        # Against a bar of its own, reaching it is enough.
        (comparison(0.25, 0.0, 0.25, better=8, rival=None, bar=0.25), "supported"),
        (comparison(0.25, 0.0, 0.26, better=8, rival=None, bar=0.25), "mixed"),
        (comparison(0.26, 0.0, 0.5, even=8, rival=None, bar=0.25), "not supported"),
    ],
)
def test_the_boundaries_of_a_measure_s_verdict(found, verdict):
    assert judge_comparison(found, least_tasks=3) == verdict


def test_without_figures_there_is_no_verdict():
    empty = RivalComparison("m", OURS, SGD, Bar(1.0), (), None)
    assert judge_comparison(empty, least_tasks=1) == "not judged"


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "not judged"], "supported"),
        (["supported", "mixed"], "mixed"),
        (["supported", "not supported"], "mixed"),
        (["mixed", "mixed"], "mixed"),
        (["mixed", "not supported"], "mixed"),
        (["not supported", "not supported", "not judged"], "not supported"),
        (["not judged"], "not judged"),
        ([], "not judged"),
    ],
)
def test_a_claim_s_verdict_follows_from_its_measures(verdicts, whole):
    assert combine(verdicts) == whole


def three(**areas):
    return [task(name, **areas) for name in ("a", "b", "c")]


def test_a_claim_is_judged_against_every_rival():
    claim = Claim(
        "Test", "It is.", (Evidence("early area, default rate", (SGD, RMSPROP)),)
    )
    tasks = {"applications": three(adam=(0.2, 0.2), sgd=(0.4, 0.4), rmsprop=(0.1, 0.1))}
    found = judge(claim, OURS, tasks)
    assert [finding.verdict for finding in found.findings] == [
        "supported",
        "not supported",
    ]
    assert found.verdict == "mixed"


def test_equally_many_diverged_runs_do_not_make_an_optimizer_more_stable():
    tasks = three(adam=(0.2, 0.2), rmsprop=(0.4, 0.4))
    found = compare_rivals(DIVERGED, tasks, OURS, RMSPROP)
    assert found.pooled == Estimate(0.0, Interval(0.0, 0.0, 4))
    assert judge_comparison(found, 3) == "not supported"


def test_every_claim_is_judged_for_every_subject_even_without_a_run():
    judged = judge_all({})
    assert [(j.claim.name, j.verdict) for j in judged] == [
        (claim.name, "not judged") for claim in CLAIMS for _ in claim.subjects
    ]
    assert {j.subject for j in judged} >= set(SUBJECTS)


def test_ours_is_held_against_keras_s_adam_on_every_measure():
    tasks = {
        "applications": three(adam=(0.3, 0.3), robust=(0.2, 0.2), keras_adam=(0.3, 0.3))
    }
    found = {
        (b.comparison.subject, b.comparison.measure): b.standing
        for b in beyond_stock(tasks)
        if b.evidence.tasks == "applications"
    }
    assert found[OURS, "early area, default rate"] == "no clear difference"
    # A few scalars more are no more state.
    tasks["applications"] = [
        dataclasses.replace(
            one,
            parameters=1000,
            records={},
            state_bytes={OURS: 8000, ROBUST: 8004, STOCK: 8000},
            peak_bytes={(OURS, 0): 1, (OURS, 1): 1},
        )
        for one in tasks["applications"]
    ]
    state = {
        b.comparison.subject: b.standing
        for b in beyond_stock(tasks)
        if b.evidence.measure == "state" and b.evidence.tasks == "applications"
    }
    assert state[ROBUST] == "no clear difference"
    assert found[ROBUST, "early area, default rate"] == "better"
    assert found[ROBUST, "steps to SGD's loss, best rate"] == "not judged"
    measures = {evidence.measure for claim in CLAIMS for evidence in claim.evidence}
    assert {measure for _, measure in found} >= measures - {"bad runs", "peak"}


def test_rules_name_measures_and_rivals_that_there_are():
    from tuning.claims.budgets import BUDGETS
    from tuning.claims.contenders import CONTENDERS

    for evidence in (e for claim in CLAIMS for e in claim.evidence):
        assert evidence.measure in MEASURES
        assert set(evidence.rivals) <= set(CONTENDERS)
        assert evidence.rivals or evidence.at_most is not None
        for budget in BUDGETS.values():
            kinds = [sweep.kind for sweep in budget.sweeps] + ["large"]
            assert kinds.count(evidence.tasks) >= evidence.least_tasks
