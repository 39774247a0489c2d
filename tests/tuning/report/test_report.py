"""The report as a reader gets it: whole, safe, self-contained, three digits."""

import csv
import json
import re
import subprocess
import sys

import pytest
from colours import contrast
from html_page import Page
from judged_records import as_accuracy
from reported_records import ATTACK, make_record

from tuning.grid import Grid, log_spaced_rates
from tuning.records import RunRecord
from tuning.report import (
    render_html,
    render_markdown,
    rendering,
    write_report,
)
from tuning.report.colours import SERIES_COLOURS, cell_colours, loss_scale
from tuning.report.number_text import (
    format_bytes,
    format_number,
    format_rate,
    format_seconds,
    format_share,
)
from tuning.runs_file import append_record
from tuning.statistics import summarize
from tuning.sweep import directory as directories
from tuning.system import files

TIMES = "\N{MULTIPLICATION SIGN}"


def test_writes_four_files_and_returns_the_page(sweep):
    path = write_report(sweep)
    assert path == sweep / "report.html"
    assert {entry.name for entry in sweep.iterdir()} == {
        *("report.html", "report.md", "summary.json", "runs.csv"),
        *("runs.jsonl", "sweep.json"),
    }
    summary = json.loads((sweep / "summary.json").read_text())
    assert summary["verdict"][0].startswith(
        "Most robust to the learning rate: keras.Adam"
    )
    assert summary["planned_runs"] == summary["runs"] == 32


def test_another_objective_is_called_by_its_name(sweep):
    lines = (sweep / "runs.jsonl").read_text().splitlines()
    changes = {"objective": "val_mae", "history": {"val_mae": [0.5]}}
    records = [json.loads(line) | changes for line in lines]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (sweep / "runs.jsonl").write_text(text)
    page = write_report(sweep).read_text()
    assert "Lowest val_mae:" in page
    assert "validation loss" not in page.lower()


def test_a_rising_objective_is_shown_as_it_is(sweep):
    lines = (sweep / "runs.jsonl").read_text().splitlines()
    records = [as_accuracy(RunRecord.from_json(line)) for line in lines]
    text = "".join(record.to_json() + "\n" for record in records)
    (sweep / "runs.jsonl").write_text(text)
    page = write_report(sweep).read_text()
    markdown = (sweep / "report.md").read_text()
    # Losses of 0.51 and of 2.0 are accuracies of 0.745 and 0.
    for place in (page, markdown):
        assert "Highest val_accuracy: keras.Adam, 0.745 at rate 1e-4" in place
        assert "Most robust to the learning rate: keras.Adam" in place
        assert "-0.745" not in place
        assert "lowest" not in re.sub(
            r"the lowest( \(| and the highest| learning rate)", "", place
        )
    assert "lighter is higher" in page
    assert "Val_accuracy" not in page
    table = list(csv.DictReader((sweep / "runs.csv").read_text().splitlines()))
    ended = [row for row in table if row["final_val_loss"]]
    assert ended
    assert all(
        float(row["objective_value"]) == -float(row["final_val_loss"]) for row in ended
    )


def test_runs_csv_has_a_line_per_run(sweep):
    write_report(sweep)
    with (sweep / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32
    assert rows[3]["message"] == ATTACK
    assert rows[0]["metric.accuracy"] == "0.5"
    assert "history" not in rows[0]


def test_works_without_a_plan(sweep):
    (sweep / "sweep.json").unlink()
    page = Page(write_report(sweep).read_text()).text
    assert "Command" not in page
    assert "32 of" not in page
    assert json.loads((sweep / "summary.json").read_text())["planned_runs"] is None


def test_works_while_runs_are_missing(tmp_path, records, plan):
    for record in records[:5]:
        append_record(tmp_path, record)
    (tmp_path / "sweep.json").write_text(json.dumps(plan))
    page = Page(write_report(tmp_path).read_text()).text
    assert "27 planned runs are missing" in page
    assert "keras.Adam (partial)" in page


@pytest.mark.parametrize("text", ["{", "[]"])
def test_unreadable_plan_is_named(sweep, text):
    (sweep / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"sweep\.json"):
        write_report(sweep)


def test_directory_without_records_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"runs\.jsonl"):
        write_report(tmp_path)


def test_interrupted_writing_leaves_the_old_report(sweep, monkeypatch):
    write_report(sweep)
    before = (sweep / "report.html").read_text()

    def fail(source, target):
        raise OSError("disk is full")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_report(sweep)
    assert (sweep / "report.html").read_text() == before
    assert not list(sweep.glob(".*"))


def test_a_killed_writer_leaves_a_hidden_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files.Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(files.os, "replace", lambda *_: None)
    files.write_whole(tmp_path / "sweep.json", "{}")
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    assert left.read_text() == "{}"
    directories.check_directory(tmp_path)  # a sweep may begin there


