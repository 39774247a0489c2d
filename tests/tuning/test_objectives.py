"""Which direction an objective has, and how its values become losses and back."""

import math
from types import SimpleNamespace

import pytest

from tuning.objectives import direction_of, name_of, short_name_of, turned


def workload(objective=None, direction=None):
    return SimpleNamespace(name="tiny", objective=objective, direction=direction)


@pytest.mark.parametrize(
    "objective",
    [None, "loss", "val_loss", "val_mae", "lost_reward", "negative_auc", "head_nats"],
)
def test_names_of_falling_quantities(objective):
    assert direction_of(workload(objective)) == "min"


@pytest.mark.parametrize(
    "objective",
    ["val_accuracy", "kind_auc", "reward", "val_f1", "val_Mean_IO_U", "r2_score"],
)
def test_names_of_rising_quantities(objective):
    assert direction_of(workload(objective)) == "max"


def test_a_given_direction_decides():
    assert direction_of(workload("val_score", "max")) == "max"
    assert direction_of(workload("val_score", "min")) == "min"
    assert direction_of(workload("val_accuracy", "min")) == "min"


@pytest.mark.parametrize(
    ("objective", "direction", "message"),
    [
        (
            "val_score",
            None,
            r"'val_score'.*give direction=\"min\" or direction=\"max\"",
        ),
        ("val_score", "up", "must be 'min' or 'max'; received 'up'"),
        (None, "max", "name the objective, such as 'val_accuracy'"),
    ],
)
def test_what_cannot_be_known_is_asked_for(objective, direction, message):
    with pytest.raises(ValueError, match=message):
        direction_of(workload(objective, direction))


def test_a_value_is_turned_and_back():
    assert turned(0.75, "min") == 0.75
    assert turned(0.75, "max") == -0.75
    assert turned(turned(0.75, "max"), "max") == 0.75
    assert math.copysign(1.0, turned(0.0, "max")) == 1.0  # shown as 0, not as -0


def test_names_for_people():
    assert name_of("val_loss") == "validation loss"
    assert short_name_of("val_loss") == "loss"
    assert name_of("val_accuracy") == short_name_of("val_accuracy") == "val_accuracy"
