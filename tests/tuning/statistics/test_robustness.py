"""Statistics over records, held against figures worked out by hand."""

import dataclasses
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_records import DIVERGED, FAILED, INITIAL, RATES, make_record, make_records

from tuning.grid import Grid
from tuning.report.verdict import write_verdict
from tuning.statistics import summarize
from tuning.statistics.curves import find_good_region
from tuning.statistics.seed_losses import (
    SeedLosses,
    judged_loss,
    learning_rate_sensitivity,
    sensitivity_interval,
)

# Batch 32, means over the two seeds with every loss capped at 2:
#   steep: 1.1, 0.5, (1.6 + 2) / 2 = 1.8   best 0.5 at 0.01
#   slow:  (1.9 + 2) / 2 = 1.95, 1.4, 0.7  best 0.7 at 0.1
# Batch 128:
#   steep: 1.0, 1.0, 0.5                   best 0.5 at 0.1
#   slow:  2.0, 2.0, 2.0                   learns nothing
STEEP_32 = make_records("steep", 32, (1.0, 0.4, 1.6), (1.2, 0.6, DIVERGED))
SLOW_32 = make_records("slow", 32, (1.9, 1.5, 0.8), (2.4, 1.3, 0.6))
STEEP_128 = make_records("steep", 128, (1.0, 1.0, 0.5), (1.0, 1.0, 0.5))
SLOW_128 = make_records("slow", 128, (2.0, 2.0, 2.0), (2.0, 2.0, 2.0))
ALL = STEEP_32 + SLOW_32 + STEEP_128 + SLOW_128
GRID = Grid(("slow", "steep"), RATES, (32, 128), (0, 1), 3)


def optimizer_of(summary, name):
    return next(o for o in summary.optimizers if o.name == name)


def curve_of(summary, name, batch_size):
    curves = optimizer_of(summary, name).curves
    return next(curve for curve in curves if curve.batch_size == batch_size)


@pytest.mark.parametrize(
    ("outcome", "fields", "expected"),
    [
        (0.5, {}, 0.5),
        (1e30, {}, 2.0),
        (DIVERGED, {}, 2.0),
        (math.nan, {}, 2.0),
        (FAILED, {}, None),
        (FAILED, {"initial_loss": 2.0}, None),
        (0.5, {"initial_loss": None}, None),
        (0.5, {"initial_loss": math.nan}, None),
        (0.0, {}, 0.0),
        (-3.0, {}, -3.0),
    ],
)
def test_a_run_is_judged_by_its_final_loss_but_never_above_its_start(
    outcome, fields, expected
):
    record = make_record("adam", 32, 1e-3, 0, outcome, **fields)
    assert judged_loss(record) == expected


def test_figures_of_one_curve():
    curve = curve_of(summarize(ALL, grid=GRID), "steep", 32)
    assert [point.loss for point in curve.points] == pytest.approx([1.1, 0.5, 1.8])
    assert [point.lowest_loss for point in curve.points] == [1.0, 0.4, 1.6]
    assert [point.highest_loss for point in curve.points] == [1.2, 0.6, 2.0]
    assert [point.diverged for point in curve.points] == [0, 0, 1]
    assert (curve.best_loss, curve.best_rate) == (0.5, 1e-2)
    assert curve.best_rate_edge is None
    # Standard deviation of 0.4 and 0.6 with n - 1: 0.1 * sqrt(2).
    assert curve.best_loss_deviation == pytest.approx(0.1 * math.sqrt(2))
    # (0.6 + 0 + 1.3) / 3
    assert curve.sensitivity == pytest.approx(1.9 / 3)
    assert curve.sensitivity_to_best_of_any == pytest.approx(1.9 / 3)
    assert curve.runs == 6
    assert curve.diverged_share == curve.bad_share == pytest.approx(1 / 6)


