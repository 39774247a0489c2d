"""The figures of benchmarks/robustness/batch_scaling.py, on losses that are made up."""

import numpy as np
import pytest

from benchmarks.robustness import batch_scaling as benchmark

BASE, BASE_SCALED, _, ROBUST_SCALED = benchmark.RULES


def test_only_a_scaled_rule_has_other_rates_and_constants():
    contender, rates = benchmark.scaled(BASE, 128)
    assert (contender.options, rates) == ({}, benchmark.REFERENCE_RATES)
    contender, rates = benchmark.scaled(BASE_SCALED, 128)
    assert rates == pytest.approx(2 * np.array(benchmark.REFERENCE_RATES))
    expected = {"beta_1": 0.6, "beta_2": 0.996, "epsilon": 0.5e-7}
    assert contender.options == pytest.approx(expected)
    contender, _ = benchmark.scaled(ROBUST_SCALED, 128)
    assert contender.options["rate_cap"] == pytest.approx(0.004)
    same, rates = benchmark.scaled(BASE_SCALED, benchmark.BATCH_SIZE)
    assert (same.options, rates) == ({}, benchmark.REFERENCE_RATES)


def test_a_rate_is_carried_over_from_the_reference_batch(monkeypatch, tmp_path):
    best_at = {32: 2, 256: 4}

    def losses(out, task, size, rule, seeds):
        best = best_at[size] if rule == BASE else 2
        lowest = 1.0 if rule == BASE else 1.5
        return lowest + 0.25 * np.abs(np.arange(7) - best)

    monkeypatch.setattr(benchmark, "mean_final_losses", losses)
    rows = benchmark.rows_of(tmp_path, "any", [256], seeds=1)
    plain, scaled = rows[0], rows[1]
    assert plain["best_reference_rate"] == benchmark.REFERENCE_RATES[4]
    # Two half decades beside the best: half a loss more than the best, which is 1.
    assert (plain["transferred"], plain["best"]) == (1.5, 1.0)
    assert plain["drift_decades"] == pytest.approx(1.0, abs=0.01)
    # Held against the best of plain Adam, tuned at this batch size.
    assert (scaled["transferred"], scaled["drift_decades"]) == (1.5, 0.0)
    overall = benchmark.summary([*rows, *rows])
    assert overall[0]["task"] == "all 2"
    assert overall[0]["transferred"] == pytest.approx(1.5)
