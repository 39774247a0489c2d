"""The claims from the command line: trained, interrupted, continued, told on a page."""

import json
import re
import shutil

import pytest
from claims_workloads import RATES, tiny_budget
from html_page import Page
from typer.testing import CliRunner

from tuning.claims import budgets, execution, page, peak_memory
from tuning.claims.budgets import (
    BUDGETS,
    COSTS,
    Cost,
    PeakModel,
    PlannedSweep,
    estimate,
)
from tuning.claims.contenders import CONTENDERS, OURS, SGD, STOCK, STORAGES
from tuning.claims.page import PAGE_FILES, write_claims
from tuning.claims.results import read_results
from tuning.claims.rules import CLAIMS, RULES
from tuning.cli import app as cli
from tuning.cli import claims as claims_command
from tuning.cli import reports, session
from tuning.runs_file import read_records
from tuning.system.json_values import InvalidFileError

TINY_CONTENDERS = (OURS, STOCK, SGD)
TINY = tiny_budget("FIRST", "SECOND", "THIRD")
DIRECTORIES = [sweep.directory for sweep in TINY.sweeps]
RUNS_EACH = len(TINY_CONTENDERS) * len(RATES) * 2
ANY_COST = Cost(50, 1, 1, 1, 0.01, {16: 0.001})


def patch(monkeypatch, budget=TINY, contenders=TINY_CONTENDERS):
    """A budget of seconds in the place of the real ones, and memory at no cost."""
    monkeypatch.setitem(budgets.BUDGETS, "tiny", budget)
    for sweep in budget.sweeps:
        monkeypatch.setitem(budgets.COSTS, sweep.directory, ANY_COST)
    monkeypatch.setattr(claims_command, "CONTENDERS", contenders)
    monkeypatch.setattr(execution, "measure_peak", imagined_peak)


def imagined_peak(contender, model):
    size = 10 + len(contender)
    return {"peak_bytes": 1000 * size, "state_bytes": size * model.parameters}


