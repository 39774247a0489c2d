"""Which runs a check trains, on simulated losses."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_check import ADAM, PLANNED, ROBUST, make_check_grid, outcome_of, valley
from simulated_runs import Runs

from tuning.options import CHECK, SweepOptions
from tuning.plan import Plan
from tuning.search.check_oracle import CheckOracle, left_out
from tuning.search.check_search import DECIDING, space_of, wanted_runs
from tuning.search.strategies import make_oracle
from tuning.search.tuner import SweepTuner
from tuning.setting import CheckPlan, Rule, Setting
from tuning.statistics.failing_rates import collect
from tuning.statistics.setting_card import make_card

GRID = make_check_grid()


def search(loss, grid=GRID, planned=PLANNED, most=math.inf, records=()):
    """Train what is wanted first, until nothing is; the records in their order."""
    outcome = outcome_of(loss)
    space = space_of(grid, planned)
    rates, seeds = sorted(grid.learning_rates), list(grid.seeds)
    runs = {
        (r.optimizer, r.batch_size, r.learning_rate, r.seed): r for r in grid.runs()
    }
    done = list(records)
    while len(done) < most:
        results = {
            group: collect(
                [r for r in done if (r.optimizer, r.batch_size) == group], rates, seeds
            )
            for group in (space.own, *space.others)
        }
        wanted = next(wanted_runs(space, results), None)
        if wanted is None:
            break
        _, group, (i, seed) = wanted
        done.append(outcome(runs[(*group, rates[i], seeds[seed])]))
    assert len({record.run_id for record in done}) == len(done)
    return done


def cards(loss, grid=GRID, planned=PLANNED):
    every = [outcome_of(loss)(run) for run in grid.runs()]
    found = search(loss, grid, planned)
    made = [make_card(some, grid, planned, most_runs=100) for some in (found, every)]
    return found, *made


@settings(max_examples=60)
@given(
    low=st.floats(-5.5, -2),
    width=st.floats(0, 3),
    slope=st.floats(0.3, 8),
    cliff=st.floats(0, 2) | st.just(math.inf),
)
def test_verdict_and_edges_are_those_of_the_full_grid(low, width, slope, cliff):
    high = low + width
    found, card, whole = cards(valley(low, high, high + cliff, slope=slope))
    assert card.is_safe == whole.is_safe
    for side in ("below", "above"):
        mine, full = getattr(card.figures, side), getattr(whole.figures, side)
        assert abs(mine.decades - full.decades) <= 0.25
    steps = sum(run.batch_size**-1 for run in GRID.runs())
    assert sum(record.batch_size**-1 for record in found) <= 0.25 * steps


def test_the_setting_itself_comes_first_and_robust_late():
    done = search(valley(-4, -2, -1.4))
    assert {(r.optimizer, r.batch_size, r.learning_rate) for r in done[:3]} == {
        (ADAM, 64, 1e-3)
    }
    firsts = [(r.optimizer, r.batch_size) for r in done]
    order = [(ADAM, 64), (ADAM, 32), (ADAM, 128), (ROBUST, 64)]
    assert list(dict.fromkeys(firsts)) == order


def test_rates_on_both_sides_of_the_nearest_failure_have_every_seed():
    done = search(valley(-4, -2, -1.4))
    card = make_card(done, GRID, PLANNED, most_runs=100)
    for side in (card.figures.below, card.figures.above):
        for rate in (side.last_rate, side.failing_rate):
            seeds = {
                r.seed
                for r in done
                if (r.optimizer, r.batch_size, r.learning_rate) == (ADAM, 64, rate)
            }
            assert seeds == {0, 1, 2}


def test_a_seed_that_fails_early_is_followed_to_its_own_edge():
    plain = valley(-4, -1.5, -1.0)

    def loss(run):
        if run.seed == 2 and run.batch_size == 64 and run.learning_rate > 8e-3:
            return None
        return plain(run)

    card = make_card(search(loss), GRID, PLANNED, most_runs=100)
    above = card.figures.above
    # One of three seeds loses everything, a third on average: the mean fails there.
    assert 0.75 <= above.decades <= 1.0
    assert above.interval.seeds == 3


@pytest.mark.parametrize(
    "loss", [lambda _: 2.0, lambda _: None, lambda _: 0.5, lambda _: "failed"]
)
def test_curves_without_edges_end(loss):
    found, card, whole = cards(loss)
    assert len(found) <= 200
    if card is not None:
        assert card.is_safe == whole.is_safe == (loss(None) == 0.5)


def test_a_hole_between_good_rates_is_found_where_the_verdict_needs_it():
    plain = valley(-5, -1)

    def loss(run):
        return None if 1.7e-3 < run.learning_rate < 1.8e-3 else plain(run)

    _, card, whole = cards(loss)
    assert not card.is_safe
    assert card.figures.above.decades == whole.figures.above.decades < 0.25


def test_a_smaller_budget_keeps_the_beginning_and_says_what_it_leaves_out():
    loss = valley(-4, -2, -1.4)
    whole = search(loss)
    part = search(loss, most=20)
    assert part == whole[:20]
    missing = left_out(GRID, PLANNED, part)
    assert f"{ROBUST} at batch size 64" in missing
    assert "seeds at the setting" not in missing
    assert left_out(GRID, PLANNED, whole) == ()
    assert not DECIDING.intersection(left_out(GRID, PLANNED, whole[:40]))
    assert DECIDING.intersection(left_out(GRID, PLANNED, whole[:10]))


def sweep(directory, loss, records=(), workers=1, **limits):
    options = SweepOptions(CHECK, check=PLANNED, **limits)
    oracle = make_oracle(options, GRID, list(records))
    runs = Runs(outcome_of(loss), workers)
    SweepTuner(oracle, directory, "project", runs, lambda _: None).search()
    return [outcome_of(loss)(run) for _, run in runs.done]


def test_an_interrupted_check_ends_with_the_same_runs(tmp_path):
    loss = valley(-4, -2, -1.4)
    whole = sweep(tmp_path / "a", loss)
    assert whole == search(loss)
    rest = sweep(tmp_path / "b", loss, whole[:17])
    assert [*whole[:17], *rest] == whole


@pytest.mark.parametrize("workers", [1, 3])
def test_a_budget_of_runs_is_kept(tmp_path, workers):
    loss = valley(-4, -2, -1.4)
    done = sweep(tmp_path / "a", loss, workers=workers, max_runs=12)
    assert len(done) == 12
    assert sweep(tmp_path / "b", loss, done, max_runs=12) == []
    assert len(sweep(tmp_path / "c", loss, done, max_runs=15)) == 3


def test_workers_find_the_same_verdict(tmp_path):
    loss = valley(-4, -2, -1.4)
    alone = make_card(sweep(tmp_path / "a", loss), GRID, PLANNED, most_runs=9)
    three = sweep(tmp_path / "b", loss, workers=3)
    card = make_card(three, GRID, PLANNED, most_runs=9)
    assert card.findings == alone.findings


def test_no_run_begins_after_the_last_minute():
    now = [100.0]
    records = search(valley(-4, -2, -1.4), most=30)  # a second each
    oracle = CheckOracle(GRID, PLANNED, records, max_minutes=1.0, clock=lambda: now[0])
    assert oracle.has_more()
    now[0] += 29.0
    assert oracle.has_more()
    now[0] += 2.0
    assert not oracle.has_more()


def test_a_plan_holds_the_setting_and_the_rule():
    plan = Plan("w", GRID, {}, strategy=CHECK, max_runs=80, check=PLANNED)
    again = Plan.from_dict(plan.to_dict())
    assert again.check == PLANNED
    assert not plan.differences(dataclasses.replace(again, max_runs=90))
    other = CheckPlan(Setting(ADAM, 1e-3, 64), Rule(min_decades=0.5))
    (told,) = plan.differences(dataclasses.replace(again, check=other))
    assert "check is" in told
    assert "check" not in Plan("w", GRID, {}).to_dict()
    with pytest.raises(ValueError, match="do not fit each other"):
        Plan.from_dict({**plan.to_dict(), "strategy": "edges", "max_runs": None})


def test_a_check_is_not_started_as_a_sweep():
    with pytest.raises(
        ValueError, match="a check is started by keras-adam-sweep check"
    ):
        SweepOptions(CHECK)
