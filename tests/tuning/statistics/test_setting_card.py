"""The figures of a card, worked out by hand."""

import dataclasses
import math

import pytest
from simulated_check import ADAM, INITIAL, PLANNED, make_check_grid, outcome_of, valley

from tuning.setting import CheckPlan, Rule, Setting, check_rule, check_setting
from tuning.statistics.card_comparison import compare_cards
from tuning.statistics.exact_bounds import next_value_interval, upper_bound_of_share
from tuning.statistics.failing_rates import (
    TriedRates,
    collect,
    find_bracket,
    interpolate,
)
from tuning.statistics.scaled_rates import scaled_rate
from tuning.statistics.setting_card import SettingCard, make_card

GRID = make_check_grid()


def card_of(loss, planned=PLANNED, grid=GRID):
    records = [outcome_of(loss)(run) for run in grid.runs()]
    return make_card(records, grid, planned, most_runs=100)


@pytest.mark.parametrize(
    ("failed", "runs", "bound"),
    [
        (0, 5, 1 - 0.05**0.2),
        (0, 29, 1 - 0.05 ** (1 / 29)),
        (5, 5, 1.0),
        (1, 1, 1.0),
        # P(X <= 1) = (1 - u)^2 (1 + 2u) = 0.05 for three draws.
        (1, 3, 0.8646),
    ],
)
def test_the_bound_of_the_share_of_failing_seeds(failed, runs, bound):
    assert upper_bound_of_share(failed, runs) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize(("failed", "runs"), [(-1, 3), (4, 3), (0, 0)])
def test_a_share_of_nothing_has_no_bound(failed, runs):
    with pytest.raises(ValueError, match=f"received {failed} of {runs}"):
        upper_bound_of_share(failed, runs)


def test_the_bound_covers_whatever_the_true_share_is():
    for runs in (3, 5, 8):
        bounds = [upper_bound_of_share(k, runs) for k in range(runs + 1)]
        for share in (0.01, 0.1, 0.3, 0.45, 0.5, 0.8, 0.99):
            covered = sum(
                math.comb(runs, k) * share**k * (1 - share) ** (runs - k)
                for k, bound in enumerate(bounds)
                if share <= bound
            )
            assert covered >= 0.95 - 1e-12