def test_sensitivity_to_the_best_of_any_optimizer_is_larger_by_the_gap():
    curve = curve_of(summarize(ALL, grid=GRID), "slow", 32)
    # Own best 0.7: (1.25 + 0.7 + 0) / 3. Best of any 0.5: (1.45 + 0.9 + 0.2) / 3.
    assert curve.sensitivity == pytest.approx(0.65)
    assert curve.sensitivity_to_best_of_any == pytest.approx(0.85)
    # One run ended at 2.4, above its start, without diverging.
    assert curve.bad_share == pytest.approx(1 / 6)
    assert curve.diverged_share == 0


def test_good_region_is_interpolated_over_the_logarithm_of_the_rate():
    region = curve_of(summarize(ALL, grid=GRID), "steep", 32).good_region
    # Limit 0.5 + 0.05 * (2 - 0.5) = 0.575, that is 0.075 above the best.
    # Left, the loss rises by 0.6 per decade: 0.075 / 0.6 = 0.125 decades.
    # Right, it rises by 1.3 per decade: 0.075 / 1.3 decades.
    assert region.low_rate == pytest.approx(10**-2.125)
    assert region.high_rate == pytest.approx(10 ** (-2 + 0.075 / 1.3))
    assert region.decades == pytest.approx(0.125 + 0.075 / 1.3)
    assert not region.is_lower_bound


def test_good_region_at_the_edge_is_a_lower_bound():
    curve = curve_of(summarize(ALL, grid=GRID), "slow", 32)
    # Limit 0.7 + 0.05 * 1.3; left, the loss rises by 0.7 per decade.
    assert curve.best_rate_edge == "high"
    assert curve.good_region.decades == pytest.approx(0.065 / 0.7)
    assert curve.good_region.high_rate == 1e-1
    assert curve.good_region.touches_high_edge
    assert not curve.good_region.touches_low_edge


def test_good_region_is_contiguous():
    # Limit 0 + 0.1 * 1 = 0.1. The dip at the fourth rate is as good as the best, but
    # a bad rate lies between. Right of the best: 0.1 / 1 of a decade.
    region = find_good_region([1e-3, 1e-2, 1e-1, 1.0], [0.05, 0, 1, 0], 1, 0.1)
    assert region.low_rate == 1e-3
    assert region.decades == pytest.approx(1.1)
    assert region.touches_low_edge
    assert not region.touches_high_edge


def test_tolerance_widens_the_good_region():
    # Limit 0.5 + 0.4 * 1.5 = 1.1 reaches the first rate exactly: one decade to the
    # left, and 0.6 / 1.3 decades to the right.
    summary = summarize(STEEP_32, good_tolerance=0.4)
    region = curve_of(summary, "steep", 32).good_region
    assert region.decades == pytest.approx(1 + 0.6 / 1.3)
    assert region.touches_low_edge


def test_figures_over_batch_sizes():
    summary = summarize(ALL, grid=GRID)
    steep, slow = optimizer_of(summary, "steep"), optimizer_of(summary, "slow")
    # S at batch 128: steep (0.5 + 0.5 + 0) / 3 = 1/3; slow 0, against 0.5: 1.5.
    assert steep.mean_sensitivity == pytest.approx((1.9 / 3 + 1 / 3) / 2)
    assert steep.median_sensitivity == pytest.approx((1.9 / 3 + 1 / 3) / 2)
    assert steep.mean_sensitivity_to_best_of_any == pytest.approx((1.9 / 3 + 1 / 3) / 2)
    assert slow.mean_sensitivity == pytest.approx(0.65 / 2)
    assert slow.mean_sensitivity_to_best_of_any == pytest.approx((0.85 + 1.5) / 2)
    # Steep is stable around 0.01 at 32, and up to 0.1 at 128, but not in between; slow
    # learns at one batch size only.
    assert (steep.shared_range, steep.stable_overlap) == (None, 0.0)
    assert (slow.shared_range, slow.stable_overlap) == (None, 0.0)
    # Worst cells: 1.8 - 0.5, and 2 - 0.5 at batch 128.
    assert steep.worst_regret == pytest.approx(1.3)
    assert slow.worst_regret == pytest.approx(1.5)
    assert (slow.best_loss_rate, slow.best_loss_batch_size) == (1e-1, 32)
    assert slow.best_loss == pytest.approx(0.7)
    # At batch 128, where it learned nothing, the width counts as 0.
    assert slow.mean_good_decades == pytest.approx(0.065 / 0.7 / 2)
    assert slow.is_good_decades_lower_bound
    assert (steep.runs, steep.diverged_runs, steep.bad_runs) == (12, 1, 1)
    assert (slow.runs, slow.diverged_runs, slow.bad_runs) == (12, 0, 1)
    assert steep.diverged_share == pytest.approx(1 / 12)
    assert [o.name for o in summary.optimizers] == ["steep", "slow"]
    assert summary.initial_loss == INITIAL
    assert summary.seconds == pytest.approx(48.0)


