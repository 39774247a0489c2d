import itertools
import math

import numpy as np
import pytest
from sweep_values import make_grid

from tuning.grid import Grid, log_spaced_rates


def test_runs_that_share_a_train_function_are_neighbours():
    runs = make_grid().runs()
    assert len(runs) == len(make_grid()) == 16
    groups = [(run.optimizer, run.batch_size) for run in runs]
    changes = sum(a != b for a, b in itertools.pairwise(groups))
    assert changes == 3  # four groups


def test_run_ids_are_distinct_and_name_every_axis():
    ids = [run.run_id for run in make_grid().runs()]
    assert len(set(ids)) == 16
    assert ids[0] == "keras.SGD/batch=8/lr=0.1/seed=0"


def test_a_grid_survives_being_written_down():
    grid = make_grid(options={"keras_adam.Adam": {"beta_2": 0.99}})
    assert Grid.from_dict(grid.to_dict()) == grid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": ()}, "optimizers is empty"),
        ({"optimizers": "keras.SGD"}, "optimizers must be a sequence"),
        ({"optimizers": ("keras.SGD", "keras.SGD")}, "repeats a value"),
        ({"optimizers": ("../elsewhere",)}, "without a slash"),
        ({"optimizers": ("..",)}, "without a slash"),
        ({"learning_rates": ()}, "learning_rates is empty"),
        ({"learning_rates": (0.0,)}, "positive finite"),
        ({"learning_rates": (-0.1,)}, "positive finite"),
        ({"learning_rates": (math.nan,)}, "positive finite"),
        ({"learning_rates": (math.inf,)}, "positive finite"),
        ({"learning_rates": ("fast",)}, "must hold float"),
        ({"learning_rates": (0.1, 0.1 + 1e-12)}, "first six digits"),
        ({"batch_sizes": (0,)}, "positive integers"),
        ({"batch_sizes": (2.5,)}, "must hold int"),
        ({"batch_sizes": (True,)}, "must hold int"),
        ({"seeds": (-1,)}, "at least 0"),
        ({"epochs": 0}, "at least 1"),
        ({"epochs": 1.5}, "at least 1"),
        (
            {"options": {"keras.SGD": {"momentum": object()}}},
            "option 'momentum' of optimizer",
        ),
        ({"options": {"keras.RMSprop": {}}}, "does not run"),
    ],
)
def test_an_unusable_grid_says_what_it_received(changes, message):
    with pytest.raises(ValueError, match=message):
        make_grid(**changes)


def test_a_plan_with_other_fields_is_refused():
    with pytest.raises(ValueError, match="has the fields"):
        Grid.from_dict({"optimizers": ["keras.SGD"]})


def test_log_spaced_rates_include_both_ends():
    assert log_spaced_rates(1e-4, 1.0, 5) == (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    assert log_spaced_rates(0.5, 0.5, 1) == (0.5,)


@pytest.mark.parametrize(
    "limits",
    [(1, 1, 2), (1, 0.1, 3), (0, 1, 3), (-1, 1, 3), (0.1, 1, 1), (0.1, math.inf, 3)],
)
def test_a_range_that_is_none_is_refused(limits):
    with pytest.raises(ValueError, match="LOW < HIGH"):
        log_spaced_rates(*limits)


def test_integers_of_numpy_are_integers():
    grid = make_grid(epochs=np.int64(2), seeds=(np.int64(4),))
    assert (type(grid.epochs), grid.epochs, grid.seeds) == (int, 2, (4,))


def test_more_rates_than_three_digits_tell_apart_are_refused():
    with pytest.raises(
        ValueError, match=r"50 learning rates from 0\.1 to 0\.11.*fewer"
    ):
        log_spaced_rates(0.1, 0.11, 50)
