"""Figures of one run's training losses, held against values worked out by hand."""

import pytest
from claims_records import falling, make_run

from tuning.statistics.training_curves import (
    NEVER,
    count_spikes,
    early_area,
    final_training_loss,
    has_learned,
    planned_steps,
    share_of_steps_until,
)


def test_the_early_area_is_the_mean_over_a_fifth_of_the_steps():
    # 20 points of 2 steps: the first fifth are 4 points, (1.9 + 1.7 + 1.5 + 1.3) / 4.
    curve = [1.9, 1.7, 1.5, 1.3] + [0.1] * 16
    assert early_area(make_run(curve=curve)) == pytest.approx(1.6 / 2)


def test_a_point_that_reaches_past_the_fifth_counts_in_part():
    # 10 steps in points of 3, 3, 3 and 1: two early steps, both in the first point.
    run = make_run(curve=[1.0, 0.4, 0.4, 0.4], steps_per_point=3, steps=10)
    assert early_area(run) == pytest.approx(0.5)
    # 25 steps in points of 3: five early ones, (3 * 1.0 + 2 * 0.4) / 5 of 2.
    run = make_run(curve=[1.0] + [0.4] * 8, steps_per_point=3, steps=25)
    assert early_area(run) == pytest.approx((3 * 1.0 + 2 * 0.4) / 5 / 2)


def test_losses_above_the_start_and_losses_that_are_no_numbers_count_as_the_start():
    curve = [1e9, None, 2.0, 1.0] + [0.1] * 16
    assert early_area(make_run(curve=curve)) == pytest.approx((3 * 2.0 + 1.0) / 4 / 2)


def test_steps_that_a_diverged_run_did_not_take_count_as_the_start():
    # Two of four epochs: 20 of 40 planned steps, 8 of them early.
    half = make_run(
        curve=[1.0] * 10, epochs=4, epochs_done=2, status="diverged", steps=20
    )
    assert planned_steps(half) == 40
    assert early_area(half) == pytest.approx(0.5)
    # One of twenty epochs: 2 of 8 early steps at half the loss, 6 that never came.
    begun = make_run(curve=[1.0], epochs=20, epochs_done=1, status="diverged", steps=2)
    assert early_area(begun) == pytest.approx((2 * 0.5 + 6) / 8)


def test_a_run_without_a_curve_or_a_start_has_no_figures():
    for run in (
        make_run(curve=[]),
        make_run(curve=[1.0], status="failed"),
        make_run(curve=[1.0], epochs_done=0),
    ):
        assert early_area(run) is None
        assert share_of_steps_until(run, 1.0) is None
        assert count_spikes(run) is None
    assert early_area(make_run(curve=[1.0] * 9, initial=None)) is None
    assert early_area(make_run(curve=[1.0] * 9, initial=-1.0)) is None


def test_the_final_training_loss_is_the_mean_of_the_last_points():
    assert final_training_loss(make_run(curve=falling(0.0))) == pytest.approx(0.2)
    assert final_training_loss(make_run(curve=[3.0, 1.0])) == pytest.approx(2.0)
    assert final_training_loss(make_run(curve=[1.0, None])) is None
    assert final_training_loss(make_run(curve=[1.0], status="diverged")) is None


def test_a_loss_is_reached_when_the_mean_of_five_points_is_low_enough():
    # Means of points 1-5, 2-6, ...: 1.7, 1.6, 1.5, 1.4, 1.3 at point 9 of 20.
    run = make_run(curve=falling(0.0))
    assert share_of_steps_until(run, 1.3 + 1e-9) == pytest.approx(9 / 20)
    assert share_of_steps_until(run, 0.2 + 1e-9) == 1.0
    assert share_of_steps_until(run, 0.19) == NEVER == 2.0


def test_one_lucky_batch_reaches_nothing():
    curve = [2.0] * 9 + [0.0] + [2.0] * 10
    assert share_of_steps_until(make_run(curve=curve), 1.0) == NEVER


def test_the_last_point_may_have_fewer_steps():
    run = make_run(curve=[2.0] * 4 + [0.0], steps=9)  # 2 + 2 + 2 + 2 + 1
    assert share_of_steps_until(run, 1.6) == 1.0


def test_losses_that_are_no_numbers_reach_nothing():
    run = make_run(
        curve=[None] * 5, status="diverged", epochs=2, epochs_done=1, steps=10
    )
    assert share_of_steps_until(run, 1e9) == NEVER


@pytest.mark.parametrize(
    ("curve", "count"),
    [
        (falling(0.0), 0),
        # Down to 0: the mean of five must rise by a quarter of 2.
        ([0.0] * 9 + [2.4] + [0.0] * 9, 0),
        ([0.0] * 9 + [2.6] + [0.0] * 9, 1),
        # Up for a while is one spike, up again is another.
        ([0.0] * 9 + [2.0] * 4 + [0.0] * 9 + [2.0] * 4, 2),
        # Only 0.4 gained: the mean must rise by a tenth of 2, not by a quarter of 0.4.
        ([1.6] * 9 + [2.5] + [1.6] * 9, 0),
        ([1.6] * 9 + [2.7] + [1.6] * 9, 1),
        # A training that blows up at once, and one that only wavers at its start.
        ([5.0, 9.0, 5.0], 1),
        ([2.15, 2.15], 0),
        ([0.5] * 6 + [None], 1),
    ],
)
def test_a_spike_gives_back_much_of_what_was_gained(curve, count):
    assert count_spikes(make_run(curve=curve)) == count


@pytest.mark.parametrize(("end", "learned"), [(1.7, True), (1.79, True), (1.81, False)])
def test_a_tenth_of_the_loss_must_be_gained_to_have_learned(end, learned):
    assert has_learned(make_run(curve=[end] * 9)) is learned


def test_a_run_without_an_end_has_not_learned():
    assert not has_learned(make_run(curve=[0.1] * 9, status="diverged"))
    assert not has_learned(make_run(curve=[0.1] * 9, initial=None))