def test_heat_map_has_a_row_per_rate_and_a_column_per_batch_size():
    heat_map = optimizer_of(summarize(ALL, grid=GRID), "steep").heat_map
    assert heat_map.learning_rates == RATES
    assert heat_map.batch_sizes == (32, 128)
    np.testing.assert_allclose(heat_map.losses, [[1.1, 1.0], [0.5, 1.0], [1.8, 0.5]])
    assert heat_map.diverged_shares == ((0, 0), (0, 0), (0.5, 0))
    assert heat_map.runs == ((2, 2), (2, 2), (2, 2))


def test_interval_with_two_seeds_spans_their_resamples():
    summary = summarize(STEEP_32)
    # Seed 0 alone: (0.6 + 0 + 1.2) / 3 = 0.6; seed 1 alone: (0.6 + 0 + 1.4) / 3;
    # both: 1.9 / 3, between the two.
    interval = curve_of(summary, "steep", 32).sensitivity_interval
    assert interval.low == pytest.approx(0.6)
    assert interval.high == pytest.approx(2 / 3)
    assert interval.seeds == 2


def test_interval_against_the_best_of_any_takes_that_loss_from_the_same_seeds():
    summary = summarize(STEEP_32 + SLOW_32)
    # Best of any: 0.4 with seed 0, 0.6 with seed 1, 0.5 with both. Means over rates:
    # steep 1, 3.8 / 3, 3.4 / 3; slow 1.4, 1.3, 4.05 / 3.
    steep = optimizer_of(summary, "steep").sensitivity_to_best_of_any_interval
    slow = optimizer_of(summary, "slow").sensitivity_to_best_of_any_interval
    assert (steep.low, steep.high) == pytest.approx((0.6, 3.8 / 3 - 0.6))
    assert (slow.low, slow.high) == pytest.approx((0.7, 1.0))


def with_seed_effect(name, shift, rates=RATES):
    """Seed 1 is 0.5 worse than seed 0 for everyone, 0.01 the best rate by 0.3."""
    low, best = 0.3 + shift, 0.6 + shift
    first, second = (best, low, best), (best + 0.5, low + 0.5, best + 0.5)
    return make_records(name, 32, first, second, rates=rates)


def test_seeds_that_are_hard_for_all_neither_blur_nor_turn_s_negative():
    summary = summarize(with_seed_effect("a", 0.0) + with_seed_effect("b", 0.1))
    a, b = summary.optimizers
    # Each seed: a (0.3 + 0 + 0.3) / 3, b 0.1 more.
    interval = a.sensitivity_to_best_of_any_interval
    assert (interval.low, interval.high) == pytest.approx((0.2, 0.2))
    interval = b.sensitivity_to_best_of_any_interval
    assert (interval.low, interval.high) == pytest.approx((0.3, 0.3))
    assert a.behind_first_interval is None
    behind = b.behind_first_interval
    assert (behind.low, behind.high) == pytest.approx((0.1, 0.1))
    assert behind.seeds == 2
    assert write_verdict(summary)[0] == (
        "Most robust to the learning rate: a (S 0.200 against the best loss of any "
        "optimizer; next b 0.300). Both seeds agree, as two do half of the time by "
        "chance."
    )