def test_tables_mark_who_is_not_ranked_and_embolden_what_reads_the_same(grid):
    # adam and its twin differ in the seventh digit; flat learns nothing, and its S
    # against its own best, 0, is no achievement.
    grid = Grid(("keras.Adam", "twin", "flat"), (1e-3, 1e-2), (32,), (0,), 1)
    losses = {"keras.Adam": (1.0, 0.5), "twin": (1.0, 0.5000001), "flat": (2.0, 2.0)}
    records = [
        make_record(
            run,
            loss=losses[run.optimizer][grid.learning_rates.index(run.learning_rate)],
        )
        for run in grid.runs()
    ]
    text = render_markdown(summarize(records, grid=grid))
    assert "| keras.Adam | **0.250** | **0.250** |" in text
    assert "| twin | **0.250** | **0.250** |" in text
    assert "| flat (learned nothing) | 1.50 | 0 |" in text


def test_page_nests_and_names_every_id_once(records, plan, grid):
    page = Page(render_html(summarize(records, grid=grid), plan))
    assert page.open_tags == []
    assert len(page.ids) == len(set(page.ids)) > 0


def test_page_needs_nothing_from_outside(records, plan, grid):
    text = render_html(summarize(records, grid=grid), plan)
    page = Page(text)
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "img"}
    assert all("src" not in attrs for tag, attrs in page.tags if tag == "script")
    assert "@import" not in text
    assert "fetch(" not in text
    assert "XMLHttpRequest" not in text
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", text))


def test_what_records_say_is_shown_and_not_run(records, plan, grid):
    page = Page(render_html(summarize(records, grid=grid), plan, records))
    assert ATTACK in page.text
    assert "Handwritten <digits> & letters." in page.text
    assert not any("alert(" in script for script in page.scripts)


def test_names_in_drawings_are_escaped(grid):
    name = '"><img src=x onerror=alert(1)>'
    grid = Grid((name,), grid.learning_rates, (32,), (0,), 1)
    records = [make_record(run, loss=1.0) for run in grid.runs()]
    text = render_html(summarize(records, grid=grid))
    assert "<img" not in text
    labels = [attrs.get("aria-label", "") for _, attrs in Page(text).tags]
    assert any(name in label for label in labels)


def test_page_comes_in_the_promised_order(records, plan, grid):
    text = Page(render_html(summarize(records, grid=grid), plan, records)).text
    parts = [
        "with batch size",
        "Loss against learning rate",
        "Most robust to the learning rate",
        "Learning rates that work",
        "Loss by learning rate and batch size",
        "All batch sizes side by side",
        "Robustness per optimizer",
        "Each optimizer at each batch size",
        "Runs that could not be judged",
        "How to read it",
        "Budget",
    ]
    place = 0
    for part in parts:
        place = text.index(part, place)


def test_diverged_cells_are_told_in_words_and_by_a_sign(records, plan, grid):
    text = render_html(summarize(records, grid=grid), plan)
    # lion diverged at one rate, at both batch sizes, with both seeds.
    assert text.count('title="2 of 2 runs diverged"') == 2
    assert text.count("2 of 2 diverged</span>") == 2
    assert text.count(f'aria-hidden="true"> {TIMES}</span>') == 2


def test_figures_have_descriptions(records, plan, grid):
    page = Page(render_html(summarize(records, grid=grid), plan))
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    # A panel per batch size and one per optimizer; in legends, a line for each.
    assert len(drawings) == 2 + 2 + 2 + 2
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawings)
    assert "batch size 32. keras.Adam: lowest 0.510 at rate 1e-4" in str(drawings)
    assert "of keras.Adam. batch 32: lowest 0.510 at rate 1e-4; batch 128" in str(
        drawings
    )


def test_budget_tells_command_grid_versions_and_time(records, plan, grid):
    text = Page(render_html(summarize(records, grid=grid), plan)).text
    for expected in (
        "keras-adam-sweep run digits --out sweeps/digits",
        "1e-4, 0.001, 0.01, 0.1",
        "keras 3.15.1, python 3.12.3",
        "train 1200, validation 300",
        "32 of 32 planned",
        "96.0 s",
        "2025-11-22T10:00:00+00:00",
    ):
        assert expected in text


def test_size_stays_moderate_for_252_runs():
    names = tuple(f"optimizer_{index}" for index in range(6))
    grid = Grid(names, log_spaced_rates(1e-5, 3.16, 7), (32, 128, 512), (0, 1), 5)
    records = [
        make_record(run, loss=1 + number % 7 / 10)
        for number, run in enumerate(grid.runs())
    ]
    assert len(records) == 252
    assert len(render_html(summarize(records, grid=grid))) < 400_000


