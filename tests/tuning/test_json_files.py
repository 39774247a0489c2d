"""Files of a sweep that hold something else: read, or refused in one line."""

import copy
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sweep_values import make_grid
from tiny_workload import make_workload
from typer.testing import CliRunner
from written_sweep import GRID, PLAN, record_of

from tuning import run_sweep, summarize, write_comparison, write_report
from tuning.cli.app import app
from tuning.cli.reports import read_summary, write_reports
from tuning.cli.terminal import summary_table
from tuning.grid import Grid
from tuning.options import SweepOptions
from tuning.plan import Plan, read_plan, write_plan
from tuning.runs_file import RUNS_FILE, append_record, read_records
from tuning.search.strategies import make_oracle
from tuning.sweep.directory import check_directory
from tuning.system.json_values import MOST_LEVELS, InvalidFileError, NotJSONError, parse


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sweep's plan and records, as the lab writes them."""
    directory = tmp_path_factory.mktemp("written")
    write_plan(directory, PLAN)
    for run in GRID.runs():
        append_record(directory, record_of(run))
    return directory


@pytest.fixture
def sweep(written, tmp_path):
    return shutil.copytree(written, tmp_path / "sweep")


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


# Every type of JSON, and what is at the ends of each.
VALUES = [
    *(None, True, False, 0, 1, -1, 2**63, -(2**63) - 1, 10**400),
    *(0.5, -0.5, 1e308, -1e308, 1e-320, 1e39, float("nan"), float("inf")),
    *(
        "",
        "x",
        "keras.Adam",
        "../../x",
        "/etc/x",
        "..",
        "\0",
        "\ud800",
        "a\nb",
        "x" * 5000,
    ),
    *([], [1], [1.5], ["x"], [None], [[]], [1e308, -1e308], ["x", "x"]),
    *({}, {"x": 1}, {"x": None}, {"x": []}, {"x": {}}, {"keras.Adam": 3}, {"": ""}),
    *(nested(5), nested(MOST_LEVELS + 1), {"keras.Adam": {"x": nested(MOST_LEVELS)}}),
]
DELETED = object()


def places_in(value, at=()):
    yield at
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from places_in(item, (*at, key))


def changed(plain, at, value):
    if not at:
        return None if value is DELETED else value
    plain = copy.deepcopy(plain)
    holder = plain
    for key in at[:-1]:
        holder = holder[key]
    if value is DELETED:
        del holder[at[-1]]
    else:
        holder[at[-1]] = value
    return plain


def is_told_in_one_line(read, path):
    """Whether reading worked; else that the error is ours, and names the file."""
    try:
        read(path.parent)
    except InvalidFileError as error:
        text = str(error)
        assert text.isprintable(), text  # no line break, no escape sequence
        assert str(path) in text
        assert len(text) < 600
        return False
    return True


def plan_places():
    plain = json.loads(json.dumps(PLAN.to_dict()))
    return plain, list(places_in(plain))


def record_places():
    plain = json.loads(record_of(GRID.runs()[0]).to_json())
    return plain, list(places_in(plain))


@pytest.mark.parametrize(
    ("name", "read", "places"),
    [
        ("sweep.json", read_plan, plan_places),
        (RUNS_FILE, read_records, record_places),
    ],
)
def test_any_value_in_any_place_is_read_or_told(tmp_path, name, read, places):
    path = tmp_path / name
    plain, everywhere = places()
    counts = {True: 0, False: 0}
    for at in everywhere:
        for value in (*VALUES, DELETED):
            path.write_text(json.dumps(changed(plain, at, value)) + "\n")
            counts[is_told_in_one_line(read, path)] += 1
    assert counts[True] > len(everywhere)
    assert counts[False] > 10 * len(everywhere)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(data=st.data(), value=JSON)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_value_that_hypothesis_finds_is_an_error_of_another_type(
    tmp_path_factory, data, value
):
    directory = tmp_path_factory.mktemp("any")
    for name, read, places in (
        ("sweep.json", read_plan, plan_places),
        (RUNS_FILE, read_records, record_places),
    ):
        plain, everywhere = places()
        at = data.draw(st.sampled_from(everywhere))
        (directory / name).write_text(json.dumps(changed(plain, at, value)) + "\n")
        is_told_in_one_line(read, directory / name)