def test_distance_to_the_first_is_taken_over_every_batch_size():
    # Seed 0: b is 0.5 worse at batch 32, 0.1 better at 64; seed 1: 0.3 and 0.1 worse.
    # Both rates alike, so the distances are 0.2 and 0.2, and 0.2 with both seeds.
    records = make_records("a", 32, (0.5, 0.5), (0.5, 0.5), rates=(0.1, 1.0))
    records += make_records("a", 64, (0.5, 0.5), (0.5, 0.5), rates=(0.1, 1.0))
    records += make_records("b", 32, (1.0, 1.0), (0.8, 0.8), rates=(0.1, 1.0))
    records += make_records("b", 64, (0.4, 0.4), (0.6, 0.6), rates=(0.1, 1.0))
    behind = optimizer_of(summarize(records), "b").behind_first_interval
    assert (behind.low, behind.high) == pytest.approx((0.2, 0.2))


def test_interval_draws_the_same_seeds_for_every_batch_size():
    # Seed 0 has S 0.5 then 0, seed 1 has 0 then 0.5: each resample of one seed has
    # the mean 0.25. Both seeds: means 1.5, 1 and 1, 1.5, so 0.25 as well.
    records = make_records("adam", 32, (2.0, 1.0), (1.0, 1.0), rates=(0.1, 1.0))
    records += make_records("adam", 64, (1.0, 1.0), (1.0, 2.0), rates=(0.1, 1.0))
    interval = optimizer_of(summarize(records), "adam").sensitivity_interval
    assert (interval.low, interval.high) == pytest.approx((0.25, 0.25))


def test_one_seed_has_no_interval_and_no_deviation():
    curve = curve_of(summarize(make_records("adam", 32, (1, 0.5, 2))), "adam", 32)
    assert curve.sensitivity_interval is None
    assert curve.best_loss_deviation is None
    assert curve.sensitivity == pytest.approx((0.5 + 0 + 1.5) / 3)


def test_one_missing_run_keeps_the_interval_and_two_lose_it():
    one = summarize(STEEP_32[:-1])
    assert curve_of(one, "steep", 32).sensitivity_interval is not None
    # Without seed 0's first and seed 1's last run no resample of one seed is whole.
    two = summarize(STEEP_32[1:-1])
    assert curve_of(two, "steep", 32).sensitivity_interval is None


def test_a_second_seed_that_has_only_begun_makes_no_interval():
    records = STEEP_32[:4]  # seed 0 at three rates, seed 1 at one
    assert curve_of(summarize(records), "steep", 32).sensitivity_interval is None


def test_many_seeds_are_resampled_with_a_fixed_generator():
    losses = np.random.default_rng(1).uniform(0, 2, size=(4, 8))
    table = SeedLosses(
        np.array([1e-3, 1e-2, 1e-1, 1.0]), np.arange(8), losses, np.full(4, True)
    )
    first, second = sensitivity_interval([table]), sensitivity_interval([table])
    assert first == second
    means = losses.mean(axis=1)
    assert first.low < np.mean(means - means.min()) < first.high


def test_steps_to_target_is_the_median_at_the_best_rate():
    def summarized(*steps):
        records = [
            make_record("adam", 32, 1e-3, seed, 0.5, steps_to_target=count)
            for seed, count in enumerate(steps)
        ]
        # A faster run at a worse rate does not count.
        records.append(make_record("adam", 32, 1e-2, 0, 1.0, steps_to_target=1))
        return curve_of(summarize(records), "adam", 32).steps_to_target

    assert summarized(100, 300) == 200
    assert summarized(100, 300, None) == 300
    assert summarized(100, None) is None


def test_cost_is_the_median_time_and_the_state():
    records = [
        make_record("adam", 32, rate, 0, 1.0, seconds_per_step=cost, state_bytes=800)
        for rate, cost in zip(RATES, (0.2, None, 0.4), strict=True)
    ]
    adam = optimizer_of(summarize(records), "adam")
    assert adam.seconds_per_step == pytest.approx(0.3)
    assert adam.state_bytes == 800


def test_optimizer_without_state_has_zero_bytes():
    record = make_record("sgd", 32, 1e-3, 0, 1.0, state_bytes=0)
    assert optimizer_of(summarize([record]), "sgd").state_bytes == 0


