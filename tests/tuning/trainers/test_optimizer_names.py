"""Names of optimizers: read, checked, shown, turned into file names."""

import json

import pytest
from sweep_values import make_grid
from tiny_workload import WORKLOAD

from tuning import resume_sweep, run_sweep, write_report
from tuning.grid import Run
from tuning.optimizer_names import (
    EARLIER_NAMES,
    check_names,
    file_name,
    parse_name,
    split_names,
)
from tuning.optimizer_options import parse_options
from tuning.plan import PLAN_FILE, read_plan

MOMENTUM = "keras.SGD(momentum=0.9)"


@pytest.mark.parametrize(
    ("name", "reference", "arguments"),
    [
        ("keras.Lion", "keras.optimizers:Lion", {}),
        ("keras.optimizers.Lion", "keras.optimizers:Lion", {}),
        ("keras_adam.Adam", "keras_adam:Adam", {}),
        ("keras_adam.Adam.robust", "keras_adam:Adam.robust", {}),
        (MOMENTUM, "keras.optimizers:SGD", {"momentum": 0.9}),
        (
            "keras_adam.Adam(moment_storage='8bit', amsgrad=False)",
            "keras_adam:Adam",
            {"moment_storage": "8bit", "amsgrad": False},
        ),
        ("my.module:make(a=[1, -2])", "my.module:make", {"a": [1, -2]}),
        ("my.module:make", "my.module:make", {}),
    ],
)
def test_a_name_says_where_a_class_is_and_with_which_arguments(
    name, reference, arguments
):
    assert parse_name(name) == (reference, arguments)
    check_names([name])


