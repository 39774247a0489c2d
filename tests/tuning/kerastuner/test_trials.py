"""Trials that are made of records: one per setting, scored by the mean over seeds."""

import math

import keras_tuner
import pytest
from judged_records import as_accuracy, make_record

from tuning.kerastuner import checkpoints
from tuning.kerastuner.trials import (
    SettingOracle,
    best_of,
    group_by_setting,
    make_trial,
    mean_loss,
)

OBJECTIVE = keras_tuner.Objective("val_loss", "min")


def record(rate, seed, outcome, best=None, **fields):
    losses = {"val_loss": [best, outcome]} if best is not None else {}
    return make_record(
        "keras.SGD",
        8,
        rate,
        seed,
        outcome,
        best_val_loss=best,
        history=losses,
        **fields,
    )


def trials_of(records, objective=OBJECTIVE):
    hp = keras_tuner.HyperParameters()
    oracle = SettingOracle(objective)
    oracle.replace_trials(
        make_trial(setting, some, objective, hp.copy())
        for setting, some in group_by_setting(records).items()
    )
    return oracle


def test_the_first_trial_is_not_that_of_the_luckiest_seed():
    lucky = [record(0.1, 0, 0.2, 0.1), record(0.1, 1, 1.9, 1.5)]
    steady = [record(0.01, 0, 0.5, 0.4), record(0.01, 1, 0.6, 0.6)]
    first, second = trials_of([*lucky, *steady]).get_best_trials(2)
    assert first.trial_id == "keras.SGD, batch size 8, learning rate 0.01"
    assert first.score == pytest.approx(0.5)
    assert second.score == pytest.approx(0.8)
    assert best_of(lucky).seed == 0
    assert second.best_step == 0


def test_a_run_that_diverged_counts_as_one_that_learned_nothing():
    assert (
        mean_loss([record(0.1, 0, 0.2, 0.2), record(0.1, 1, "diverged", 0.01)]) == 1.1
    )
    unknown = record(0.1, 1, "diverged", initial_loss=None)
    assert mean_loss([record(0.1, 0, 0.2, 0.2), unknown]) == math.inf


def test_runs_that_failed_do_not_count_and_say_why():
    failed = record(0.1, 1, "failed")
    oracle = trials_of([record(0.1, 0, 0.2, 0.2), failed, record(0.01, 0, "failed")])
    first, second = oracle.get_best_trials(2)
    assert (first.status, first.score) == ("COMPLETED", 0.2)
    assert (second.status, second.score) == ("FAILED", None)
    assert first.message == second.message == "no memory left"
    assert best_of([failed]) is None


def test_a_rising_objective_is_ranked_and_shown_as_it_is():
    objective = keras_tuner.Objective("val_accuracy", "max")
    records = [as_accuracy(record(0.1, s, 0.5, 0.4)) for s in (0, 1)]
    worse = as_accuracy(record(0.01, 0, 1.0, 1.0))
    first, second = trials_of([worse, *records], objective).get_best_trials(2)
    assert first.score == pytest.approx(0.8)
    assert second.score == pytest.approx(0.5)


def test_of_runs_with_fewer_epochs_only_the_longest_count():
    short = record(0.1, 0, 0.1, 0.1, epochs=1)
    (some,) = group_by_setting([short, record(0.1, 0, 0.5, 0.5)]).values()
    assert [r.epochs for r in some] == [3]


def test_weights_of_the_best_runs_alone_are_kept(tmp_path):
    records = [
        *(record(0.1, 0, 0.2, 0.1), record(0.1, 1, 1.9, 1.5)),
        *(record(0.01, 0, 0.5, 0.4), record(0.01, 1, 0.6, 0.6)),
        *(record(1.0, 0, 1.8, 1.8), record(1.0, 1, "failed")),
    ]

    def kept(count, settings):
        for one in records:
            folder = checkpoints.folder_of(tmp_path, one.run_id)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / checkpoints.WEIGHTS_FILE).touch()
        checkpoints.keep_best(tmp_path, settings, count)
        found = [r for r in records if checkpoints.has_weights(tmp_path, r)]
        return [(r.learning_rate, r.seed) for r in found]

    settings = list(group_by_setting(records).values())
    assert kept(1, settings) == [(0.01, 0)]
    assert kept(2, settings) == [(0.1, 0), (0.01, 0)]
    # Settings that are not complete keep all.
    assert kept(1, settings[:1]) == [(0.1, 0), (0.01, 0), (0.01, 1), (1.0, 0), (1.0, 1)]
    # Which of two equal ones stays does not depend on their order.
    equal = [[record(0.2, 0, 0.5, 0.5)], [record(0.02, 0, 0.5, 0.5)]]
    records += [one for some in equal for one in some]
    first = kept(1, equal)
    assert kept(1, equal[::-1]) == first
    mine = tmp_path / checkpoints.DIRECTORY / checkpoints.WEIGHTS_FILE
    mine.touch()  # by a callback of the user's own
    checkpoints.remove_all(tmp_path)
    assert mine.exists()
    assert not any(checkpoints.has_weights(tmp_path, r) for r in records)
