import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import types

import pytest
from command_line import invoke
from rich.console import Console
from sweep_values import make_grid, make_record

from tuning.cli import console, interruption, report, terminal
from tuning.sweep import display
from tuning.sweep.progress import Progress

TINY = "tiny_workload:WORKLOAD"
SMALL = ["--optimizers", "keras.SGD", "--seeds", "1", "--epochs", "1"]


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep run from the command line, and what the command said."""
    directory = tmp_path_factory.mktemp("cli") / "sweep"
    return directory, invoke("run", TINY, "--out", directory, *SMALL)


@pytest.fixture
def sweep(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "sweep")


def test_a_sweep_ends_with_a_table_and_where_to_read_on(finished):
    directory, result = finished
    assert result.exit_code == 0, result.output
    assert re.search(r"keras.SGD +[\d.]+", result.stdout)
    assert f"report:       {directory}/report.html" in result.stdout
    assert f"keras-adam-sweep tensorboard {directory}" in result.stdout
    assert "2 of 2 runs" in result.stderr
    for name in ("report.html", "report.md", "summary.json", "runs.csv", "sweep.json"):
        assert (directory / name).stat().st_size > 0


def test_the_same_command_again_says_that_it_is_done(finished, sweep):
    before = (sweep / "runs.jsonl").read_bytes()
    for arguments in ([TINY, *SMALL], ["--resume"]):
        result = invoke("run", "--out", sweep, *arguments)
        assert result.exit_code == 0, result.output
        assert "2 of 2 runs" in result.stderr
    assert (sweep / "runs.jsonl").read_bytes() == before


def test_resume_does_what_is_missing(sweep):
    path = sweep / "runs.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    result = invoke("run", "--out", sweep, "--resume")
    assert result.exit_code == 0, result.output
    assert len(path.read_text().splitlines()) == 2


def test_a_range_of_rates_and_options_reach_the_runs(tmp_path):
    result = invoke(
        "run",
        TINY,
        *("--out", tmp_path / "s", "--optimizers", "keras.SGD"),
        *("--seeds", 1, "--epochs", 1),
        *("--learning-rates", "0.01:0.1:2", "--batch-sizes", "50"),
        *("--set", "keras.SGD.momentum=0.5", "--set", "keras.SGD.nesterov=true"),
    )
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "s/runs.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["learning_rate"] for record in records] == [0.01, 0.1]
    assert {record["batch_size"] for record in records} == {50}
    assert {record["optimizer_config"]["momentum"] for record in records} == {0.5}
    assert {record["optimizer_config"]["nesterov"] for record in records} == {True}


def test_a_workload_may_lie_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_task.py").write_text("from tiny_workload import WORKLOAD")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    arguments = ["--batch-sizes", "51", *SMALL]
    result = invoke("run", "my_task:WORKLOAD", "--out", "sweep", *arguments)
    assert "larger than the 50 training examples" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist"], "unknown workload 'mnist'; use digits, detection, "),
        (["no_module:x"], "cannot be imported"),
        (["tiny_workload:NOT_A_WORKLOAD"], "received int"),
        (
            ["--optimizers", "adamm"],
            "unknown optimizers ['adamm']; use keras.Adam (any class",
        ),
        (["--optimizers", "x:y"], "cannot be imported"),
        (["--optimizers", ""], "optimizers is empty"),
        (["--learning-rates", "fast"], "LOW:HIGH:COUNT or a list; received 'fast'"),
        (["--learning-rates", "1:2"], "LOW:HIGH:COUNT or a list; received '1:2'"),
        (["--learning-rates", "1:0.1:3"], "0 < LOW < HIGH"),
        (
            ["--learning-rates", "0.1,-0.1"],
            "positive finite numbers; received [0.1, -0.1]",
        ),
        (["--learning-rates", ","], "learning_rates is empty"),
        (["--batch-sizes", "0"], "positive integers; received [0]"),
        (["--batch-sizes", "8.5"], "a list of integers; received '8.5'"),
        (
            ["--batch-sizes", "16,51"],
            "batch sizes [51] are larger than the 50 training",
        ),
        (["--seeds", "0"], "--seeds must be at least 1; received 0"),
        (["--epochs", "-1"], "--epochs must be at least 1; received -1"),
        (["--set", "keras.SGD.momentum"], "optimizer.option=value"),
        (["--set", "keras.SGD.no_such=1"], "cannot be made"),
        (["--set", "keras.Adam.beta_1=1"], "options are given for ['keras.Adam']"),
        (["--learning-rates", "0.1:0.11:50"], "tell (11 are left); use fewer"),
        (["tuning.mine:WORKLOAD"], "is this lab's own"),
        (["tiny_workload:failing_workload"], "cannot be made: RuntimeError: no task"),
        (["--epochs", "3"], "holds another sweep: epochs is 1 there, 3 here"),
        (["--engine", "slurm"], "engine must be one of ['local', 'ray']"),
        (["--workers", "0"], "workers must be at least 1; received 0"),
        (["--run-timeout", "-5"], "run_timeout must be a positive number"),
        (["--ray-address", "auto"], "option of the engine 'ray'"),
        (["--strategy", "random"], "set max_runs (--max-runs)"),
        (["--strategy", "edges", "--max-runs", "3"], "'edges' ends by itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_one_line_and_overwrites_nothing(
    sweep, arguments, message
):
    before = contents(sweep)
    workload = [] if arguments[0][0] != "-" else [TINY]
    extra = {"--optimizers", "--seeds", "--epochs"} & set(arguments)
    small = [word for word in SMALL if word not in extra]
    if extra:
        i = SMALL.index(*extra)
        small = SMALL[:i] + SMALL[i + 2 :]
    flags = [] if "another sweep" in message else ["--overwrite"]
    result = invoke("run", *workload, "--out", sweep, *small, *flags, *arguments)
    assert result.exit_code == 2, result.output
    told = result.stderr.splitlines()
    assert len(told) == 1, result.stderr
    assert message in told[0]
    assert contents(sweep) == before


def test_real_data_are_taken_from_the_directory_named(tmp_path, monkeypatch):
    (tmp_path / "real_task.py").write_text(
        "import tiny_workload\n"
        "from tuning.data_sources.public_data import data_directory\n"
        "def workload():\n"
        "    text = str(data_directory())\n"
        "    return tiny_workload.make_workload(description=text)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delenv("KERAS_ADAM_DATA", raising=False)
    common = ["run", "real_task:workload", "--learning-rates", "0.1", *SMALL]
    for out, options, expected in (
        ("real", ["--data-dir", "data"], tmp_path / "data"),
        ("embedded", [], None),
    ):
        result = invoke(*common, "--out", out, *options)
        assert result.exit_code == 0, result.output
        plan = json.loads((tmp_path / out / "sweep.json").read_text())
        assert plan["description"] == str(expected)
    # Where the data lie is not planned: it may be said again.
    result = invoke("run", "--out", "real", "--resume", "--data-dir", "data")
    assert result.exit_code == 0, result.output
    assert "KERAS_ADAM_DATA" not in os.environ


def test_a_data_directory_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    arguments = ["topics", "--data-dir", tmp_path / "file"]
    result = invoke("run", *arguments, "--out", tmp_path / "sweep")
    assert result.exit_code == 2
    assert "must be a directory; received the file" in result.stderr
    assert not (tmp_path / "sweep").exists()


def test_directories_that_cannot_hold_a_sweep_are_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out, message in (
        (tmp_path / "file", "is a file"),
        (tmp_path, "is not empty and not the directory of a sweep (it holds file)"),
        (tmp_path / "file/below", "cannot be written to"),
    ):
        result = invoke("run", TINY, "--out", out, *SMALL)
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert (tmp_path / "file").read_text() == "mine"


NOWHERE = "is a symbolic link to nowhere, which does not exist"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("dangling", NOWHERE),
        ("dangling/below", NOWHERE),
        ("loop", "a symbolic link that leads back to itself"),
        ("x" * 300, "its name is too long"),
        (os.fsdecode(b"s-\xff"), r"has a name that is not UTF-8"),
        ("file", "file"),
        ("file/below", "file is a file, not a directory"),
    ],
    ids=["dangling", "below-dangling", "loop", "long", "bytes", "file", "below-file"],
)
@pytest.mark.parametrize(
    "command",
    [
        ("run", TINY, *SMALL, "--out"),
        ("run", "--resume", "--out"),
        ("run", "topics", "--out", "new", "--data-dir"),
        ("claims", "--dry-run", "--out"),
        ("report",),
        ("tensorboard",),
    ],
    ids=["run", "resume", "data", "claims", "report", "tensorboard"],
)
def test_what_stands_at_a_path_is_told(tmp_path, monkeypatch, command, name, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(os.listdir(tmp_path))
    result = invoke(*command, name)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert told in line
    assert "Errno" not in line
    assert "codec" not in line
    assert sorted(os.listdir(tmp_path)) == before


def test_the_environment_s_data_directory_is_checked_alike(tmp_path, monkeypatch):
    (tmp_path / "dangling").symlink_to("nowhere")
    for name, told in (
        (str(tmp_path / "dangling"), NOWHERE),
        ("~nobody-has-this-name/data", "name the directory in full"),
    ):
        monkeypatch.setenv("KERAS_ADAM_DATA", name)
        result = invoke("run", "topics", "--out", tmp_path / "sweep", *SMALL)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
    assert not (tmp_path / "sweep").exists()


def test_a_directory_without_permission_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr("tuning.sweep.directory.Path.open", refuse)
    result = invoke("run", TINY, "--out", tmp_path / "sweep", *SMALL)
    assert result.exit_code == 2
    told = "cannot be written to: permission denied; use another one, or change its"
    assert told in result.stderr
    assert not (tmp_path / "sweep").exists()


def test_a_disk_that_is_full_at_the_report_is_told_after_the_table(sweep, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(sweep / "report.html"))

    for place in ("write_report", "report_events.write_report_run"):
        with monkeypatch.context() as context:
            context.setattr(f"tuning.cli.reports.{place}", full)
            result = invoke("run", "--out", sweep, "--resume")
        assert result.exit_code == 2, result.output
        assert re.search(r"keras.SGD +[\d.]+", result.stdout)
        told = result.stderr.splitlines()[-1]
        assert f"the sweep in {sweep} is done and recorded, but its report" in told
        assert f"{sweep}/report.html: No space left on device" in told


@pytest.mark.parametrize("value", ["[" * 100_000, "(" * 100_000, "-" * 100_000])
def test_an_option_of_many_brackets_is_told_in_one_short_line(tmp_path, value):
    arguments = ["--optimizers", "keras.SGD", "--set", f"keras.SGD.momentum={value}"]
    result = invoke("run", TINY, "--out", tmp_path / "sweep", *arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert "optimizer 'keras.SGD' cannot be made" in line
    assert len(line) < 1100


def test_resume_takes_no_other_options(sweep, tmp_path):
    result = invoke("run", "--out", sweep, "--resume", "--epochs", 2, "--overwrite")
    assert result.exit_code == 2
    assert "received also --epochs, --overwrite" in result.stderr
    result = invoke("run", "--out", tmp_path / "nothing", "--resume")
    assert result.exit_code == 2
    assert "holds no sweep.json" in result.stderr


def test_resume_may_name_the_workload_it_continues(sweep):
    result = invoke("run", TINY, "--out", sweep, "--resume")
    assert result.exit_code == 0, result.output
    result = invoke("run", "digits", "--out", sweep, "--resume")
    assert result.exit_code == 2
    assert f"trains '{TINY}'; received 'digits'" in result.stderr


def test_without_out_the_directory_is_named_after_workload_and_date(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = invoke("run", TINY, *SMALL)
    assert result.exit_code == 0, result.output
    (directory,) = tmp_path.glob("sweeps/*")
    assert re.fullmatch(r"tiny_workload-WORKLOAD-\d{4}-\d{2}-\d{2}", directory.name)
    assert f"directory:    {directory.relative_to(tmp_path)}" in result.stderr
    for option in ("--resume", "--extend"):
        result = invoke("run", option)
        assert result.exit_code == 2
        assert f"{option} needs --out" in result.stderr


def test_an_interruption_names_the_directory_that_nobody_named():
    line = interruption.continues_in("sweeps/two words")
    assert line.endswith("keras-adam-sweep run --resume --out 'sweeps/two words'")


def test_a_dry_run_counts_the_runs_and_writes_nothing(sweep, tmp_path):
    result = invoke("run", TINY, "--out", tmp_path / "new", *SMALL, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "2 runs, 2 of them to be trained." in result.stdout
    assert "the time is not known" in result.stdout
    assert not (tmp_path / "new").exists()
    path = sweep / "runs.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    before = contents(sweep)
    result = invoke("run", "--out", sweep, "--resume", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "2 runs, 1 of them to be trained." in result.stdout
    assert "A run has taken" in result.stdout
    assert contents(sweep) == before
    wrong = invoke("run", TINY, "--out", sweep, "--dry-run", "--epochs", 2)
    assert wrong.exit_code == 2
    assert "holds another sweep" in wrong.stderr


def test_the_version_is_shown():
    result = invoke("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"keras-adam \d+\.\d+\.\d+\S*\n", result.stdout)


def test_a_report_is_opened(sweep, monkeypatch):
    opened = []
    monkeypatch.setattr(report.typer, "launch", opened.append)
    assert invoke("report", sweep, "--open").exit_code == 0
    assert opened == [(sweep / "report.html").as_uri()]


def test_a_missing_or_unknown_option_is_an_error_of_the_user(tmp_path):
    assert invoke("check").exit_code == 2
    assert invoke("run", "--out", tmp_path, "--speed", "9").exit_code == 2


def test_failed_runs_are_told_in_one_line(tmp_path):
    out = tmp_path / "sweep"
    result = invoke("run", "tiny_workload:BROKEN", "--out", out, *SMALL)
    assert result.exit_code == 1, result.output
    assert (
        "2 of 2 runs failed; the first, keras.SGD/batch=16/lr=0.01/seed=0, with "
        f"RuntimeError: no model (tracebacks: {out}/failures.log" in result.stderr
    )
    assert "; the same command tries them again)" in result.stderr
    assert "Traceback" in (out / "failures.log").read_text()
    again = invoke(
        "run", "tiny_workload:BROKEN", "--out", out, *SMALL, "--overwrite"
    ).stderr
    assert "the same command without --overwrite tries them again)" in again


@pytest.mark.slow
def test_a_run_past_its_limit_is_told_and_the_sweep_goes_on(tmp_path):
    out = tmp_path / "sweep"
    result = invoke(
        *("run", "hazards:WORKLOAD", "--out", out, "--seeds", 1, "--epochs", 1),
        *("--optimizers", "hazards:hazardous", "--run-timeout", 15),
        *("--learning-rates", "0.01,0.03"),  # the second one hangs
    )
    assert result.exit_code == 0, result.output
    assert "1 of 2 runs failed" in result.stderr
    assert "TimeoutError: ended after 15 s" in result.stderr


def test_edges_says_how_much_of_the_grid_it_ran(tmp_path):
    out = tmp_path / "sweep"
    result = invoke(
        *("run", TINY, "--out", out, "--strategy", "edges", *SMALL),
        *("--learning-rates", "1e-4:100:13"),
    )
    assert result.exit_code == 0, result.output
    runs = len((out / "runs.jsonl").read_text().splitlines())
    assert runs < 13
    report = (out / "report.md").read_text()
    assert f"with {runs} of the grid's 13 runs" in report
    before = (out / "runs.jsonl").read_bytes()
    assert invoke("run", "--out", out, "--resume").exit_code == 0
    assert (out / "runs.jsonl").read_bytes() == before


def test_two_sweeps_are_compared(sweep, tmp_path):
    other = shutil.copytree(sweep, tmp_path / "other")
    result = invoke("report", sweep, other)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{other}/comparison.html"
    assert "keras.SGD: mean loss" in (other / "comparison.md").read_text()
    assert not (sweep / "comparison.html").exists()


def test_sweeps_that_have_nothing_in_common_still_get_their_reports(sweep, tmp_path):
    other = shutil.copytree(sweep, tmp_path / "other")
    path = other / "runs.jsonl"
    changed = path.read_text().replace('"keras.SGD"', '"keras.Adam"')
    path.write_text(changed.replace("0.01", "0.02"))
    text = (other / "sweep.json").read_text().replace('"keras.SGD"', '"keras.Adam"')
    (other / "sweep.json").write_text(text)
    (other / "report.html").unlink()
    path.write_text(
        path.read_text().replace('"learning_rate": 0.1', '"learning_rate": 9')
    )
    result = invoke("report", sweep, other)
    assert result.exit_code == 0
    assert "Not compared: the sweeps have no run in common" in result.stderr
    assert (other / "report.html").exists()


def test_a_port_out_of_range_is_told(sweep):
    result = invoke("tensorboard", sweep, "--port", 65536)
    assert result.exit_code == 2
    assert "--port must be from 0 to 65535; received 65536" in result.stderr


@pytest.mark.slow
def test_no_banner_of_tensorflow_stands_before_an_error(tmp_path):
    (tmp_path / "my_task.py").write_text("import keras\nWORKLOAD = keras.no_such_name")
    command = [sys.executable, "-m", "tuning", "run", "my_task:WORKLOAD", "--out", "s"]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "my_task.py, line 2" in ended.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tuning.sweep.run.run_sweep", interrupted)
    result = invoke("run", TINY, "--out", tmp_path / "sweep")
    assert result.exit_code == 130
    assert "the same command continues" in result.stderr


def test_a_report_is_written_again_from_the_records(sweep):
    (sweep / "report.html").unlink()
    result = invoke("report", sweep)
    assert result.exit_code == 0
    assert result.stdout == f"{sweep}/report.html\n"


@pytest.mark.parametrize("command", ["report", "tensorboard"])
def test_a_directory_without_a_sweep_is_told(tmp_path, command):
    result = invoke(command, tmp_path)
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr


@pytest.fixture
def board(monkeypatch):
    """TensorBoard's program without its server; what it was configured with."""
    # By its full name: `from tensorboard import program` is a lazy stand-in.
    program = importlib.import_module("tensorboard.program")

    def configure(argv):
        board.argv = argv

    board = types.SimpleNamespace(
        configure=configure,
        launch=lambda: "http://127.0.0.1:6123/",
        error=program.TensorBoardServerException,
    )
    monkeypatch.setattr(program, "TensorBoard", lambda: board)
    monkeypatch.setattr("tuning.cli.tensorboard._wait_for_ctrl_c", lambda: None)
    return board