def test_the_interval_of_one_more_seed_is_student_s():
    low, high = next_value_interval([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    half = 4.302653 * math.sqrt(4 / 3)  # t with two degrees of freedom, deviation 1
    assert (low, high) == pytest.approx((2 - half, 2 + half), rel=1e-5)
    wide = next_value_interval([2.0, 2.0, 2.0], [0.25, 0.25, 0.25])
    half = 4.302653 * math.sqrt(4 / 3) * 0.25 / math.sqrt(12)
    assert wide == pytest.approx((2 - half, 2 + half), rel=1e-5)
    assert next_value_interval([1.0], [0.25]) is None


def test_the_nearest_failure_is_interpolated():
    tried = TriedRates((1e-3, 1e-2, 1e-1), {(0, 0): 0.0, (2, 0): 1.0}, 1.0)
    bracket = find_bracket(tried, tried.means, 0, 1, 0.2)
    assert (bracket.inside, bracket.outside) == (0, 2)
    assert bracket.decades == pytest.approx(0.4)
    assert bracket.width == pytest.approx(2.0)
    lower = find_bracket(tried, tried.means, 0, -1, 0.2)
    assert (lower.outside, lower.decades) == (None, 0.0)
    at = interpolate(tried.rates, tried.means, 1e-2)
    assert at == (pytest.approx(0.5), True)
    assert interpolate(tried.rates, tried.means, 1e-4) is None


def test_a_wide_valley_is_safe():
    card = card_of(valley(-4.5, -1.5))
    assert card.is_safe
    # Fails where it misses 0.2 of 1.8, with 2 per decade: 0.18 decades further.
    assert card.figures.below.decades == pytest.approx(1.68, abs=0.02)
    assert card.figures.above.decades == pytest.approx(1.68, abs=0.02)
    assert card.figures.below.stable_decades == pytest.approx(1.545, abs=0.02)
    assert [o.cost for o in card.figures.others] == pytest.approx([0, 0, 0, 0])
    assert card.figures.failed_bound == pytest.approx(1 - 0.05 ** (1 / 3))
    assert card.robust is not None
    assert [f.setting.batch_size for f in card.other_sizes] == [32, 128]


def test_a_cliff_on_one_side_is_not():
    card = card_of(valley(-5, -2.8, -2.76))
    assert not card.is_safe
    met = {finding.name: finding.is_met for finding in card.findings}
    assert [name for name, is_met in met.items() if not is_met] == ["decades above"]
    assert card.figures.above.diverging_rate == pytest.approx(1.778e-3)
    assert card.figures.others[2].cost == pytest.approx(1.0)  # ten times the rate
    assert card.figures.above.interval.high < 0.5


def test_where_every_run_fails_nothing_is_safe():
    for loss in (lambda _: None, lambda _: INITIAL):
        card = card_of(loss)
        assert not card.is_safe
        assert card.figures.failed_share == 1.0
        assert card.figures.below.decades == card.figures.above.decades == 0.0


def test_where_nothing_fails_the_distances_are_lower_bounds():
    card = card_of(lambda _: 0.5)
    assert card.is_safe
    for side in (card.figures.below, card.figures.above):
        assert side.is_lower_bound
        assert side.decades == pytest.approx(3.0)
        assert side.failing_rate is None
        assert side.interval is None  # no seed has shown where it would fail
        assert side.is_stable_to_end


def test_a_setting_that_diverges_with_some_seeds_is_not_safe():
    plain = valley(-4.5, -1.5)

    def loss(run):
        is_bad = run.seed == 1 and run.learning_rate == 1e-3
        return None if is_bad else plain(run)

    card = card_of(loss)
    assert not card.is_safe
    assert card.figures.failed_seeds == 1
    assert card.figures.failed_bound == pytest.approx(0.8646, abs=1e-4)
    loose = dataclasses.replace(PLANNED, rule=Rule(max_failed_share=0.4))
    # A third of the improvement is missed on average: that fails, too.
    assert not card_of(loss, loose).is_safe


def test_the_rule_decides():
    loss = valley(-4.5, -1.5)
    for rule, is_safe in (
        (Rule(min_decades=1.6), True),
        (Rule(min_decades=1.8), False),
        (Rule(max_failed_bound=0.5), False),  # three seeds are too few
        (Rule(max_failed_bound=0.7), True),
    ):
        assert card_of(loss, CheckPlan(PLANNED.setting, rule)).is_safe == is_safe


def test_what_is_better_is_named():
    card = card_of(valley(-2.52, -2.4))
    assert card.figures.best_rate == pytest.approx(3.162e-3)
    assert card.figures.missed_share == pytest.approx(0.96 / 1.8, abs=0.01)
    assert not card.is_safe
    assert card.figures.below.stable_decades < 0


def test_a_setting_is_not_safe_while_some_of_its_runs_raise_errors():
    def loss(run):
        return "failed" if run.seed == 2 else 0.5

    card = card_of(loss)
    assert card.failed_runs == 25 * 3 * 2
    assert card.figures.seeds == 2
    assert not card.is_safe
    assert [f.name for f in card.findings if not f.is_met] == ["unjudged seeds"]
    assert card_of(lambda _: "failed") is None


def test_a_run_that_diverged_before_its_first_report_has_failed():
    records = [outcome_of(lambda _: 0.5)(run) for run in GRID.runs()]
    records = [
        dataclasses.replace(
            r, status="diverged", initial_loss=None, final_val_loss=None
        )
        if (r.learning_rate, r.seed) == (1e-3, 2)
        else r
        for r in records
    ]
    card = make_card(records, GRID, PLANNED, most_runs=100)
    assert (card.figures.seeds, card.figures.failed_seeds) == (3, 1)
    assert not card.is_safe
    assert card.figures.above.diverging_rate == 1e-3


def test_a_card_can_be_written_and_read():
    card = card_of(valley(-4.5, -1.5))
    assert SettingCard.from_dict(card.to_dict()).to_dict() == card.to_dict()
    for plain, told in (
        ({"format": 2}, "format must be 1; received 2"),
        ([], r"format must be 1; received \[\]"),
        ({**card.to_dict(), "runs": "many"}, "runs must be an integer"),
    ):
        with pytest.raises(ValueError, match=told):
            SettingCard.from_dict(plain)


def test_two_cards_are_compared():
    before, now = card_of(valley(-4.5, -1.5)), card_of(valley(-4.5, -2.8, -2.76))
    compared = compare_cards(before, now)
    assert (compared.was_safe, compared.is_safe) == (True, False)
    changes = {change.name: change for change in compared.changes}
    assert changes["decades above"].overlaps is False
    assert changes["decades below"].overlaps is True
    assert not compared.differences
    other = card_of(valley(-4.5, -1.5), CheckPlan(PLANNED.setting, Rule(0.5)))
    assert compare_cards(before, other).differences == ("min_decades 0.3 → 0.5",)
    with pytest.raises(ValueError, match="workload 'other', this check 'simulated'"):
        compare_cards(dataclasses.replace(before, workload="other"), now)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [(ADAM, 2e-3), ("keras.SGD", 4e-3), ("keras.SGD(momentum=0.9)", 4e-3)],
)
def test_learning_rates_are_scaled_to_a_batch_size(optimizer, rate):
    assert scaled_rate(Setting(optimizer, 1e-3, 64), 256) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("rate", "size", "told"),
    [
        (0.0, 64, "learning_rate must be a positive.*received 0.0"),
        (-1e-3, 64, "received -0.001"),
        (math.nan, 64, "received nan"),
        ("fast", 64, "received 'fast'"),
        (1e-3, 0, "batch_size must be an integer of at least 1; received 0"),
        (1e-3, 2.5, "received 2.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(rate, size, told):
    with pytest.raises(ValueError, match=told):
        check_setting(rate, size)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Rule(min_decades=4.0), "min_decades must be a number from 0 to 3; received 4"),
        (Rule(max_loss_gap=0.0), "max_loss_gap must be a number from 0.01"),
        (Rule(max_failed_share=1.5), "max_failed_share"),
        (Rule(max_failed_bound=-0.5), "max_failed_bound"),
        (Rule(min_decades=math.nan), "min_decades"),
    ],
)
def test_rules_that_cannot_be_are_refused(rule, told):
    with pytest.raises(ValueError, match=told):
        check_rule(rule)


def test_points_are_collected_by_their_places():
    records = [outcome_of(valley(-4, -2, -1))(run) for run in GRID.runs()]
    own = [r for r in records if (r.optimizer, r.batch_size) == (ADAM, 64)]
    tried = collect(own, sorted(GRID.learning_rates), list(GRID.seeds))
    assert len(tried.losses) == 75
    assert {i for i, _ in tried.outright} == set(range(20, 25))
    assert tried.initial_loss == INITIAL