def test_report_of_failed_runs_alone_can_be_written(grid, plan):
    records = [
        make_record(run, loss=None, status="failed", message="no data")
        for run in grid.runs()
    ]
    summary = summarize(records, grid=grid)
    assert "No run could be judged." in render_html(summary, plan)
    assert "No run could be judged." in render_markdown(summary, plan)


@pytest.mark.parametrize("losses", [(0.001, 5.0), (2.0, 2.0), (-3.0, -1.0)])
def test_any_range_of_losses_can_be_drawn(grid, losses):
    grid = Grid(("keras.Adam",), (1e-3,), (32, 64), (0,), 1)
    records = [
        make_record(run, loss=loss, initial_loss=5.0)
        for run, loss in zip(grid.runs(), losses, strict=True)
    ]
    assert Page(render_html(summarize(records, grid=grid))).open_tags == []


def test_markdown_tables_have_equally_many_columns(records, plan, grid):
    text = render_markdown(summarize(records, grid=grid), plan)
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    # Ranges, two heat maps, optimizers, curves, failed, budget.
    assert len(blocks) == 7
    for block in blocks:
        rows = block.splitlines()
        assert re.fullmatch(r"\|(-+:?\|)+", rows[1])
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_markdown_shows_what_records_say_as_it_is(records, plan, grid):
    text = render_markdown(summarize(records, grid=grid), plan)
    assert "<script" not in text
    assert r"&lt;script&gt;alert('x')&lt;/script&gt; \| a [b\](c) \*d\* \`e\`" in text


def test_markdown_heat_map_marks_best_and_diverged(records, plan, grid):
    text = render_markdown(summarize(records, grid=grid), plan)
    # adam's first cell holds runs 0 and 1: (0.50 + 0.52) / 2.
    assert "| 1e-4 | **0.510** | 0.670 |" in text
    assert f"| 0.1 | 2.00 {TIMES} 2/2 | 2.00 {TIMES} 2/2 |" in text


def test_both_forms_give_the_same_verdict(records, plan, grid):
    summary = summarize(records, grid=grid)
    page = Page(render_html(summary, plan)).text
    for line in render_markdown(summary, plan).splitlines():
        if line.startswith("- ") and "**" not in line:
            assert line.removeprefix("- ") in page


@pytest.mark.parametrize("pair", SERIES_COLOURS)
def test_lines_stand_out_on_light_and_dark_pages(pair):
    template = (rendering.TEMPLATES / "style.html.j2").read_text()
    light_page, dark_page = re.findall(r"--page: (#\w+)", template)
    assert contrast(pair[0], light_page) >= 4.5
    assert contrast(pair[1], dark_page) >= 4.5


@pytest.mark.parametrize("loss", [0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0])
def test_numbers_in_heat_maps_can_be_read(loss):
    assert contrast(*cell_colours(loss, loss_scale([0.0, 1.0]))) >= 4.5


def test_scale_turns_logarithmic_over_a_wide_range():
    assert not loss_scale([0.1, 2.0]).is_logarithmic
    assert not loss_scale([-1.0, 2.0]).is_logarithmic
    scale = loss_scale([0.01, 1.0])
    assert scale.is_logarithmic
    assert scale.position(0.1) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0"),
        (0.12345, "0.123"),
        (2.3, "2.30"),
        (99.95, "100"),
        (12.345, "12.3"),
        (1234.5, "1230"),
        (-0.5, "-0.500"),
        (4.561e-5, "4.56e-5"),
        (1.2e7, "1.20e7"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (3e-4, "3e-4"),
        (1e-5, "1e-5"),
        (8.25e-5, "8.25e-5"),
        (0.001, "0.001"),
        (0.00999999, "0.01"),
        (0.0316, "0.0316"),
        (1.0, "1"),
        (3.16, "3.16"),
        (100.0, "100"),
        (None, "\N{EN DASH}"),
    ],
)
def test_rates_are_short(rate, text):
    assert format_rate(rate) == text


def test_units():
    assert [format_bytes(n) for n in (None, 0, 999, 1500, 1_230_000, 5 * 10**12)] == [
        *("\N{EN DASH}", "0 B", "999 B", "1.50 kB", "1.23 MB", "5.00 TB")
    ]
    assert [format_seconds(s) for s in (4.56e-5, 1.23e-3, 12.3, 307, 7380, 0)] == [
        *("45.6 µs", "1.23 ms", "12.3 s", "5 min 7 s", "2 h 3 min", "0 s")
    ]
    assert [format_share(s) for s in (0, 1, 12 / 252, None)] == [
        *("0 %", "100 %", "4.76 %", "\N{EN DASH}")
    ]


def test_reports_need_no_keras():
    code = (
        "import sys, tuning.report; "
        "sys.exit(str({'keras', 'tensorflow', 'keras_tuner'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"