def test_tensorboard_is_started_on_this_machine_only(sweep, board):
    result = invoke("tensorboard", sweep, "--port", 6123)
    assert result.exit_code == 0, result.output
    assert "http://127.0.0.1:6123/" in result.stdout
    assert board.argv[1:] == [
        *("--logdir", str(sweep / "tensorboard")),
        *("--host", "127.0.0.1", "--port", "6123"),
    ]


def test_a_taken_port_is_told(sweep, board):
    def launch():
        raise board.error("port 6006 is taken")

    board.launch = launch
    result = invoke("tensorboard", sweep)
    assert (result.exit_code, "port 6006 is taken" in result.stderr) == (2, True)


def test_workloads_are_listed():
    result = invoke("workloads")
    assert result.exit_code == 0
    assert "digits  scikit-learn's 1,797" in result.stdout
    listed = [line.split()[0] for line in result.stdout.splitlines()]
    assert listed == [
        "digits",
        "detection",
        "segmentation",
        "topics",
        "sentiment",
        "language-model",
        "speech-to-text",
        "speakers",
    ]
    assert all(len(line.split("  ", 1)[1]) > 20 for line in result.stdout.splitlines())


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch, capsys):
    find_spec = console.importlib.util.find_spec
    monkeypatch.setattr(
        console.importlib.util,
        "find_spec",
        lambda name: None if name == "typer" else find_spec(name),
    )
    with pytest.raises(SystemExit) as stop:
        console.main()
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told == "keras-adam-sweep needs typer: pip install 'keras-adam[tuning]'\n"


