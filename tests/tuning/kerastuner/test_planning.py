"""What a tuner sweeps, found out by one build of the user's model."""

import logging

import keras
import keras_tuner
import pytest
from hyper_training import OwnFit, build_model

import keras_adam
from tuning import FitWorkload
from tuning.grid import Run
from tuning.kerastuner.building import HyperBuild
from tuning.kerastuner.planning import plan_tuner
from tuning.kerastuner.trials import Setting

RUN = Run("keras.SGD", 16, 0.5, 0)


def plan(hypermodel=build_model, fixed=None, rate=None, size=None, **given):
    build = HyperBuild(hypermodel, fixed or {}, rate, size)
    arguments = {"optimizers": None, "learning_rates": None, "batch_sizes": None}
    return plan_tuner(build, **{**arguments, **given})


def building(define, optimizer="sgd"):
    """A build that defines further hyperparameters; what they return is kept."""
    seen = []

    def build(hp):
        seen.append(define(hp))
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(optimizer, loss="mse")
        return model

    build.seen = seen
    return build


@pytest.mark.parametrize(
    ("define", "rates"),
    [
        (lambda hp: hp.Float("lr", 1e-4, 1e-2), (1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2)),
        (lambda hp: hp.Float("lr", 1e-3, 2e-3), (1e-3, 2e-3)),
        (lambda hp: hp.Float("lr", 0.1, 0.1), (0.1,)),
        (lambda hp: hp.Choice("lr", [0.3, 0.1]), (0.3, 0.1)),
        (lambda hp: hp.Fixed("lr", 0.2), (0.2,)),
    ],
)
def test_learning_rates_are_those_that_the_hyperparameter_defines(define, rates):
    assert plan(building(define), rate="lr").learning_rates == pytest.approx(rates)
    assert plan(building(define)).learning_rates == FitWorkload.learning_rates
    given = plan(building(define), rate="lr", learning_rates=[0.7])
    assert given.learning_rates == (0.7,)


@pytest.mark.parametrize(
    ("define", "sizes"),
    [
        (lambda hp: hp.Int("batch", 16, 128), (16, 32, 64, 128)),
        (lambda hp: hp.Int("batch", 16, 100, step=4), (16, 32, 64)),
        (lambda hp: hp.Choice("batch", [8, 32]), (8, 32)),
    ],
)
def test_batch_sizes_are_those_that_the_hyperparameter_defines(define, sizes):
    assert plan(building(define), size="batch").batch_sizes == sizes


def test_only_the_claimed_hyperparameters_change_from_run_to_run():
    def define(hp):
        return hp.Float("lr", 0.1, 1.0), hp.Int("batch", 8, 64), hp.Int("units", 1, 9)

    build = building(define)
    found = plan(build, {"units": 3}, "lr", "batch")
    found.build(RUN)
    found.build()
    assert build.seen == [(0.1, 8, 3), (0.5, 16, 3), (0.1, 8, 3)]
    assert found.fixed == {"units": 3}


def test_names_of_the_axes_are_claimed_without_being_asked_for():
    build = building(lambda hp: hp.Float("learning_rate", 0.1, 1.0))
    found = plan(build)
    assert found.build.learning_rate == "learning_rate"
    assert found.learning_rates == pytest.approx((0.1, 0.316, 1.0), rel=1e-3)
    found.build(RUN)
    assert build.seen[-1] == 0.5


def test_hyperparameters_with_names_of_axes_keep_their_values(caplog):
    def define(hp):
        hp.Int("seed", 0, 9, default=4)
        hp.Choice("optimizer", ["adam", "sgd"])
        return hp.Float("learning_rate", 0.1, 1.0)

    build = building(define)
    with caplog.at_level(logging.WARNING, logger="tuning"):
        found = plan(build, {"learning_rate": 0.2})
    found.build(RUN)
    assert build.seen[-1] == 0.2
    assert found.values_of(Setting("keras.SGD", 16, 0.5)) == {
        "seed": 4,
        "optimizer": "adam",
        "learning_rate": 0.2,
        "tuner/optimizer": "keras.SGD",
        "tuner/learning_rate": 0.5,
        "batch_size": 16,
    }
    shown = [hp.name for hp in found.space_with([16]).space]
    assert shown[:3] == ["tuner/optimizer", "tuner/learning_rate", "batch_size"]
    assert "The learning rate of a run is called 'tuner/learning_rate'" in caplog.text


