"""`keras-adam-sweep check` and `tuning.check` on a training of milliseconds."""

import json
import pickle

import pytest
import tiny_workload
from command_line import invoke

import tuning
from tuning.checks.loaded_once import LoadedOnce

TINY = "tiny_workload:WORKLOAD"
SETTING = ["--learning-rate", 0.01, "--batch-size", 16]
SMALL = ["--epochs", 1, "--seeds", 2, "--max-runs", 32]
LENIENT = ["--max-loss-gap", 0.99, "--min-decades", 0.2]


def lines_of(directory):
    return (directory / "runs.jsonl").read_text().splitlines(keepends=True)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A check run from the command line, and what the command said."""
    out = tmp_path_factory.mktemp("check") / "out"
    return out, invoke("check", TINY, *SETTING, "--out", out, *SMALL, *LENIENT)


def test_a_safe_setting_ends_with_status_0(checked):
    out, result = checked
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Safe: keras.Adam, learning rate 0.01, batch size")
    assert "32 of at most 32 runs" in result.stderr
    assert "Not looked at within the budget" in result.stdout
    assert len(lines_of(out)) == 32
    plain = json.loads((out / "card.json").read_text())
    assert (plain["runs"], plain["most_runs"], plain["is_safe"]) == (32, 32, True)
    for name in ("card.md", "card.html", "sweep.json"):
        assert (out / name).stat().st_size > 0


def test_the_same_command_continues_and_ends_with_the_same_card(checked):
    out, first = checked
    before = (out / "runs.jsonl").read_bytes()
    arguments = ["check", TINY, *SETTING, "--out", out, *SMALL, *LENIENT]
    assert invoke(*arguments).stdout == first.stdout
    assert (out / "runs.jsonl").read_bytes() == before
    (out / "runs.jsonl").write_text("".join(lines_of(out)[:5]))
    again = invoke(*arguments)
    assert again.exit_code == 0

    def losses(text):
        return [line for line in text.splitlines() if "steps in" not in line]

    assert losses(again.stdout) == losses(first.stdout)
    assert [line.split(",")[0] for line in lines_of(out)] == [
        line.split(",")[0] for line in before.decode().splitlines(keepends=True)
    ]


def test_another_rule_or_setting_does_not_overwrite(checked):
    out, _ = checked
    before = (out / "card.json").read_bytes()
    for arguments, told in (
        ([*SETTING, *SMALL], "holds another sweep"),
        ([*SETTING[:3], 8, *SMALL, *LENIENT], "holds another sweep"),
    ):
        result = invoke("check", TINY, *arguments, "--out", out)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
    assert invoke("run", "--out", out, "--resume").exit_code == 2
    assert (out / "card.json").read_bytes() == before


def test_an_unsafe_setting_ends_with_status_1_and_is_held_against_a_safe_one(
    checked, tmp_path
):
    arguments = ["--learning-rate", 1e4, "--batch-size", 16, *SMALL, *LENIENT]
    result = invoke(
        *("check", TINY, *arguments, "--out", tmp_path / "b"),
        *("--against", checked[0] / "card.json", "--json"),
    )
    assert result.exit_code == 1, result.output
    plain = json.loads(result.stdout)
    assert plain["is_safe"] is False
    assert plain["comparison"]["was_safe"] is True
    assert "learning rate 0.01 → 10000" in plain["comparison"]["differences"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--learning-rate", -0.1], "learning_rate must be a positive number"),
        (["--learning-rate", 0], "learning_rate must be a positive number"),
        (["--batch-size", 0], "batch_size must be an integer of at least 1"),
        (["--batch-size", 51], "batch sizes [51] are larger than the 50 training"),
        (["--optimizer", "adamm"], "unknown optimizers ['adamm']"),
        (["--min-decades", 9], "min_decades must be a number from 0 to 3; received 9"),
        (["--seeds", 0], "seeds must be at least 1; received 0"),
        (["--max-runs", 0], "max_runs must be at least 1; received 0"),
        (["--max-minutes", 0], "max_minutes must be a positive number; received 0"),
        (["--against", "nothing.json"], "nothing.json does not exist; name the"),
        (["--set", "keras.SGD.momentum=0.9"], "which the grid does not run"),
        (["--set", "keras.Adam.beta_2=0.9,0.99"], "one value of each option"),
    ],
)
def test_a_user_s_mistake_is_told_in_one_line(tmp_path, arguments, told):
    out = tmp_path / "out"
    result = invoke("check", TINY, *SETTING, *SMALL, *arguments, "--out", out)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert told in line
    assert not out.exists()


def test_a_card_of_another_workload_is_refused(checked, tmp_path):
    plain = json.loads((checked[0] / "card.json").read_text())
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**plain, "workload": "digits"}))
    result = invoke("check", TINY, *SETTING, *SMALL, "--against", path)
    assert result.exit_code == 2
    assert "of the workload 'digits', this check trains 'tiny'" in result.stderr


def test_a_training_that_fails_is_an_error_of_the_user(tmp_path):
    out = tmp_path / "out"
    result = invoke("check", "tiny_workload:BROKEN", *SETTING, *SMALL, "--out", out)
    assert result.exit_code == 2, result.output
    told = result.stderr.splitlines()[-1]
    assert "no run at the setting can be judged" in told
    assert "RuntimeError: no model" in told
    assert "failures.log" in told


def test_python_gets_the_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    card = tuning.check(
        tiny_workload.WORKLOAD,
        learning_rate=0.01,
        batch_size=32,  # twice as many would be more than there are
        epochs=1,
        seeds=1,
        max_runs=4,
        max_minutes=60,
        rule=tuning.Rule(max_loss_gap=0.99),
        progress=seen.append,
    )
    assert isinstance(card, tuning.Card)
    assert card.content.runs == 4
    assert "learning rate 0.01, batch size 32, on tiny" in str(card)
    directory = tmp_path / "checks/tiny-keras.Adam-lr=0.01-batch=32"
    plan = json.loads((directory / "sweep.json").read_text())
    assert plan["grid"]["batch_sizes"] == [32, 16]
    assert plan["check"]["setting"]["batch_size"] == 32
    assert [progress.finished for progress in seen] == [0, 1, 2, 3, 4]
    assert {progress.total for progress in seen} == {4}
    assert tuning.read_card(directory).is_safe == card.is_safe


def test_an_optimizer_may_be_given_by_its_factory(tmp_path):
    arguments = {"learning_rate": 0.01, "batch_size": 16, "out": tmp_path / "a"}
    small = {"epochs": 1, "seeds": 1, "max_runs": 2}
    factory = {"mine": tiny_workload.keras.optimizers.SGD}
    card = tuning.check(TINY, optimizer=factory, **arguments, **small)
    assert card.content.setting.optimizer == "mine"
    with pytest.raises(ValueError, match="one factory by its name; received \\[\\]"):
        tuning.check(TINY, optimizer={}, **arguments)
    with pytest.raises(TypeError, match="must be a name such as"):
        tuning.check(TINY, optimizer=3, **arguments)


def test_data_are_loaded_once_and_stay_behind():
    loads = LoadedOnce(tiny_workload.load_data)
    assert loads() is loads()
    copied = pickle.loads(pickle.dumps(loads))
    assert copied._data is None
    assert copied().x_train.shape == (50, 4)