def test_python_m_tuning_is_the_same_command(monkeypatch, capsys):
    import runpy

    monkeypatch.setattr("sys.argv", ["tuning", "workloads"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("tuning", run_name="__main__")
    assert not stop.value.code
    assert "digits" in capsys.readouterr().out


def show_progress(is_terminal, tmp_path):
    """What a sweep of two runs, one of them diverged, shows."""
    path = tmp_path / "shown"
    with path.open("w") as file:
        screen = Console(file=file, force_terminal=is_terminal, width=100)
        with display.ProgressDisplay(screen) as shown:
            shown.show(Progress(0, 2, None))
            shown.show(Progress(1, 2, make_record(0, status="diverged")))
            shown.show(Progress(2, 2, make_record(1)))
    return path.read_text()


def test_progress_is_a_bar_in_a_terminal(tmp_path):
    shown = show_progress(True, tmp_path)
    assert "keras.SGD, batch 8 (1 diverged)" in shown
    assert "2/2" in shown


def test_progress_is_lines_elsewhere(tmp_path, monkeypatch):
    assert show_progress(False, tmp_path) == "0 of 2 runs\n2 of 2 runs (1 diverged)\n"
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0)
    lines = show_progress(False, tmp_path).splitlines()
    assert re.fullmatch(r"1 of 2 runs \(1 diverged\), about .* left", lines[1])


def told_at_times(tmp_path, monkeypatch, events):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0)
    now = 0.0
    clock = types.SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(display, "time", clock)
    path = tmp_path / "shown"
    with (
        path.open("w") as file,
        display.ProgressDisplay(Console(file=file)) as shown,
    ):
        for at, progress in events:
            now = at
            shown.show(progress)
    return path.read_text().splitlines()