@given(content=st.binary())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_bytes_are_an_error_of_another_type(tmp_path_factory, content):
    directory = tmp_path_factory.mktemp("bytes")
    for name, read in (("sweep.json", read_plan), (RUNS_FILE, read_records)):
        (directory / name).write_bytes(content)
        is_told_in_one_line(read, directory / name)


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (("grid", "options"), [], "grid.options must be an object; received []"),
        (("fingerprints",), 3, "fingerprints must be an object; received 3"),
        (("versions", "keras"), None, "versions.keras must be a string; received null"),
        (("grid", "seeds", 1), 1.5, "grid.seeds[1] must be an integer; received 1.5"),
        (("grid", "epochs"), DELETED, "grid.epochs is missing"),
        (("grid", "more"), 1, "grid.more is an unknown field; received 1"),
        (("grid", "epochs"), 0, "grid: epochs must be an integer of at least 1; re"),
        (("data", "train"), -1, "data.train must be at least 0; received -1"),
        (("target_val_loss",), float("nan"), "target_val_loss must be a finite number"),
        (("schedule",), "cosine", "schedule must be one of constant, linear; receive"),
        (("strategy",), "random", "strategy 'random' has no end of its own"),
        (("format",), 2, "format must be 1; received 2"),
        ((), [], "it must be an object; received []"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_a_plan_says_what_is_wrong_with_it(sweep, at, value, told):
    plain, _ = plan_places()
    (sweep / "sweep.json").write_text(json.dumps(changed(plain, at, value)))
    with pytest.raises(InvalidFileError) as error:
        read_plan(sweep)
    assert f"{sweep}/sweep.json cannot be read: {told}" in str(error.value)
    assert str(error.value).endswith("--overwrite (on_existing='overwrite').")


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (
            ("run_id",),
            "/tmp/x",
            "run_id must be OPTIMIZER/batch=N/lr=R/seed=N, because",
        ),
        (("run_id",), "../batch=8/lr=1/seed=0", "run_id must be OPTIMIZER/batch=N"),
        (("learning_rate",), "0.1", 'learning_rate must be a number; received "0.1"'),
        (("seconds",), float("inf"), "seconds must be a finite number; received Infin"),
        (("seconds",), 1e308, "seconds must be at most 1e+15; received 1e+308"),
        (("history", "loss", 1), [], "history.loss[1] must be a number; received []"),
        (("history",), [], "history must be an object; received []"),
        (("status",), "lost", "status must be one of ['ok', 'diverged', 'failed']"),
        (("seed",), DELETED, "seed is missing"),
        (("optimizer_config", "deep"), nested(100), "optimizer_config.deep[0][0]"),
        (("message",), "\ud800", "message holds a character that is not Unicode"),
        ((), 3, "it must be an object; received 3"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_a_record_says_in_which_line_what_is_wrong(sweep, at, value, told):
    plain, _ = record_places()
    lines = (sweep / RUNS_FILE).read_text().splitlines()
    lines[2] = json.dumps(changed(plain, at, value))
    (sweep / RUNS_FILE).write_text("\n".join(lines))
    with pytest.raises(InvalidFileError) as error:
        read_records(sweep)
    text = str(error.value)
    assert f"{sweep}/runs.jsonl, line 3 is not a record of a run: {told}" in text
    assert text.endswith(
        "Delete this line to have its run trained again, or restore the file."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("{", "it is not JSON (Expecting property name"),
        ('{"a": 1}\n{', "line 2, column 1"),
        ('{"a": 1, "a": 2}', 'an object holds the key "a" twice'),
        ('{"a": {"b": NaN}}', "a.b must be a finite number; received NaN"),
        ("[-Infinity]", "[0] must be a finite number; received -Infinity"),
        (f"[{10**400}]", "an integer has 401 digits, too many"),
        ("9" * 5000, "an integer has 5000 digits, too many"),
        ("[" * 100_000, "nested more than 100 levels deep"),
        ("[" * 150 + "]" * 150, "nested more than 100 levels deep"),
        (r'{"\ud800": 1}', "holds a character that is not Unicode"),
    ],
    ids=lambda v: v[:20],
)
def test_what_is_no_strict_json_is_told(text, told):
    with pytest.raises(InvalidFileError) as error:
        parse(text)
    assert told in str(error.value)
    is_torn = told.startswith("it is") or "column" in told
    assert isinstance(error.value, NotJSONError) == is_torn


def test_a_number_that_becomes_infinite_is_told(sweep):
    for name, read in (("sweep.json", read_plan), (RUNS_FILE, read_records)):
        text = (sweep / name).read_text().replace("0.01", "1e999")
        (sweep / name).write_text(text)
        told = (
            r"learning_rate(s\[1\])? must be (a finite number|at most 1e\+100); receiv"
        )
        with pytest.raises(InvalidFileError, match=told):
            read(sweep)
    options = {"keras_adam.Adam": {"x": parse("1e999")}}
    wanted = r"option 'x' of optimizer 'keras_adam\.Adam' must be"
    with pytest.raises(InvalidFileError, match=wanted):
        Grid.from_dict({**GRID.to_dict(), "options": options})


def test_a_byte_order_mark_is_no_error(sweep):
    for name in ("sweep.json", RUNS_FILE):
        path = sweep / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_plan(sweep).grid == GRID
    assert len(read_records(sweep)) == len(GRID)


def test_only_what_a_crash_leaves_is_passed_over(sweep, caplog):
    path = sweep / RUNS_FILE
    first, second, *_ = path.read_bytes().splitlines()
    for torn in (first[:50], b"\0" * 40, b"\0" * 9 + first[:50]):
        path.write_bytes(torn + b"\n" + second)
        assert len(read_records(sweep)) == 1
        path.write_bytes(torn)  # of the very first run
        assert read_records(sweep) == []
    assert "line 1 cannot be read: it is not JSON" in caplog.text
    for other in (b"\x89PNG\r\n\x1a\n", b"my notes\nof today\n", b"\xff\xfe{\0"):
        path.write_bytes(other)
        with pytest.raises(InvalidFileError, match="no line of it is a record of a ru"):
            read_records(sweep)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    quick = {"optimizers": ["keras.SGD"], "execution": "model.fit"}
    quick |= {"epochs": 1, "seeds": 1}
    run_sweep("tiny_workload:WORKLOAD", directory, **quick)
    return directory


SMALL = ("--optimizers", "keras.SGD", "--epochs", "1", "--seeds", "1")
COMMANDS = {
    "resume": ("run", "--resume", "--out"),
    "run": ("run", "tiny_workload:WORKLOAD", *SMALL, "--out"),
    "report": ("report",),
}


def put_directory(path):
    path.unlink()
    path.mkdir()


def put_link(path):
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = {
    "directory": (put_directory, "is a directory; it must be a file"),
    "link": (put_link, "is a symbolic link to a file that does not exist"),
    "deep": (lambda path: path.write_text("[" * 100_000), "nested more than 100"),
    "binary": (lambda path: path.write_bytes(b"\x89PNG\r\n\0"), "cannot be read"),
    "other type": (lambda path: path.write_text("[1, 2]\n"), "it must be an object"),
    "key twice": (
        lambda path: path.write_text('{"a": 1, "a": 1}'),
        "twice",
    ),
    "path": (
        lambda path: path.write_text(
            path.read_text().replace('"keras.', '"/tmp/keras.')
        ),
        "because ",
    ),
}


@pytest.mark.parametrize("name", ["sweep.json", RUNS_FILE])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_it_in_one_line(trained, tmp_path, command, damage, name):
    sweep = shutil.copytree(trained, tmp_path / "sweep")
    make_damage, told = DAMAGES[damage]
    make_damage(sweep / name)
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(app, [*COMMANDS[command], str(sweep)])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert told in line
    assert f"{sweep}/{name}" in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("loss", [1e308, -1e308, 1e101, 5e-324])
def test_losses_at_the_ends_of_float64_can_be_summarized(tmp_path, loss):
    write_plan(tmp_path, PLAN)
    for run in GRID.runs():
        changes = {"training_curve": [loss, -loss]}
        if run.optimizer == "keras.SGD":
            changes |= {"initial_loss": loss, "final_val_loss": -abs(loss)}
        append_record(tmp_path, record_of(run, **changes))
    records = read_records(tmp_path)
    summary = summarize(records, grid=GRID)
    are_too_large = abs(loss) > 1
    excluded = [run for run in summary.excluded if "beyond 1e+100" in run.reason]
    assert len(excluded) == are_too_large * len(GRID) / 2
    write_report(tmp_path)
    write_comparison(tmp_path, tmp_path)
    plain = json.loads((tmp_path / "summary.json").read_text())
    assert plain["runs"] == len(GRID)
    for strategy in ("grid", "edges"):
        assert not make_oracle(SweepOptions(strategy), GRID, records).has_more()


def test_a_grid_from_anywhere_is_checked_alike():
    for changes, told in (
        ({"options": [1]}, "options must be a dictionary of dictionaries"),
        (
            {"options": {"keras_adam.Adam": 3}},
            "options must be a dictionary of dictionaries",
        ),
        (
            {"options": {"keras_adam.Adam": {"x": float("nan")}}},
            "must be a finite number",
        ),
        (
            {"options": {"keras_adam.Adam": {"x": nested(200)}}},
            "and dictionaries of these",
        ),
        ({"learning_rates": (10**400,)}, "must hold float values"),
        ({"learning_rates": (1e-200,)}, "from 1e-100 to 1e100"),
        ({"seeds": (2**32,)}, "at least 0 and below 2"),
        ({"optimizers": ("a\nb",)}, "names a directory"),
        ({"optimizers": ("a\0",)}, "names a directory"),
        ({"optimizers": ("\udcff",)}, "names a directory"),
        ({"optimizers": ("x" * 201,)}, "of at most 200 bytes"),
    ):
        with pytest.raises(ValueError, match=told):
            make_grid(**changes)
    with pytest.raises(InvalidFileError, match="grid must be an object"):
        Plan.from_dict({**PLAN.to_dict(), "grid": "x"})
    with pytest.raises(InvalidFileError, match="must be an object"):
        Grid.from_dict([])


def test_numbers_of_numpy_are_planned_as_numbers(tmp_path):
    values = {"target_val_loss": np.float32(0.5), "examples_per_epoch": np.int64(40)}
    workload = make_workload(**values)
    quick = {"optimizers": ["keras.SGD"], "execution": "model.fit"}
    quick |= {"epochs": 1, "seeds": 1}
    for _ in range(2):  # the second one continues
        assert len(run_sweep(workload, tmp_path, **quick)) == 2
    plan = read_plan(tmp_path)
    assert (plan.target_val_loss, plan.examples_per_epoch) == (0.5, 40)
    infinite = make_workload(target_val_loss=np.inf)
    for _ in range(2):
        assert len(run_sweep(infinite, tmp_path / "infinite", **quick)) == 2
    nameless = make_workload(description=None)
    with pytest.raises(ValueError, match="cannot be planned: description must be a st"):
        run_sweep(nameless, tmp_path, on_existing="overwrite", **quick)
    assert len(read_records(tmp_path)) == 2


@pytest.mark.parametrize("text", ["{", "", "\0\0", '{"format": 1, "grid": NaN}'])
def test_a_damaged_plan_may_be_overwritten(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    check_directory(tmp_path, overwrite=True)


@pytest.mark.parametrize("text", ["my notes", "[NaN]", "{}", '{"a": NaN}', "[" * 10**5])
def test_what_was_no_plan_is_not_overwritten(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match="so nothing is overwritten"):
        check_directory(tmp_path, overwrite=True)


def test_an_error_about_a_name_that_is_not_utf_8_can_be_recorded(tmp_path):
    run = GRID.runs()[0]
    append_record(tmp_path, record_of(run, status="failed", message="no \udcff"))
    (record,) = read_records(tmp_path)
    assert record.message == "no \\udcff"
    plan = Plan("tiny", GRID, {}, command="run \udcff")
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path).command == "run \\udcff"


def test_any_name_can_be_shown_in_every_report(tmp_path):
    names = ("$x_{$", "[red]", "<b>", "字", "a b")
    grid = Grid(names, (0.1, 0.01), (8,), (0, 1), 3)
    write_plan(tmp_path, Plan("task $y^{$ [/bold]", grid, {}, command="\n[/x]"))
    for run in grid.runs():
        loss = -1e99 if run.optimizer == "<b>" else 1.0 + run.seed
        changes = {"workload": "task $y^{$ [/bold]", "final_val_loss": loss}
        append_record(tmp_path, record_of(run, **changes))
    write_reports(tmp_path)
    screen = Console(width=200, record=True, file=(tmp_path / "shown").open("w"))
    screen.print(summary_table(read_summary(tmp_path)))
    screen.file.close()
    shown = screen.export_text()
    for name in (*names, "task $y^{$ [/bold]"):
        assert name in shown