def test_conditional_hyperparameters_follow_the_fixed_values():
    def define(hp):
        kind = hp.Choice("kind", ["dense", "conv"])
        with hp.conditional_scope("kind", ["conv"]):
            return hp.Int("filters", 4, 8, default=6) if kind == "conv" else None

    assert plan(building(define)).fixed == {"kind": "dense"}
    conv = plan(building(define), {"kind": "conv"})
    assert conv.fixed == {"kind": "conv", "filters": 6}
    assert conv.space_with([16]).space[-1].name == "filters"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": "rate"}, r"learning_rate='rate' is .* defines \['activation', 'lr'"),
        ({"size": "b"}, "batch_size='b' is the name of no hyperparameter"),
        ({"fixed": {"unit": 3}}, "a value for 'unit', which the hypermodel does not"),
        ({"fixed": {"activation": "linear"}}, r"must be one of \['relu', 'tanh'\]"),
        ({"fixed": {"lr": 0.1}, "rate": "lr"}, "leave one of them out"),
        ({"rate": "lr", "size": "lr"}, "cannot be both the learning rate and the"),
        ({"rate": "activation"}, "a Choice, does not say which positive numbers"),
    ],
)
def test_names_and_values_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(**arguments)


def test_a_name_that_only_fit_defines_needs_values():
    with pytest.raises(ValueError, match=r"unknown before its fit.*batch_sizes=\["):
        plan(OwnFit(), size="batch")
    assert plan(OwnFit(), size="batch", batch_sizes=[25]).batch_sizes == (25,)


@pytest.mark.parametrize(
    ("hypermodel", "message"),
    [
        (3, "must be a function build_model"),
        (OwnFit, "an instance of keras_tuner.HyperModel; received <class"),
        (lambda hp: 3, "must return a keras.Model; it returned int"),
    ],
)
def test_what_is_no_hypermodel_is_refused(hypermodel, message):
    with pytest.raises(TypeError, match=message):
        plan(hypermodel)


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(ValueError, match="must return a compiled model"):
        plan(lambda hp: keras.Sequential([keras.layers.Dense(1)]))


def test_declared_hyperparameters_are_defined():
    class Declares(keras_tuner.HyperModel):
        def declare_hyperparameters(self, hp):
            hp.Float("lr", 0.01, 0.1)

        def build(self, hp):
            return building(lambda hp: hp.get("lr"))(hp)

    assert plan(Declares(), rate="lr").learning_rates[0] == 0.01


class Mine(keras.optimizers.SGD):
    """An optimizer that can be imported only from this test."""


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        ("adam", ["keras.Adam", "keras_adam.Adam.robust"]),
        (
            keras.optimizers.SGD(0.3, momentum=0.9),
            ["keras.SGD(momentum=0.9)", "keras_adam.Adam.robust"],
        ),
        (keras_adam.Adam(0.1), ["keras_adam.Adam", "keras_adam.Adam.robust"]),
        (keras_adam.Adam.robust(0.1), ["keras_adam.Adam.robust"]),
        (
            keras.optimizers.LossScaleOptimizer(keras.optimizers.Lion()),
            ["keras.Lion", "keras_adam.Adam.robust"],
        ),
    ],
)
def test_the_models_own_optimizer_is_swept_beside_the_robust_one(optimizer, names):
    found = plan(building(lambda hp: None, optimizer))
    assert list(found.optimizers) == names
    assert plan(optimizers=["keras.Nadam"]).optimizers == ["keras.Nadam"]


def test_an_optimizer_without_a_name_is_left_out_and_logged(caplog):
    class Local(keras.optimizers.SGD):
        pass

    with caplog.at_level(logging.WARNING, logger="tuning"):
        found = plan(building(lambda hp: None, Local()))
    assert list(found.optimizers) == ["keras_adam.Adam.robust"]
    assert "is not swept" in caplog.text


def test_sizes_of_search_are_used_where_the_tuner_has_none():
    assert plan().sizes(64) == (64,)
    assert plan().sizes(None) == FitWorkload.batch_sizes
    with pytest.raises(ValueError, match=r"batch sizes \[16\]; leave batch_size out"):
        plan(batch_sizes=[16]).sizes(64)