@pytest.mark.parametrize(
    ("asked", "force_terminal", "shows"),
    [
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_a_program_s_sweep_is_shown_where_somebody_looks(
    monkeypatch, capsys, asked, force_terminal, shows
):
    made = functools.partial(Console, force_terminal=force_terminal)
    monkeypatch.setattr(display, "Console", made)
    with display.listening(asked) as listener:
        assert (listener is not None) == shows
        if listener is not None:
            listener(Progress(0, 2, None))
    assert ("0/2" in capsys.readouterr().err) == (shows and force_terminal)


def test_a_listener_of_the_program_s_own_is_called():
    with display.listening(print) as listener:
        assert listener is print


def test_time_left_follows_what_runs_are_expected_to_take(tmp_path, monkeypatch):
    shown = told_at_times(
        tmp_path,
        monkeypatch,
        [
            (100.0, Progress(1, 9, None, time_share=0.2)),
            # 30 seconds for 30 %
            (130.0, Progress(2, 9, make_record(1), time_share=0.5)),
        ],
    )
    assert shown == ["1 of 9 runs", "2 of 9 runs, about 50 s left"]


def test_time_left_of_several_sweeps_counts_what_was_done_now(tmp_path, monkeypatch):
    shown = told_at_times(
        tmp_path,
        monkeypatch,
        [
            (10.0, Progress(3, 9, None, time_share=0.3)),  # of an earlier session
            (40.0, Progress(4, 9, make_record(1), time_share=0.4)),
            (40.0, Progress(4, 9, None, time_share=0.4)),  # the next sweep
            (42.0, Progress(6, 9, None, time_share=0.6)),  # and one that was begun
            (70.0, Progress(7, 9, make_record(2), time_share=0.7)),
        ],
    )
    assert shown[1] == "4 of 9 runs, about 3 min 0 s left"
    assert shown[2].endswith("3 min 0 s left")  # no other at a start
    # 60 seconds for 20 %; the part that was found done took no time
    assert shown[4] == "7 of 9 runs, about 1 min 30 s left"


def test_the_table_fits_a_terminal_and_names_every_optimizer(tmp_path):
    from tuning import summarize

    records = [
        make_record(
            run.seed,
            run_id=run.run_id,
            optimizer=run.optimizer,
            learning_rate=run.learning_rate,
            batch_size=run.batch_size,
            initial_loss=2.0,
            best_val_loss=1.0,
            final_val_loss=1.0,
            state_bytes=123_456,
            seconds_per_step=1.234e-4,
        )
        for run in make_grid(
            optimizers=("keras.SGD(momentum=0.9)", "keras.Adam")
        ).runs()
    ]
    screen = Console(width=80, record=True, file=(tmp_path / "x").open("w"))
    screen.print(terminal.summary_table(summarize(records)))
    screen.file.close()
    shown = screen.export_text()
    assert "keras.Adam" in shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown  # nothing was cut off


def test_what_a_failed_start_wrote_is_not_lost(capfd):
    def start():
        with terminal.quiet_tensorflow():
            os.write(2, b"native words\n")
            raise ImportError("no library")

    with pytest.raises(ImportError):
        start()
    assert capfd.readouterr().err == "native words\n"
    with terminal.quiet_tensorflow():
        os.write(2, b"greeting\n")
    assert capfd.readouterr().err == ""
