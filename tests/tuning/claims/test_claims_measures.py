"""Figures of an optimizer on a workload, held against values worked out by hand."""

import inspect
import math

import keras
import pytest
from claims_records import falling, make_run

import keras_adam
from tuning.claims.budgets import BUDGETS
from tuning.claims.contenders import (
    ADAGRAD,
    CONTENDERS,
    DEFAULT_RATES,
    MOMENTUM,
    OURS,
    RMSPROP,
    SGD,
    STOCK,
    STORAGES,
)
from tuning.claims.measures import MEASURES
from tuning.statistics.task_runs import TaskRuns
from tuning.statistics.training_curves import NEVER

BOTH = (0, 1)


def figure(name, records, optimizer=OURS, seeds=BOTH, **facts):
    return MEASURES[name].figure(TaskRuns.collect(records, **facts), optimizer, seeds)


def test_the_default_rates_are_those_of_the_classes():
    for name, kind in {
        OURS: keras_adam.Adam,
        STOCK: keras.optimizers.Adam,
        SGD: keras.optimizers.SGD,
        MOMENTUM: keras.optimizers.SGD,
        ADAGRAD: keras.optimizers.Adagrad,
        RMSPROP: keras.optimizers.RMSprop,
    }.items():
        told = inspect.signature(kind).parameters["learning_rate"].default
        assert DEFAULT_RATES[name] == told
    for budget in BUDGETS.values():
        assert set(DEFAULT_RATES.values()) <= set(budget.learning_rates)
    assert set(DEFAULT_RATES) == set(CONTENDERS)


def area(value):
    """A curve whose early area is ``value`` of the initial loss."""
    return [2.0 * value] * 20


def test_the_area_at_the_default_rate_is_a_mean_over_batch_sizes_and_seeds():
    records = [
        make_run(size=16, seed=0, curve=area(0.2)),
        make_run(size=16, seed=1, curve=area(0.4)),
        make_run(size=64, seed=0, curve=area(0.6)),
        make_run(size=64, seed=1, curve=area(0.8)),
        make_run(size=64, rate=0.1, curve=area(0.0)),
    ]
    name = "early area, default rate"
    assert figure(name, records) == pytest.approx(0.5)
    assert figure(name, records, seeds=(1, 1)) == pytest.approx(0.6)
    assert figure(name, records, SGD) is None


def test_the_best_rate_is_chosen_by_the_validation_loss_at_each_batch_size():
    records = [
        make_run(size=16, rate=0.01, final=0.5, curve=area(0.9)),
        make_run(size=16, rate=0.1, final=0.6, curve=area(0.1)),
        make_run(size=64, rate=0.01, final=0.9, curve=area(0.1)),
        make_run(size=64, rate=0.1, final=0.8, curve=area(0.7)),
        # Above the start: judged as 2.
        make_run(size=64, rate=1.0, final=9.0, curve=area(0.1)),
    ]
    assert figure("early area, best rate", records) == pytest.approx(0.8)


def test_equal_rates_give_way_to_the_lower_one():
    records = [make_run(rate=rate, final=1.0, curve=area(rate)) for rate in (0.1, 0.01)]
    task = TaskRuns.collect(records)
    assert task.best_rate(OURS, 32) == 0.01
    assert task.best_rate(SGD, 32) is None


def test_steps_are_counted_to_the_loss_of_sgd_s_run_with_the_same_seed():
    # SGD ends at 1.1 (seed 0) and 0.2 (seed 1), means of its last five points.
    records = [
        make_run(SGD, rate=0.01, seed=0, curve=falling(1.0)),
        make_run(SGD, rate=0.01, seed=1, curve=falling(0.0)),
        # Falls by 0.2 a point: the mean of points 2-6 is 1.2, of 3-7 it is 1.0.
        make_run(seed=0, curve=falling(0.0, 10) + [0.0] * 10),
        make_run(seed=1, curve=[2.0] * 20),
    ]
    name = "steps to SGD's loss, default rate"
    assert figure(name, records, seeds=(0,)) == pytest.approx(7 / 20)
    assert figure(name, records) == pytest.approx((7 / 20 + NEVER) / 2)
    assert figure(name, records, SGD) == 1.0


def test_a_reference_that_diverged_is_left_out():
    records = [
        make_run(SGD, rate=0.01, seed=0, curve=falling(1.0)),
        make_run(SGD, rate=0.01, seed=1, curve=[9.0], status="diverged"),
        make_run(seed=0, curve=falling(1.0)),
        make_run(seed=1, curve=falling(1.0)),
    ]
    name = "steps to SGD's loss, default rate"
    assert figure(name, records) == 1.0
    assert figure(name, records, seeds=(1, 1)) is None


def test_a_reference_that_learned_nothing_is_no_goal():
    records = [make_run(SGD, rate=0.01, curve=[1.9] * 20), make_run(curve=[1.0] * 20)]
    assert figure("steps to SGD's loss, default rate", records, seeds=(0,)) is None


def test_diverged_and_bad_runs_are_shares_of_all_runs():
    records = [
        make_run(rate=0.1, curve=[1.0], status="diverged"),
        make_run(rate=0.01, curve=[1.0], final=3.0),
        make_run(rate=0.001, curve=[1.0]),
        make_run(rate=0.0001, curve=[1.0]),
        make_run(rate=1.0, curve=[1.0], status="failed", initial=None),
    ]
    assert figure("diverged runs", records) == 0.25
    assert figure("bad runs", records) == 0.5


