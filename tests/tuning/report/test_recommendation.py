"""What a sweep recommends, worked out by hand."""

import dataclasses
import json

import pytest
from command_line import invoke
from judged_records import (
    DIVERGED,
    INITIAL,
    as_accuracy,
    make_record,
    make_records,
)

import tuning
from tuning.grid import Grid
from tuning.plan import Plan, write_plan
from tuning.report.recommendation import compile_line, reasons_for
from tuning.runs_file import append_record
from tuning.statistics.recommendation import Spread, recommend_setting
from tuning.statistics.summary import summarize

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def records_of(optimizer, *outcomes_by_seed, batch_size=32):
    return make_records(optimizer, batch_size, *outcomes_by_seed, rates=RATES)


# A wide stable range, at 0.50 ... 0.53, and a deep and narrow hole.
WIDE = records_of(
    "keras.Adam", [1.9, 0.52, 0.50, 0.53, 1.8], [1.9, 0.54, 0.50, 0.55, 1.8]
)
NARROW = records_of(
    "keras.SGD(momentum=0.9)", [1.9, 1.8, 1.2, 0.48, 2.0], [1.9, 1.8, 1.3, 0.50, 2.0]
)
# One run that ended at 0.1 by luck; its other seed diverged.
LUCKY = records_of(
    "keras.Lion", [1.9, 1.8, 0.1, 1.9, 2.0], [1.9, 1.8, DIVERGED, 1.9, 2.0]
)


def recommended(records, **options):
    return recommend_setting(summarize(records, **options), records)


def test_the_middle_of_the_widest_range_is_recommended():
    found = recommended([*NARROW, *WIDE, *LUCKY])
    assert (found.optimizer, found.batch_size) == ("keras.Adam", 32)
    assert found.learning_rate == 1e-2
    assert found.loss == Spread(0.50, 0.0)
    assert found.seeds == 2
    assert found.initial_loss == INITIAL
    assert found.settings == 3
    assert found.settings_as_good == 2  # 0.49 and 0.50 of 2.0; the lucky one is at 1.05
    assert found.luckiest_loss == 0.1
    assert found.luckiest_run.startswith("keras.Lion/batch=32/lr=0.01")


def test_a_rising_objective_is_shown_as_it_is():
    records = [*NARROW, *WIDE, *LUCKY]
    accuracies = [as_accuracy(record) for record in records]
    falling, rising = recommended(records), recommended(accuracies)
    assert rising.optimizer == falling.optimizer
    assert rising.learning_rate == falling.learning_rate
    assert rising.stable_range.decades == pytest.approx(falling.stable_range.decades)
    assert rising.direction == "max"
    assert rising.loss == Spread(0.75, 0.0)  # 1 - 0.50 / 2
    assert rising.initial_loss == 0.0
    assert rising.luckiest_loss == 0.95
    reasons = reasons_for(rising, 0.05)
    assert reasons[0] == "val_accuracy 0.750 ± 0 over 2 seeds, from 0."
    assert "The best single run" in reasons[3]
    assert "ended at 0.950; the mean over its seeds is 0.475." in reasons[3]


def test_a_setting_that_is_lower_by_more_than_the_tolerance_wins():
    lower = records_of("keras.RMSprop", [1.9, 1.8, 1.2, 0.2, 2.0])
    found = recommended([*WIDE, *lower])
    assert (found.optimizer, found.learning_rate) == ("keras.RMSprop", 0.1)
    assert found.settings_as_good == 1
    assert found.loss.deviation is None


def test_the_range_of_each_batch_size_counts_by_itself():
    wider = records_of("keras.Adam", [0.52, 0.5, 0.5, 0.5, 0.52], batch_size=64)
    found = recommended([*WIDE, *wider])
    assert (found.batch_size, found.learning_rate) == (64, 1e-2)
    assert found.stable_range.touches_low_edge
    assert found.stable_range.touches_high_edge


def test_between_two_middles_the_lower_loss_is_taken():
    rates = (1e-3, 1e-2)
    records = make_records("keras.Adam", 32, [0.52, 0.5], rates=rates)
    found = recommended(records)
    assert found.learning_rate == 1e-2


def test_runs_that_were_stopped_early_do_not_count():
    short = make_record("keras.Adam", 32, 0.1, 5, 0.01, epochs=1)
    grid = Grid(("keras.Adam",), RATES, (32,), (0, 1), 3)
    found = recommended([*WIDE, short], grid=grid)
    assert found.luckiest_loss == 0.5