def invoke(*arguments):
    return CliRunner().invoke(
        cli.app, ["claims", *(str(argument) for argument in arguments)]
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Claims run from the command line, and what the command said."""
    directory = tmp_path_factory.mktemp("claims") / "claims"
    with pytest.MonkeyPatch.context() as monkeypatch:
        patch(monkeypatch)
        result = invoke("--out", directory, "--budget", "tiny", "--workers", 1)
    return directory, result


@pytest.fixture
def claims(finished, tmp_path, monkeypatch):
    patch(monkeypatch)
    return shutil.copytree(finished[0], tmp_path / "claims")


def test_the_command_shows_its_plan_and_ends_with_the_verdicts(finished):
    directory, result = finished
    assert result.exit_code == 0, result.output
    assert "tiny: about" in result.stdout
    for name in DIRECTORIES:
        assert re.search(rf"{name} +16 +1 +(all|32) +{RUNS_EACH} ", result.stdout)
    # With five processes that measure memory: three contenders, two storages.
    total = 3 * RUNS_EACH + 5
    assert f"0 of {total} runs" in result.stderr
    assert f"{total} of {total} runs" in result.stderr
    for claim in CLAIMS:
        assert claim.name in result.stdout
    assert f"page:  {directory / 'claims.html'}" in result.stdout


def test_every_sweep_can_be_read_by_itself(finished):
    directory, _ = finished
    for name in DIRECTORIES:
        records = read_records(directory / name)
        assert len(records) == RUNS_EACH
        assert all(record.status == "ok" for record in records)
        for file in ("report.html", "report.md", "summary.json", "sweep.json"):
            assert (directory / name / file).stat().st_size > 0
        assert list((directory / name / "tensorboard/report").glob("events*"))
    # 32 of 50 examples: two steps of 16.
    assert {r.steps for r in read_records(directory / DIRECTORIES[2])} == {2}
    assert {r.steps for r in read_records(directory / DIRECTORIES[0])} == {4}


def test_the_page_states_claims_measures_verdicts_and_rules(finished):
    directory, _ = finished
    html = (directory / "claims.html").read_text()
    shown = Page(html)
    assert not shown.open_tags
    assert len(set(shown.ids)) == len(shown.ids)
    assert all(reference.startswith("#") for reference in shown.references)
    text = " ".join(shown.text.split())
    markdown = " ".join((directory / "claims.md").read_text().split())
    for claim in CLAIMS:
        assert claim.name in text
        assert claim.text in text
        assert claim.text in markdown
        for evidence in claim.evidence:
            assert evidence.measure in text
    for rule in RULES:
        assert rule in text
    for said in ("keras-adam-sweep claims", "Versions", "tensorflow", "tiny", "0.001"):
        assert said in text or said == "keras-adam-sweep claims"
    assert html.count("<svg") == 2 * 3 + len(TINY_CONTENDERS)
    # No run of the others: the claims against them cannot be judged.
    assert "Stability: not judged." in text
    assert re.search(
        r"Fast convergence: .*Keras Adam \(\d of \d comparisons support it\)", text
    )
    assert "ours, robust" not in text


def test_the_table_for_a_readme_has_one_row_per_claim_and_measure(finished):
    lines = (finished[0] / "claims-table.md").read_text().splitlines()
    assert lines[0] == "| Claim | Keras Adam | ours |"
    rows = 2 + len(CLAIMS) + sum(len(claim.evidence) for claim in CLAIMS)
    assert len([line for line in lines if line.startswith("|")]) == rows
    assert all(line.count(" | ") == 2 for line in lines if line.startswith("| "))


def test_the_json_holds_what_the_page_says(finished):
    plain = json.loads((finished[0] / "claims.json").read_text())
    judged = {(j["claim"], j["subject"]): j for j in plain["judgements"]}
    first = judged["Fast convergence", OURS]["findings"][0]
    assert [task["workload"] for task in first["tasks"]] == ["first", "second", "third"]
    # A rate of 0.001 against SGD's 0.01, on the same 4 steps: both barely begin.
    assert 0.9 < first["pooled"]["value"] < 1.1
    assert plain["plan"]["budget"] == "tiny"
    # Twice SGD's momentum or RMSprop's one number: nobody of them was run.
    assert judged["Little memory", OURS]["verdict"] == "not judged"


def test_figures_agree_with_the_records(claims):
    results = read_results(claims)
    task = results.tasks["applications"][0]
    assert task.parameters == 4 * 8 + 8 + 8 * 3 + 3
    assert set(task.state_bytes) == set(STORAGES)
    (large,) = results.tasks["large"]
    assert large.peak_bytes[OURS, 0] == 1000 * (10 + len(OURS))
    assert results.runs == results.planned_runs == 3 * RUNS_EACH


def test_the_same_command_again_trains_nothing(claims):
    before = {name: (claims / name / "runs.jsonl").read_bytes() for name in DIRECTORIES}
    page_before = (claims / "claims.html").read_bytes()
    result = invoke("--out", claims, "--budget", "tiny", "--workers", 1)
    assert result.exit_code == 0, result.output
    for name, content in before.items():
        assert (claims / name / "runs.jsonl").read_bytes() == content
    assert (claims / "claims.html").read_bytes() == page_before


@pytest.mark.slow
def test_an_interrupted_command_is_continued(claims, monkeypatch):
    whole = {name: len(read_records(claims / name)) for name in DIRECTORIES}
    shutil.rmtree(claims / DIRECTORIES[2])
    second = claims / DIRECTORIES[1] / "runs.jsonl"
    second.write_text("".join(second.read_text().splitlines(keepends=True)[:5]))
    for name in PAGE_FILES:
        (claims / name).unlink()
    memory = json.loads((claims / "memory.json").read_text())
    kept = memory["peaks"][:2]
    (claims / "memory.json").write_text(json.dumps({**memory, "peaks": kept}))
    asked = []
    monkeypatch.setattr(
        execution,
        "measure_peak",
        lambda contender, model: asked.append(contender) or imagined_peak("", model),
    )

    def interrupt(path):
        if path.name == DIRECTORIES[1]:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(reports, "write_reports", interrupt)
        result = invoke("--out", claims, "--budget", "tiny", "--workers", 1)
    assert result.exit_code == session.INTERRUPTED
    assert "Interrupted; the same command continues" in result.stderr
    assert not (claims / DIRECTORIES[2]).exists()
    result = invoke("--out", claims, "--budget", "tiny", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert {n: len(read_records(claims / n)) for n in DIRECTORIES} == whole
    assert asked == [SGD, *STORAGES]
    assert {path.name for path in claims.iterdir()} >= set(PAGE_FILES)


def test_a_page_of_unfinished_claims_says_what_is_missing(claims):
    shutil.rmtree(claims / DIRECTORIES[2])
    write_claims(claims)
    assert f"Not run yet: {DIRECTORIES[2]}." in (claims / "claims.md").read_text()
    shutil.rmtree(claims / DIRECTORIES[1])
    shutil.rmtree(claims / DIRECTORIES[0])
    with pytest.raises(ValueError, match="holds no finished runs yet"):
        write_claims(claims)


def test_runs_that_failed_are_told_and_left_out(claims):
    path = claims / DIRECTORIES[0] / "runs.jsonl"
    lines = path.read_text().splitlines()
    record = {**json.loads(lines[0]), "status": "failed", "message": "OOM <b> | `x`"}
    path.write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    write_claims(claims)
    html = (claims / "claims.html").read_text()
    assert "1 run failed and left out" in html
    assert "OOM &lt;b&gt; | `x`" in html
    assert "OOM &lt;b&gt; \\| \\`x\\`" in (claims / "claims.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "huge"], "--budget must be one of small, full, tiny; received"),
        (["--budget", "small"], "holds claims with budget tiny, not small"),
        (["--budget", "tiny", "--workers", "0"], "workers must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_one_line_and_changes_nothing(claims, arguments, message):
    before = {p: p.read_bytes() for p in claims.rglob("*") if p.is_file()}
    result = invoke("--out", claims, *arguments)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert {p: p.read_bytes() for p in claims.rglob("*") if p.is_file()} == before


def test_directories_that_hold_something_else_are_refused(tmp_path, monkeypatch):
    patch(monkeypatch)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/claims-plan.json").write_text('{"format": 1')
    for out, message in (
        (tmp_path / "file", "is a file"),
        (tmp_path, "not empty and not a directory of claims (it holds file, torn)"),
        (tmp_path / "torn", "is not a plan of claims"),
    ):
        result = invoke("--out", out, "--budget", "tiny")
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    with pytest.raises(ValueError, match="no claims were run there"):
        write_claims(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("claims-plan.json", "[]", "it must be an object; received []"),
        ("claims-plan.json", '{"format": 1, "budget": []}', "budget must be a string"),
        ("claims-plan.json", "\x00", "it is not JSON"),
        ("memory.json", "3", "it must be an object; received 3"),
        ("memory.json", '{"workloads": {}}', "peaks is missing"),
        ("memory.json", '{"workloads": {"a": 1}, "peaks": []}', "workloads.a must be"),
        ("memory.json", '{"workloads": {}, "peaks": [3]}', "peaks[0] must be an obj"),
        (f"{DIRECTORIES[2]}/runs.jsonl", "[]", "line 1 is not a record of a run: it"),
    ],
)
def test_damaged_files_are_told_before_anything_is_trained(claims, name, text, told):
    (claims / name).write_text(text)
    before = {p: p.read_bytes() for p in claims.rglob("*") if p.is_file()}
    result = invoke("--out", claims, "--budget", "tiny", "--workers", 1)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert f"{claims}/{name}" in line
    assert told in line
    with pytest.raises(InvalidFileError, match=name):
        write_claims(claims)
    assert {p: p.read_bytes() for p in claims.rglob("*") if p.is_file()} == before


def test_a_sweep_of_claims_cannot_be_a_link_to_elsewhere(claims, tmp_path):
    (claims / DIRECTORIES[1]).rename(tmp_path / "elsewhere")
    (claims / DIRECTORIES[1]).symlink_to(tmp_path / "elsewhere")
    result = invoke("--out", claims, "--budget", "tiny", "--workers", 1)
    assert (result.exit_code, "through a symbolic link" in result.stderr) == (2, True)


@pytest.mark.parametrize("loss", [1e308, -1e308])
def test_losses_at_the_ends_of_float64_are_no_error(claims, loss):
    path = claims / DIRECTORIES[0] / "runs.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["training_curve"] = [loss, -loss, None, loss, loss, loss, loss]
        if number % 5 == 0:
            line["initial_loss"] = loss
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_claims(claims)
    assert json.loads((claims / "claims.json").read_text())["verdict"]


def test_a_run_of_an_optimizer_that_the_plan_lacks_is_drawn_too(claims):
    path = claims / DIRECTORIES[0] / "runs.jsonl"
    path.write_text(
        path.read_text().replace('"optimizer": "keras.SGD"', '"optimizer": "x"')
    )
    assert SGD in write_claims(claims).read_text()


def test_a_plan_can_be_looked_at_without_training(tmp_path, monkeypatch):
    patch(monkeypatch)
    result = invoke("--out", tmp_path / "new", "--budget", "tiny", "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"{DIRECTORIES[0]} " in result.stdout
    assert not (tmp_path / "new").exists()


def test_the_environment_s_real_data_are_not_used(claims, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_ADAM_DATA", str(tmp_path / "real"))
    result = invoke("--out", claims, "--budget", "tiny", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "real").exists()


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_s_estimate_keeps_its_limit(name):
    budget = BUDGETS[name]
    parts = estimate(budget, CONTENDERS, 2)
    assert [part.name for part in parts[1:]] == [s.directory for s in budget.sweeps]
    total = sum(part.seconds for part in parts)
    assert 0.3 * budget.limit_seconds < total < budget.limit_seconds


def test_an_estimate_adds_up(monkeypatch):
    cost = Cost(100, 5, 2, 3, 0.5, {16: 0.1})
    monkeypatch.setitem(COSTS, "topics", cost)
    sweep = PlannedSweep("topics", (16,), 4)
    budget = tiny_budget(
        sweeps=(sweep,),
        seeds=2,
        learning_rates=(0.1, 0.2),
        peak_model=PeakModel(1, 1, 1),
    )
    found = estimate(budget, (OURS, SGD))[1]
    # 7 steps an epoch; per run 4 * (0.7 + 0.5) + 0.5 and what lies between runs.
    per_run = 4 * 1.2 + 0.5 + budgets.BETWEEN_RUNS
    assert found.runs == 2 * 4
    assert found.seconds == pytest.approx(2 * (2 + 3 + 4 * per_run) + 5)


def test_every_workload_and_optimizer_is_in_both_budgets():
    from tuning.workloads import BUILT_IN, find_workload

    for budget in BUDGETS.values():
        kinds = {sweep.workload: sweep.kind for sweep in budget.sweeps}
        applications = {name for name, kind in kinds.items() if kind == "applications"}
        assert applications == set(BUILT_IN)
        assert "exploding" in kinds.values()
        for sweep in budget.sweeps:
            assert find_workload(sweep.workload).name == sweep.directory
            assert set(sweep.batch_sizes) <= set(COSTS[sweep.directory].step)


@pytest.mark.slow
def test_a_peak_is_that_of_a_process_of_its_own():
    model = PeakModel(width=1024, layers=6, rounds=1)
    told = {name: peak_memory.measure_peak(name, model) for name in (SGD, OURS)}
    assert told[SGD]["state_bytes"] == 0
    assert told[OURS]["state_bytes"] == 8 * model.parameters
    # Two moments of 25 MB each, and whatever the update takes besides.
    extra = told[OURS]["peak_bytes"] - told[SGD]["peak_bytes"]
    assert 30e6 < extra < 200e6


def test_a_process_that_fails_is_told_and_left_out(caplog):
    assert peak_memory.measure_peak("no-such", PeakModel(8, 1, 1)) is None
    assert "Peak memory of no-such was not measured: ValueError" in caplog.text


def test_the_peak_of_this_process_is_plausible():
    assert 50e6 < peak_memory.peak_of_this_process() < 100e9


def test_storages_are_built_and_not_trained():
    from claims_workloads import FIRST

    found = peak_memory.state_of_storages(FIRST)
    assert found["parameters"] == 67
    # Small weights stay float32 in every storage.
    assert {found[name] for name in STORAGES} == {8 * 67}


def test_every_row_of_a_table_has_every_column(claims):
    results = read_results(claims)
    judged, beyond = page.judge_all(results.tasks), page.beyond_stock(results.tasks)
    content = page.page_content(results, judged, beyond)
    assert [claim["name"] for claim in content["claims"]] == [c.name for c in CLAIMS]
    tables = [content["overview"], content["beyond"]]
    for claim in content["claims"]:
        tables += [claim["table"], claim["figures"]]
    for table in tables:
        assert {len(row) for row in table.rows} <= {len(table.headers)}