def test_spikes_are_counted_per_run():
    calm, spiky = falling(0.0), ([0.0] * 5 + [2.0] * 5) * 2
    records = [
        make_run(seed=0, curve=calm),
        make_run(seed=1, curve=spiky),
        make_run(rate=0.1, final=0.1, curve=calm),
    ]
    assert figure("spikes, default rate", records) == 1.0
    assert figure("spikes, best rate", records) == 0.0


def test_sensitivity_is_a_share_of_the_best_improvement_of_any():
    rates = (0.001, 0.01, 0.1)
    records = [
        make_run(rate=rate, final=loss)
        for rate, loss in zip(rates, (1.0, 0.5, 9.0), strict=True)
    ] + [
        make_run(SGD, rate=rate, final=loss)
        for rate, loss in zip(rates, (2.0, 2.0, 0.0), strict=True)
    ]
    # Of an improvement of 2 in all: lost 1.0, 0.5 and, judged as the start, 2.0.
    assert figure("normalised sensitivity", records, seeds=(0,)) == pytest.approx(
        3.5 / 6
    )
    assert figure("normalised sensitivity", records, SGD, (0,)) == pytest.approx(4 / 6)


def test_sensitivity_needs_every_rate():
    records = [
        make_run(rate=0.001),
        make_run(SGD, rate=0.001),
        make_run(SGD, rate=0.1),
    ]
    assert figure("normalised sensitivity", records) is None
    assert (
        figure("normalised sensitivity", records[:2]) is None
    )  # one rate shows nothing


@pytest.mark.parametrize("final", [3.0, 1.81])
def test_sensitivity_is_silent_where_nobody_learned(final):
    records = [make_run(rate=rate, final=final) for rate in (0.1, 0.01)]
    assert figure("normalised sensitivity", records) is None
    records = [make_run(rate=rate, final=1.79) for rate in (0.1, 0.01)]
    assert figure("normalised sensitivity", records) == 0.0


RATES = (1e-3, 1e-2, 1e-1)


def at_sizes(**losses):
    return [
        make_run(size=int(size[1:]), rate=rate, final=loss)
        for size, values in losses.items()
        for rate, loss in zip(RATES, values, strict=True)
    ]


def test_drift_is_the_gap_between_the_ranges_of_good_rates():
    # Good at 16: up to 5 % of an improvement of 2 above 0, that is at 1e-3 and 0.1 / 2
    # of the way to 1e-2; at 64: from 0.1 / 2 of the way before 1e-1.
    records = at_sizes(b16=(0.0, 2.0, 2.0), b64=(2.0, 2.0, 0.0))
    assert figure("gap between batch sizes", records) == pytest.approx(2 - 2 * 0.05)
    same = at_sizes(b16=(0.0, 0.0, 2.0), b64=(2.0, 0.0, 0.0))
    assert figure("gap between batch sizes", same) == 0.0


@pytest.mark.parametrize("bad", [3.0, 1.9])
def test_learning_nothing_where_another_learns_drifts_over_the_whole_grid(bad):
    records = at_sizes(b16=(0.0, 2.0, 2.0), b64=(bad, bad, bad))
    assert figure("gap between batch sizes", records) is None  # nobody learned at 64
    records.append(make_run(SGD, size=64, rate=0.01, final=0.0))
    assert figure("gap between batch sizes", records) == pytest.approx(2.0)


def test_drift_needs_two_batch_sizes_and_every_rate():
    assert figure("gap between batch sizes", at_sizes(b16=(0.0, 2.0, 2.0))) is None
    records = at_sizes(b16=(0.0, 2.0, 2.0), b64=(2.0, 2.0, 0.0))
    assert figure("gap between batch sizes", records[:-1]) is None


def test_state_is_bytes_per_parameter_trained_or_only_built():
    records = [make_run(state_bytes=800), make_run(SGD, state_bytes=0)]
    facts = {"parameters": 100, "state_bytes": {STORAGES[1]: 206}}
    assert figure("state", records, **facts) == 8.0
    assert figure("state", records, SGD, **facts) == 0.0
    assert figure("state", records, STORAGES[1], **facts) == 2.06
    assert figure("state", records, "lion", **facts) is None
    assert figure("state", records) is None  # parameters are not known


def test_the_peak_is_a_mean_over_rounds():
    peaks = {(OURS, 0): 100, (OURS, 1): 300, (SGD, 1): 50}
    task = TaskRuns("large model", {}, 10, {OURS: 80}, peaks)
    assert task.seeds == (0, 1)
    peak = MEASURES["peak"].figure
    assert peak(task, OURS, (0, 1)) == 200
    assert peak(task, SGD, (0, 0)) is None
    assert MEASURES["state"].figure(task, OURS, (0, 1)) == 8.0


def test_runs_of_several_workloads_are_refused():
    with pytest.raises(ValueError, match=r"one workload .* received \['a', 'b'\]"):
        TaskRuns.collect([make_run(workload="a"), make_run(workload="b")])
    with pytest.raises(ValueError, match="received \\[\\]"):
        TaskRuns.collect([])


def test_every_figure_is_none_or_finite_where_everything_diverged():
    records = [
        make_run(o, rate=r, size=b, seed=s, curve=[None], status="diverged", steps=2)
        for o in (OURS, SGD)
        for r in RATES
        for b in (16, 64)
        for s in BOTH
    ]
    for name in MEASURES:
        value = figure(name, records)
        assert value is None or math.isfinite(value), name
    assert figure("diverged runs", records) == 1.0
    assert figure("early area, best rate", records) == 1.0