def test_failed_runs_are_left_out_counted_and_listed():
    failed = make_record("steep", 32, 1e-2, 0, FAILED)
    summary = summarize([failed, *STEEP_32[2:]])
    steep = optimizer_of(summary, "steep")
    assert (steep.runs, steep.excluded_runs, steep.diverged_runs) == (4, 1, 1)
    assert summary.excluded[0].run_id == failed.run_id
    assert summary.excluded[0].reason == "no memory left"
    # Only seed 1's 0.6 is left at the rate 0.01.
    assert steep.best_loss == pytest.approx(0.6)


def test_a_run_without_initial_loss_is_listed_too():
    record = make_record("steep", 64, 1e-2, 0, DIVERGED, initial_loss=None)
    summary = summarize([record, *STEEP_32])
    assert "before the first step" in summary.excluded[0].reason
    assert optimizer_of(summary, "steep").diverged_runs == 1


def test_missing_runs_are_counted_and_incomplete_optimizers_not_ranked():
    summary = summarize(STEEP_32 + STEEP_128 + SLOW_32, grid=GRID)
    steep, slow = optimizer_of(summary, "steep"), optimizer_of(summary, "slow")
    assert steep.is_complete
    assert not slow.is_complete
    assert slow.missing_runs == len(summary.missing_runs) == 6
    assert summary.planned_runs == 24
    verdict = write_verdict(summary)
    assert (
        "Not compared for robustness, because runs are missing or failed: slow."
        in verdict
    )
    assert "6 planned runs are missing: slow 6." in verdict


def test_an_optimizer_without_any_run_is_named_without_figures():
    summary = summarize(STEEP_32, grid=GRID)
    slow = optimizer_of(summary, "slow")
    assert slow.runs == 0
    assert slow.best_loss is slow.mean_sensitivity is slow.worst_regret is None
    assert slow.diverged_share is slow.bad_share is None
    assert slow.heat_map.losses == ((None, None),) * 3
    assert "none is called the most robust" in write_verdict(summary)[0]


def test_rates_outside_the_plan_may_be_best_but_do_not_enter_s():
    extra = [make_record("slow", 32, 1.0, seed, 0.4) for seed in (0, 1)]
    grid = dataclasses.replace(GRID, batch_sizes=(32,))
    summary = summarize(SLOW_32 + STEEP_32 + extra, grid=grid)
    curve = curve_of(summary, "slow", 32)
    assert (curve.best_loss, curve.best_rate) == (pytest.approx(0.4), 1.0)
    assert curve.best_rate_edge == "high"
    # Means at the planned rates less the best: (1.55 + 1 + 0.3) / 3.
    assert curve.sensitivity == pytest.approx(2.85 / 3)
    # The other's best rate keeps its place inside; all maps have the same rows.
    assert optimizer_of(summary, "steep").is_complete
    assert optimizer_of(summary, "steep").heat_map.losses[3] == (None,)


def test_later_record_of_the_same_run_counts():
    again = make_record("steep", 32, 1e-2, 0, 0.2)
    curve = curve_of(summarize([*STEEP_32, again]), "steep", 32)
    assert curve.best_loss == pytest.approx((0.2 + 0.6) / 2)
    assert curve.runs == 6


def test_summary_becomes_json():
    plain = json.loads(json.dumps(summarize(ALL, grid=GRID).to_dict(), allow_nan=False))
    assert plain == summarize(ALL, grid=GRID).to_dict()
    assert plain["optimizers"][0]["curves"][0]["best_rate"] == 1e-2
    assert plain["optimizers"][0]["heat_map"]["losses"][2][1] == 0.5


def test_nothing_to_judge_is_an_error():
    with pytest.raises(ValueError, match="no record"):
        summarize([])
    with pytest.raises(ValueError, match="no record of workload 'words'"):
        summarize(ALL, workload="words")


def test_workloads_are_not_mixed():
    other = dataclasses.replace(STEEP_32[0], run_id="other", workload="words")
    with pytest.raises(ValueError, match=r"\['digits', 'words'\]"):
        summarize([*ALL, other])
    assert summarize([*ALL, other], workload="words").runs == 1


