"""The answer of a sweep and how far it can be trusted, worked out by hand."""

import dataclasses

import pytest
from judged_records import DIVERGED, as_accuracy, make_record, make_records

from tuning.grid import Grid
from tuning.statistics.answer import answer
from tuning.statistics.confidence import LEAST_STEPS, Confidence, Reason
from tuning.statistics.summary import summarize

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# Stable from 1e-3 to 1e-1; three seeds.
WIDE = make_records(
    "keras.Adam",
    32,
    [1.9, 0.52, 0.48, 0.53, 1.8],
    [1.9, 0.54, 0.50, 0.55, 1.8],
    [1.9, 0.54, 0.55, 0.55, 1.8],
    rates=RATES,
)


def answer_to(records, **options):
    return answer(summarize(records, **options), records)


def confidence_in(records, **options):
    return answer_to(records, **options).confidence


def test_the_answer_has_the_worst_and_the_best_seed():
    found = answer_to(WIDE)
    assert found.recommendation.learning_rate == 1e-2
    assert (found.best, found.worst) == (0.48, 0.55)


def test_a_rising_objective_keeps_its_sign():
    found = answer_to([as_accuracy(record) for record in WIDE])
    assert (found.best, found.worst) == (pytest.approx(0.76), pytest.approx(0.725))


def test_rivals_are_the_others_at_that_batch_size_the_widest_first():
    # The limit is 0.51 + 0.05 * (2 - 0.51) = 0.5845: 0.58 is as good, 0.6 is not.
    near = make_records("near", 32, *[[1.9, 1.9, 0.58, 1.9, 2.0]] * 3, rates=RATES)
    far = make_records("far", 32, *[[0.61, 0.6, 0.6, 0.6, 2.0]] * 3, rates=RATES)
    none = make_records("none", 32, *[[2.0, 2.5, DIVERGED, 2.0, 2.0]] * 3, rates=RATES)
    elsewhere = make_records("near", 64, *[[1.9] * 5] * 3, rates=RATES)
    found = answer_to([*WIDE, *near, *far, *none, *elsewhere])
    assert [(r.optimizer, r.is_as_good) for r in found.rivals] == [
        ("far", False),
        ("near", True),
        ("none", False),
    ]
    assert found.rivals[0].best == pytest.approx(0.6)
    assert found.rivals[2].stable_range is None


def test_nothing_learned_or_no_records_is_no_answer():
    records = make_records("keras.Adam", 32, [2.0, 2.5, 2.0, 2.0, 2.0], rates=RATES)
    assert answer_to(records) is None
    assert answer(summarize(WIDE), []) is None


def test_without_a_doubt_confidence_is_high():
    assert confidence_in(WIDE) == Confidence("high", ())


def test_two_seeds_are_a_doubt_and_one_is_a_grave_one():
    assert confidence_in(WIDE[:10]) == Confidence("fair", (Reason("seeds", 2),))
    assert confidence_in(WIDE[:5]) == Confidence("low", (Reason("seeds", 1),))


@pytest.mark.parametrize(
    ("steps", "reasons"),
    [
        (LEAST_STEPS - 1, (Reason("steps", LEAST_STEPS - 1),)),
        (LEAST_STEPS, ()),
        (0, ()),
    ],
)
def test_short_runs_are_a_doubt_unless_their_length_is_unknown(steps, reasons):
    records = [dataclasses.replace(record, steps=steps) for record in WIDE]
    assert confidence_in(records).reasons == reasons


def test_an_edge_is_a_doubt_only_where_it_is_near():
    # Stable down to the lowest rate, 1e-4; the middle of 1e-4 ... 1e-2 is a decade up.
    far = [[0.5, 0.5, 0.5, 1.9, 1.9]] * 3
    assert confidence_in(make_records("a", 32, *far, rates=RATES)).level == "high"
    # 2e-4, near the middle of 1e-4 ... 5e-4, is a third of a decade from the edge.
    near = [[0.5, 0.5, 0.5, 1.9, 1.9]] * 3
    rates = (1e-4, 2e-4, 5e-4, 1e-2, 1.0)
    found = confidence_in(make_records("a", 32, *near, rates=rates))
    assert found == Confidence("fair", (Reason("edge"),))


def test_two_doubts_are_low_confidence():
    # Only 1e-2 is stable, with two seeds.
    records = make_records("a", 32, *[[1.9, 1.9, 0.5, 1.9, 1.9]] * 2, rates=RATES)
    found = confidence_in(records)
    assert found == Confidence("low", (Reason("seeds", 2), Reason("narrow")))


def test_missing_runs_are_a_doubt():
    grid = Grid(("keras.Adam",), RATES, (32, 64), (0, 1, 2), 3)
    found = confidence_in(WIDE, grid=grid)
    assert found == Confidence("fair", (Reason("unfinished", 15),))


def test_failed_runs_are_not_among_the_seeds():
    failed = make_record("keras.Adam", 32, 1e-2, 3, "failed")
    assert answer_to([*WIDE, failed]).recommendation.seeds == 3