@pytest.mark.parametrize(
    "name",
    [
        "",
        "adamm",
        "keras",
        "keras.",
        "keras.2",
        "torch.Adam",
        "keras.SGD(",
        "keras.SGD(0.9)",
        "keras.SGD(**x)",
        "keras.SGD(momentum=0.9)(x=1)",
        "keras.SGD(momentum=0.9) + keras.SGD(momentum=0.9)",
        "keras.SGD(momentum=open('x'))",
        "keras.SGD(momentum=1, momentum=2)",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown optimizer"):
        parse_name(name)
    with pytest.raises(ValueError, match="unknown optimizers"):
        check_names([name])
    check_names([name], {name: None})  # unless the caller brings it along


def test_commas_inside_brackets_separate_no_names():
    text = "keras.SGD(momentum=0.9, nesterov=True), keras.Adam,"
    names = ["keras.SGD(momentum=0.9, nesterov=True)", "keras.Adam"]
    assert split_names(text) == names


def test_options_belong_to_a_name_with_arguments_too():
    found = parse_options([f"{MOMENTUM}.nesterov=true", "keras.SGD.momentum=0.5"])
    assert found.fixed == {MOMENTUM: {"nesterov": True}, "keras.SGD": {"momentum": 0.5}}


def test_an_option_with_several_values_makes_several_optimizers():
    found = parse_options(
        [
            "keras_adam.Adam.beta_2=0.9,0.99",
            "keras_adam.Adam.moment_storage=8bit,float32",
            "keras_adam.Adam.beta_1=0.8",
            f"{MOMENTUM}.nesterov=true,false",
            "keras.AdamW.epsilon=1e-5",
            "keras.RMSprop.name='a,b'",
        ]
    )
    assert found.fixed == {
        "keras.AdamW": {"epsilon": 1e-5},
        "keras.RMSprop": {"name": "a,b"},
    }
    names = found.expand(["keras.AdamW", "keras_adam.Adam", MOMENTUM])
    assert names == [
        "keras.AdamW",
        "keras_adam.Adam(beta_2=0.9, moment_storage='8bit', beta_1=0.8)",
        "keras_adam.Adam(beta_2=0.9, moment_storage='float32', beta_1=0.8)",
        "keras_adam.Adam(beta_2=0.99, moment_storage='8bit', beta_1=0.8)",
        "keras_adam.Adam(beta_2=0.99, moment_storage='float32', beta_1=0.8)",
        "keras.SGD(momentum=0.9, nesterov=True)",
        "keras.SGD(momentum=0.9, nesterov=False)",
    ]
    assert [parse_name(name).arguments["beta_2"] for name in names[1:5]] == [
        *(0.9, 0.9),
        *(0.99, 0.99),
    ]


def test_swept_options_need_their_optimizer():
    found = parse_options(["keras.Adam.beta_2=0.9,0.99"])
    with pytest.raises(ValueError, match="which the sweep does not run"):
        found.expand(["keras.SGD"])
    twice = parse_options([f"{MOMENTUM}.momentum=0.8,0.9"])
    with pytest.raises(ValueError, match="has the option 'momentum' in its name"):
        twice.expand([MOMENTUM])


@pytest.mark.parametrize("values", [",", "NaN,1.0", "1e400"])
def test_values_that_no_optimizer_could_have_are_refused(values):
    with pytest.raises(ValueError, match=r"option keras.Adam.clipnorm must be given"):
        parse_options([f"keras.Adam.clipnorm={values}"])


def test_a_list_in_brackets_is_one_value():
    found = parse_options(["keras.Adam.betas=[0.9,0.99]", "keras.Lion.x=[1,2],[3]"])
    assert found.fixed == {"keras.Adam": {"betas": [0.9, 0.99]}}
    assert found.swept == {"keras.Lion": {"x": [[1, 2], [3]]}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("keras.Adam", "keras.Adam"),
        ("my.module:make", "my.module:make"),
        (MOMENTUM, "keras.SGD-momentum=0.9"),
        (
            "keras_adam.Adam(moment_storage='8bit', epsilon=1e-8)",
            "keras_adam.Adam-moment_storage=8bit-epsilon=1e-8",
        ),
        ("m:f(path='../a\\\\b')", "m:f-path=..-a-b"),
    ],
)
def test_a_name_is_a_safe_part_of_a_path(name, expected):
    assert file_name(name) == expected
    run_id = Run(name, 8, 0.1, 0).run_id
    assert run_id == f"{expected}/batch=8/lr=0.1/seed=0"
    make_grid(optimizers=(name,))


def test_two_names_that_share_a_directory_are_refused():
    with pytest.raises(ValueError, match="would write to the same directory"):
        make_grid(optimizers=(MOMENTUM, "keras.SGD-momentum=0.9"))


def test_a_sweep_keeps_names_with_brackets_apart(tmp_path):
    names = ["keras.SGD", MOMENTUM]
    records = run_sweep(
        "tiny_workload:WORKLOAD",
        tmp_path,
        optimizers=names,
        learning_rates=[0.01],
        seeds=1,
        epochs=1,
        execution="model.fit",
    )
    assert [record.optimizer for record in records] == names
    assert [r.optimizer_config["momentum"] for r in records] == [0.0, 0.9]
    directories = {path.name for path in (tmp_path / "tensorboard").glob("keras*")}
    assert directories == {"keras.SGD", "keras.SGD-momentum=0.9"}
    assert MOMENTUM in write_report(tmp_path).read_text()


def test_a_sweep_with_names_of_an_earlier_version_is_refused(tmp_path):
    quick = {"learning_rates": [0.01], "seeds": 1, "epochs": 1}
    run_sweep("tiny_workload:WORKLOAD", tmp_path, optimizers=["keras.SGD"], **quick)
    plan = json.loads((tmp_path / PLAN_FILE).read_text())
    plan["grid"]["optimizers"] = list(EARLIER_NAMES)
    (tmp_path / PLAN_FILE).write_text(json.dumps(plan))
    wanted = "adam is keras_adam.Adam, keras-adam is keras.Adam.*start over"
    for use in (
        read_plan,
        resume_sweep,
        write_report,
        lambda out: run_sweep(WORKLOAD, out, optimizers=["keras.SGD"], **quick),
    ):
        with pytest.raises(ValueError, match=wanted):
            use(tmp_path)
    # Optimizers of a Python program may have any name.
    plan["own_optimizers"] = list(EARLIER_NAMES)
    (tmp_path / PLAN_FILE).write_text(json.dumps(plan))
    assert read_plan(tmp_path).grid.optimizers == tuple(EARLIER_NAMES)