@pytest.mark.parametrize("tolerance", [-0.1, 1.5, math.nan])
def test_tolerance_must_be_a_share(tolerance):
    with pytest.raises(ValueError, match="good_tolerance"):
        summarize(ALL, good_tolerance=tolerance)


def test_verdict_sentences():
    assert write_verdict(summarize(ALL, grid=GRID)) == (
        "Most robust to the learning rate: steep (S 0.483 against the best loss of "
        "any optimizer; next slow 1.18). Both seeds agree, as two do half of the time "
        "by chance.",
        # slow has the lesser S of its own only by learning nothing at batch 128.
        "Lowest validation loss: steep, 0.500 at rate 0.01 and batch 32 (next slow, "
        "0.700).",
        "Best rates lie on the grid's upper edge for steep (batch 128) and slow "
        "(batch 32): widen the grid upwards.",
        "No rate improved on the initial loss for slow (batch 128).",
        "1 of 24 runs diverged: steep 1.",
        "1 further run ended above the initial loss: slow 1.",
    )


def test_verdict_names_who_varies_least_around_a_worse_best():
    # a: own S 0.5, b: 0.1, whose best is 0.9 above a's.
    records = make_records("a", 32, (0.1, 1.1), rates=(0.1, 1.0))
    records += make_records("b", 32, (1.0, 1.2), rates=(0.1, 1.0))
    assert write_verdict(summarize(records))[1] == (
        "b varies least around its own best loss (S 0.100; a 0.500), but that lies "
        "0.900 above the best loss of any optimizer, on average over batch sizes."
    )


def test_verdict_calls_it_a_tie_if_the_difference_over_seeds_reaches_zero():
    # Means over rates by seed: a 0.75 and 1.25, b 1.25 and 0.85, c 1.15 and 1.45,
    # d 0.95 and 1.25. b less a: 0.5 and -0.4; c less a: 0.4 and 0.2; d: 0.2 and 0.
    records = make_records("a", 32, (1.0, 0.5), (2.0, 0.5), rates=(0.1, 1.0))
    records += make_records("b", 32, (2.0, 0.5), (1.2, 0.5), rates=(0.1, 1.0))
    records += make_records("c", 32, (1.8, 0.5), (1.9, 1.0), rates=(0.1, 1.0))
    records += make_records("d", 32, (1.4, 0.5), (2.0, 0.5), rates=(0.1, 1.0))
    assert write_verdict(summarize(records))[0] == (
        "Most robust to the learning rate: a (S 0.500 against the best loss of any "
        "optimizer; next b 0.550). Over the seeds, the difference to b and d may be "
        "0: read it as a tie."
    )


def test_verdict_says_plainly_that_two_are_equal():
    records = with_seed_effect("a", 0.0) + with_seed_effect("b", 1e-6)
    both = write_verdict(summarize(records))
    assert both[:2] == (
        "a and b are equally robust to the learning rate (S 0.200 each against the "
        "best loss of any optimizer).",
        "Lowest validation loss: a and b, 0.550 at rate 0.01 and batch 32.",
    )
    three = write_verdict(summarize(records + with_seed_effect("c", 0.1)))
    assert three[0].startswith(
        "a and b are equally robust to the learning rate (S 0.200 each against the "
        "best loss of any optimizer; next c 0.300). Both seeds agree"
    )


def test_verdict_names_the_place_of_each_equal_lowest_loss():
    records = make_records("a", 32, (0.5, 1.0, 1.0)) + make_records(
        "b", 32, (1, 0.5, 1)
    )
    assert (
        "Lowest validation loss: a, 0.500 at rate 0.001 and batch 32; b, 0.500 at rate "
        "0.01 and batch 32." in write_verdict(summarize(records))
    )


def test_verdict_when_nothing_learned():
    # A loss of 2 is the initial one.
    records = make_records("a", 32, (2.0, 2.5, DIVERGED)) + SLOW_128
    assert write_verdict(summarize(records)) == (
        "No optimizer improved on the initial loss: robustness cannot be judged.",
        "1 of 9 runs diverged: a 1.",
        "1 further run ended above the initial loss: a 1.",
    )


