"""Strategies that do not run the whole grid, on simulated losses."""

import math

import pytest
from simulated_runs import Runs, record_of

from tuning.grid import Grid, log_spaced_rates
from tuning.options import SweepOptions, check_strategy
from tuning.report.tables import optimizer_table
from tuning.report.verdict import write_verdict
from tuning.search.strategies import make_oracle
from tuning.search.tuner import SweepTuner
from tuning.statistics import summarize

RATES = log_spaced_rates(1e-5, 10, 25)
GRID = Grid(("keras_adam.Adam", "keras.SGD"), RATES, (16, 64), (0, 1, 2), 9)
COUNTS = {"random": 20, "bayesian": 14}  # 12 of these are drawn at random first
BEST = {"keras_adam.Adam": -3.0, "keras.SGD": -1.0}


def outcome(run):
    """A valley around each optimizer's best rate that diverges a decade above."""
    x = (
        math.log10(run.learning_rate)
        - BEST[run.optimizer]
        - math.log10(run.batch_size / 16)
    )
    loss = min(
        2.0, 0.1 + max(-x - 0.5, 8 * (x - 0.8), 0.05 * abs(x)) + 0.003 * run.seed
    )
    is_diverged = x > 1.2
    epochs = run.epochs or GRID.epochs
    return record_of(
        run,
        status="diverged" if is_diverged else "ok",
        workload="simulated",
        initial_loss=2.0,
        best_val_loss=None if is_diverged else loss + 0.1 * (9 - epochs),
        final_val_loss=None if is_diverged else loss + 0.1 * (9 - epochs),
        epochs=epochs,
    )


def search(directory, strategy, records=(), workers=1, max_runs=None):
    """Let a strategy run to its end; records by run, in the order done."""
    runs = Runs(outcome, workers)
    oracle = make_oracle(SweepOptions(strategy, max_runs), GRID, list(records))
    SweepTuner(oracle, directory, "project", runs, lambda _: None).search()
    return {run: outcome(run) for _, run in runs.done}


def regions(records, strategy):
    summary = summarize(records, grid=GRID, strategy=strategy)
    return {
        (o.name, curve.batch_size): curve.good_region
        for o in summary.optimizers
        for curve in o.curves
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_edges_finds_what_the_grid_finds_with_two_fifths_of_its_runs(tmp_path, workers):
    done = search(tmp_path, "edges", workers=workers)
    whole = regions([outcome(run) for run in GRID.runs()], "grid")
    found = regions(list(done.values()), "edges")
    assert found.keys() == whole.keys()
    for key, region in found.items():
        for edge in ("low_rate", "high_rate"):
            ratio = getattr(region, edge) / getattr(whole[key], edge)
            assert abs(math.log10(ratio)) <= 0.25, (key, edge)
    assert len(done) <= 0.4 * len(GRID)


@pytest.mark.parametrize("strategy", ["edges", "random", "bayesian", "hyperband"])
def test_an_interrupted_search_does_nothing_twice(tmp_path, strategy):
    max_runs = COUNTS.get(strategy)
    whole = search(tmp_path / "whole", strategy, max_runs=max_runs)
    half = list(whole.values())[: len(whole) // 2]
    rest = search(tmp_path / "half", strategy, half, max_runs=max_runs)
    assert not {record.run_id for record in half} & {run.run_id for run in rest}
    assert {run.run_id for run in rest} | {record.run_id for record in half} == {
        run.run_id for run in whole
    }


@pytest.mark.parametrize("strategy", ["random", "bayesian"])
def test_as_many_runs_are_chosen_as_was_asked_for(tmp_path, strategy):
    count = COUNTS[strategy]
    done = search(tmp_path, strategy, max_runs=count, workers=2)
    # KerasTuner may propose a run again, which counts.
    assert 12 <= len(done) <= count
    assert set(done) <= set(GRID.runs())


def test_hyperband_gives_all_epochs_to_few(tmp_path):
    done = search(tmp_path, "hyperband")
    epochs = {run.epochs for run in done}
    assert epochs == {1, 3, None}
    assert {record.epochs for record in done.values()} == {1, 3, 9}
    by_epochs = {n: sum(run.epochs == n for run in done) for n in epochs}
    assert by_epochs[None] < by_epochs[1]
    summary = summarize(list(done.values()), grid=GRID, strategy="hyperband")
    assert summary.short_runs == by_epochs[1] + by_epochs[3]
    assert summary.judged_runs == by_epochs[None]
    assert any("with fewer epochs" in sentence for sentence in write_verdict(summary))


def test_edges_leads_with_the_widest_region(tmp_path):
    done = list(search(tmp_path, "edges").values())
    summary = summarize(done, grid=GRID, strategy="edges")
    told = write_verdict(summary)
    assert told[0].startswith("Widest stable range of learning rates: ")
    assert f"with {len(done)} of the grid's {len(GRID)} runs" in told[1]
    assert not summary.missing_runs
    assert not any("not compared" in s.lower() or "missing" in s for s in told)
    for optimizer in summary.optimizers:
        assert optimizer.mean_sensitivity is None  # no mean over chosen rates
    table = optimizer_table(summary)
    assert table.headers[:3] == ("Optimizer", "Stable range, decades", "Lowest loss")
    assert "Worst regret" not in table.headers
    assert [len(row) for row in table.rows] == [len(table.headers)] * 2
    assert not any("partial" in row[0].text for row in table.rows)


def test_a_search_for_the_lowest_loss_ranks_nobody(tmp_path):
    done = list(search(tmp_path, "random", max_runs=20).values())
    told = write_verdict(summarize(done, grid=GRID, strategy="random"))
    assert "not compared for robustness" in told[0]


@pytest.mark.parametrize(
    ("strategy", "max_runs", "message"),
    [
        ("annealing", None, "strategy must be one of.*received 'annealing'"),
        ("random", None, "strategy 'random' has no end of its own"),
        ("grid", 3, "'grid' ends by itself"),
        ("bayesian", 0, "at least 1; received 0"),
    ],
)
def test_strategies_that_cannot_be_are_refused(strategy, max_runs, message):
    with pytest.raises(ValueError, match=message):
        check_strategy(strategy, max_runs)