def test_a_learning_rate_that_is_the_largest_of_a_schedule_is_called_so():
    config = {"learning_rate": {"class_name": "ScaledSchedule"}}
    record = make_record("keras.Adam", 32, 0.1, 0, 0.5, optimizer_config=config)
    found = recommended([record])
    assert found.follows_schedule
    assert compile_line(found, {}).endswith("the largest of its schedule")


def test_metrics_are_means_over_seeds():
    records = [
        make_record("keras.Adam", 32, 0.1, seed, 0.5, val_metrics={"accuracy": value})
        for seed, value in enumerate([0.7, 0.9])
    ]
    metrics = recommended(records).metrics
    assert metrics["accuracy"].mean == pytest.approx(0.8)
    assert metrics["accuracy"].deviation == pytest.approx(0.02**0.5)


def test_where_nothing_learned_nothing_is_recommended():
    assert recommended(records_of("keras.Adam", [2.0, 2.5, DIVERGED, 2.0, 2.0])) is None


def test_the_reasons_in_words():
    reasons = reasons_for(recommended([*NARROW, *WIDE, *LUCKY]), 0.05)
    assert reasons[0] == "val_loss 0.500 ± 0 over 2 seeds, from 2.00."
    assert "0.01 is the trained one nearest to their middle." in reasons[1]
    assert reasons[2] == (
        "2 of 3 settings (optimizer and batch size) end within 5 % of the largest "
        "improvement. This one has the widest range."
    )
    assert reasons[3] == (
        "The best single run, keras.Lion/batch=32/lr=0.01/seed=0, ended at 0.100; "
        "the mean over its seeds is 1.05."
    )
    alone = recommended(records_of("keras.Adam", [0.5, 0.5, 0.5, 0.5, 0.5]))
    assert (
        "reaches the lowest and the highest learning rate"
        in reasons_for(alone, 0.05)[2]
    )


@pytest.mark.parametrize(
    ("name", "options", "call"),
    [
        ("keras.Adam", {}, "keras.optimizers.Adam(learning_rate=0.01)"),
        (
            "keras.SGD(momentum=0.9)",
            {"nesterov": True},
            "keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, nesterov=True)",
        ),
        ("keras_adam.Adam.robust", {}, "keras_adam.Adam.robust(learning_rate=0.01)"),
        ("my.module:Fast", {}, "my.module.Fast(learning_rate=0.01)"),
    ],
)
def test_the_line_to_paste(name, options, call):
    found = dataclasses.replace(recommended(WIDE), optimizer=name)
    line = f"model.compile(optimizer={call}, ...)  # fit(batch_size=32)"
    assert compile_line(found, options) == line


@pytest.fixture
def sweep(tmp_path):
    for record in WIDE:
        append_record(tmp_path, record)
    return tmp_path


def test_the_command_prints_text_or_json(sweep):
    lines = invoke("best", sweep).stdout.splitlines()
    assert lines[0] == "keras.Adam, learning rate 0.01, batch size 32"
    assert lines[-1].startswith("model.compile(optimizer=keras.optimizers.Adam(")
    assert lines == str(tuning.recommend(sweep)).splitlines()
    plain = json.loads(invoke("best", sweep, "--json").stdout)
    assert plain["learning_rate"] == 0.01
    assert plain["loss"] == {"mean": 0.5, "deviation": 0.0}


def test_options_of_the_sweep_are_part_of_the_line(sweep):
    grid = Grid(
        ("keras.Adam",), RATES, (32,), (0, 1), 3, {"keras.Adam": {"beta_2": 0.9}}
    )
    write_plan(sweep, Plan(workload="digits", grid=grid, data={}))
    assert "learning_rate=0.01, beta_2=0.9" in tuning.recommend(sweep).compile_line


def test_optimizers_of_a_program_have_no_line_to_paste(sweep):
    grid = Grid(("keras.Adam",), RATES, (32,), (0, 1), 3)
    plan = Plan(workload="digits", grid=grid, data={}, own_optimizers=["keras.Adam"])
    write_plan(sweep, plan)
    assert "your own program" in tuning.recommend(sweep).compile_line


def test_a_sweep_in_which_nothing_learned_is_an_error_that_says_so(tmp_path):
    for record in records_of("keras.Adam", [2.5] * 5):
        append_record(tmp_path, record)
    with pytest.raises(ValueError, match="try other learning rates"):
        tuning.recommend(tmp_path)