def test_an_optimizer_that_learned_nothing_is_listed_and_not_ranked():
    records = make_records("a", 32, (1.0, 0.5, 1.0)) + make_records("b", 32, (2, 2, 2))
    summary = summarize(records)
    assert [o.is_ranked for o in summary.optimizers] == [True, False]
    assert write_verdict(summary)[:3] == (
        "Only a can be judged for robustness (S 0.333).",
        "Lowest validation loss: a, 0.500 at rate 0.01 and batch 32.",
        "b learned nothing: no rate improved on the initial loss at any batch size.",
    )


def test_verdict_when_only_an_unfinished_optimizer_learned():
    grid = Grid(("a", "b"), RATES, (32,), (0,), 3)
    records = make_records("a", 32, (2, 2, 2)) + make_records("b", 32, (1, 1, 1))[:2]
    verdict = write_verdict(summarize(records, grid=grid))
    assert verdict[0] == (
        "No optimizer that learned anything has a result at every rate and batch size "
        "yet: none is called the most robust."
    )
    assert verdict[2].startswith("a learned nothing")


def test_optimizers_are_compared_over_the_seeds_they_share():
    # Seed 1 is hard; b has only been run with seed 0, where a is better by 0.1.
    a = make_records("a", 32, (0.3, 0.3, 0.3), (1.3, 1.3, 1.3))
    b = make_records("b", 32, (0.4, 0.4, 0.4))
    grid = Grid(("a", "b"), RATES, (32,), (0, 1), 3)
    summary = summarize(a + b, grid=grid)
    first, second = summary.optimizers
    assert (first.name, first.runs, first.unshared_runs) == ("a", 6, 3)
    assert first.best_loss == pytest.approx(0.3)
    assert second.mean_sensitivity_to_best_of_any == pytest.approx(0.1)
    assert (
        "Compared over the seeds that all share at a rate and batch size; 3 runs are "
        "set aside: a 3." in write_verdict(summary)
    )


def test_a_failed_run_costs_one_seed_in_one_cell():
    # Without slow's seed 1 at 0.1, steep is judged there by seed 0: 1.6, not 1.8.
    failed = make_record("slow", 32, 1e-1, 1, FAILED)
    summary = summarize([*STEEP_32, *SLOW_32[:-1], failed])
    curve = curve_of(summary, "steep", 32)
    assert [point.loss for point in curve.points] == pytest.approx([1.1, 0.5, 1.6])
    assert optimizer_of(summary, "steep").unshared_runs == 1
    # Of four resamples three are whole; the difference is taken over them.
    assert optimizer_of(summary, "slow").behind_first_interval is not None


def test_a_rate_outside_the_plan_counts_with_the_shared_seeds_alone():
    # slow has been run with seed 0 alone; steep's extra rate, too, counts with that.
    extra = [
        make_record("steep", 32, 1.0, seed, loss) for seed, loss in ((0, 0.3), (1, 0))
    ]
    grid = Grid(("slow", "steep"), RATES, (32,), (0, 1), 3)
    summary = summarize([*STEEP_32, *SLOW_32[:3], *extra], grid=grid)
    assert optimizer_of(summary, "steep").best_loss == 0.3
    assert optimizer_of(summary, "steep").unshared_runs == 4


def test_optimizers_without_a_shared_seed_are_not_compared():
    other_seed = [make_record("b", 32, rate, 7, 0.4) for rate in RATES]
    summary = summarize([*STEEP_32, *other_seed])
    steep, b = summary.optimizers
    assert steep.is_complete
    assert not b.is_complete
    assert b.runs == 3
    assert steep.unshared_runs == b.unshared_runs == 0


@pytest.mark.parametrize(
    ("outcomes", "edge"),
    [
        ((1.0, 1.0, 1.0), None),  # flat
        ((1.0, 1.0, 1.5), None),  # a rate between is as good
        ((0.1 + 0.2, 0.3, 1.5), None),  # the same number, but for rounding
        ((1.0, 1.2, 1.5), "low"),
        ((1.5, 1.2, 1.0), "high"),
        ((1.0, 1.5, 1.0), "low"),
    ],
)
def test_edge_is_flagged_only_where_no_rate_between_is_as_good(outcomes, edge):
    curve = curve_of(summarize(make_records("a", 32, outcomes)), "a", 32)
    assert curve.best_rate_edge == edge


def test_verdict_without_intervals_says_so():
    records = make_records("a", 32, (1.0, 0.5, 1.0)) + make_records("b", 32, (2, 1, 2))
    verdict = write_verdict(summarize(records))
    assert verdict[0].endswith("the difference may be chance.")
    assert "No run diverged." in verdict


def test_verdict_on_one_learning_rate():
    record = make_record("adam", 32, 1e-3, 0, 1.0)
    summary = summarize([record])
    assert optimizer_of(summary, "adam").mean_sensitivity is None
    assert curve_of(summary, "adam", 32).best_rate_edge is None
    assert write_verdict(summary)[0].startswith("The grid has one learning rate")


def test_verdict_on_one_optimizer():
    sentences = write_verdict(summarize(STEEP_32))
    assert sentences[0] == "Learning-rate sensitivity of steep: S 0.633."


def test_verdict_when_every_run_failed():
    records = make_records("adam", 32, (FAILED, FAILED, FAILED))
    verdict = write_verdict(summarize(records))
    assert "No run could be judged." in verdict
    assert "3 runs could not be judged and are left out: adam 3." in verdict


finite_losses = st.floats(0.0, 10.0, allow_subnormal=False)
loss_curves = st.lists(finite_losses, min_size=2, max_size=12)


@given(loss_curves)
def test_sensitivity_to_the_own_best_is_never_negative(losses):
    assert learning_rate_sensitivity(np.array(losses), min(losses)) >= 0


@given(finite_losses, st.integers(2, 12))
def test_sensitivity_of_equal_losses_is_zero(loss, count):
    assert learning_rate_sensitivity(np.full(count, loss), loss) == 0


@given(loss_curves, st.floats(0.01, 100))
def test_sensitivity_scales_with_the_losses(losses, factor):
    plain = learning_rate_sensitivity(np.array(losses), min(losses))
    scaled = learning_rate_sensitivity(np.array(losses) * factor, min(losses) * factor)
    assert scaled == pytest.approx(plain * factor, rel=1e-9, abs=1e-9)


@given(loss_curves, st.floats(0.0, 12.0), st.floats(0.0, 1.0))
def test_good_region_lies_within_the_grid_around_the_best(losses, initial, tolerance):
    rates = [10.0**exponent for exponent in range(-6, len(losses) - 6)]
    region = find_good_region(rates, losses, initial, tolerance)
    if min(losses) >= initial:
        assert region is None
        return
    span = len(losses) - 1
    best_rate = rates[int(np.argmin(losses))]
    assert 0 <= region.decades <= span
    assert rates[0] <= region.low_rate <= best_rate * (1 + 1e-9)
    assert best_rate * (1 - 1e-9) <= region.high_rate <= rates[-1]
    if region.touches_low_edge and region.touches_high_edge:
        assert region.decades == pytest.approx(span)


@given(loss_curves, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_larger_tolerance_never_narrows_the_good_region(losses, one, other):
    rates = [10.0**exponent for exponent in range(-6, len(losses) - 6)]
    narrow = find_good_region(rates, losses, 12.0, min(one, other))
    wide = find_good_region(rates, losses, 12.0, max(one, other))
    assert narrow.decades <= wide.decades + 1e-12


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_order_of_records_does_not_matter(generator: random.Random, with_grid):
    shuffled = list(ALL)
    generator.shuffle(shuffled)
    grid = GRID if with_grid else None
    assert summarize(shuffled, grid=grid) == summarize(ALL, grid=grid)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(finite_losses, min_size=3, max_size=3), min_size=4, max_size=4)
)
def test_no_resample_of_s_is_negative(outcomes):
    records = make_records("a", 32, *outcomes[:2]) + make_records(
        "b", 32, *outcomes[2:]
    )
    for optimizer in summarize(records).optimizers:
        assert optimizer.sensitivity_interval.low >= 0
        assert optimizer.sensitivity_to_best_of_any_interval.low >= 0
