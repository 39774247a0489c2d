"""What the plot of a page is drawn from, and what its template shows without it."""

import dataclasses
import json
import math

import pytest
from html_page import Page
from judged_records import DIVERGED, as_accuracy, make_records
from reported_records import ATTACK

from tuning.report import render_html
from tuning.report.plot_data import Plotted, all_series, plot_data
from tuning.report.range_bars import range_bars
from tuning.statistics.summary import summarize

RATES = (1e-3, 1e-2, 1e-1)
PLAN = {
    "reference": "digits",
    "grid": {
        "seeds": [0, 1],
        "epochs": 3,
        "options": {"keras.SGD": {"momentum": 0.9}},
    },
}


def with_history(record, epochs=3):
    """Validation losses that fall to the last one; one accuracy."""
    end = record.final_val_loss
    losses = [None if end is None else end + left for left in range(epochs)][::-1]
    history = {"loss": losses, "val_loss": losses, "val_accuracy": [0.5] * epochs}
    return dataclasses.replace(record, history=history, val_metrics={"accuracy": 0.5})


ADAM = make_records("keras.Adam", 32, (1.9, 0.5, 1.5), (1.9, 0.7, DIVERGED))
SGD = make_records("keras.SGD", 32, (1.9, 1.8, 1.0), (1.9, 1.8, 1.123456))
RECORDS = [with_history(record) for record in [*ADAM, *SGD]]


def plotted(records=RECORDS, plan=PLAN, name=""):
    return Plotted(summarize(records), records, plan, name)


def data_of(records=RECORDS, **options):
    return plot_data([plotted(records)], **options)


def test_each_curve_has_mean_least_and_greatest_value_of_every_metric():
    data = data_of()
    assert [metric["title"] for metric in data["metrics"]] == [
        *("Validation loss", "Validation accuracy", "Training loss")
    ]
    assert [metric["share"] for metric in data["metrics"]] == [False, True, False]
    assert data["rates"] == list(RATES)
    by_name = {s["name"]: place for place, s in enumerate(data["series"])}
    adam = next(c for c in data["curves"] if c["o"] == by_name["keras.Adam"])
    # The diverged run counts with the initial loss, 2; its other metrics are unknown.
    assert adam["values"][0] == [[1.9, 0.6, 1.75], [1.9, 0.5, 1.5], [1.9, 0.7, 2.0]]
    training = [[1.9, 0.6, None], [1.9, 0.5, None], [1.9, 0.7, None]]
    assert adam["values"][2] == training
    assert adam["diverged"] == [0, 0, 1]
    assert (adam["b"], adam["initial"]) == (32, 2.0)
    sgd = next(c for c in data["curves"] if c["o"] == by_name["keras.SGD"])
    assert sgd["values"][0][2][2] == 1.123  # four digits


def test_every_run_has_its_curve_over_epochs():
    runs = data_of()["runs"]
    assert len(runs) == len(RECORDS)
    run = next(r for r in runs if r["h"][0][-1] == 0.5)
    assert (run["b"], run["r"], run["s"], run["end"]) == (32, 1, 0, 0.5)
    assert run["h"][0] == [2.5, 1.5, 0.5]
    assert run["h"][1] == [0.5, 0.5, 0.5]


def test_a_rising_objective_is_shown_as_it_is():
    data = data_of([as_accuracy(record) for record in ADAM])
    # 1 - loss / 2: the worst seed has the least value.
    assert data["curves"][0]["values"][0][0][1] == 0.7
    assert data["curves"][0]["values"][1:] == []
    assert data["curves"][0]["values"][0][1][1] == 0.65
    assert not data["falls"]


def test_long_curves_keep_every_nth_epoch_and_the_last():
    records = [with_history(record, epochs=100) for record in ADAM]
    data = data_of(records, most_values=6 * 3 * 30)
    assert data["step"] == math.ceil(100 / 30)
    assert data["epochs"] == 100
    ended = next(run for run in data["runs"] if run["end"] == 0.5)
    assert ended["h"][0][-1] == 0.5
    assert len(ended["h"][0]) == 25
    assert all(run["s"] is not None for run in data["runs"])


def test_the_largest_sweeps_keep_means_over_seeds():
    records = [with_history(record, epochs=100) for record in ADAM]
    data = data_of(records, most_values=6 * 3 * 5)
    assert len(data["runs"]) == 3
    assert {run["s"] for run in data["runs"]} == {None}
    assert data["runs"][1]["h"][0][-1] == 0.6


def test_the_command_repeats_a_setting_with_its_options():
    series = {s["name"]: s["command"] for s in data_of()["series"]}
    assert series["keras.Adam"] == (
        "keras-adam-sweep run digits --out one-setting --optimizers keras.Adam "
        "--seeds 2 --epochs 3"
    )
    assert "--set keras.SGD.momentum=0.9" in series["keras.SGD"]
    own = plotted(plan={**PLAN, "reference": None})
    assert {s["command"] for s in plot_data([own])["series"]} == {""}


def test_bars_lie_where_the_stable_ranges_are():
    (bars,) = range_bars(all_series([plotted()])).values()
    bar = next(bar for bar in bars if bar.name == "keras.Adam")
    # Limit 0.6 + 0.05 * 1.4 = 0.67: 0.07 / 1.3 of a decade below 0.01, and 0.07 / 1.15
    # above; the axis is 2 decades and log10(1.25) at each end.
    margin = math.log10(1.25)
    whole = 2 + 2 * margin
    assert bar.left == pytest.approx(100 * (margin + 1 - 0.07 / 1.3) / whole, abs=0.01)
    width = 100 * (0.07 / 1.3 + 0.07 / 1.15) / whole
    assert bar.width == pytest.approx(width, abs=0.01)
    assert bar.text == "0.0089 to 0.011"


def test_curves_that_read_the_same_say_so():
    twin = [
        dataclasses.replace(
            record,
            optimizer="twin",
            run_id=record.run_id.replace("keras.Adam", "twin"),
        )
        for record in RECORDS[:6]
    ]
    (bars,) = range_bars(all_series([plotted([*RECORDS, *twin])])).values()
    same = {bar.name: bar.same_as for bar in bars}
    assert same["twin"] == "keras.Adam" or same["keras.Adam"] == "twin"
    assert same["keras.SGD"] == ""


def test_two_sweeps_have_lines_of_their_own():
    data = plot_data([plotted(name="one"), plotted(name="two")])
    names = [series["name"] for series in data["series"]]
    assert names[:2] + names[2:] == [
        f"{sweep}: {optimizer}"
        for sweep in ("one", "two")
        for optimizer in (names[0][5:], names[1][5:])
    ]


def test_the_page_holds_the_data_and_nothing_in_it_is_run():
    records = make_records(ATTACK.replace("/", ""), 32, (1.9, 0.5, 1.5))
    page = Page(render_html(summarize(records), {}, records))
    assert page.open_tags == []
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert [s.get("type") for s in scripts].count("application/json") == 1
    held = [text for text in page.scripts if text.startswith('{"metrics"')]
    (data,) = (json.loads(text) for text in held)
    assert data["series"][0]["name"] == ATTACK.replace("/", "")


def test_cells_of_the_heat_map_name_their_runs():
    page = Page(render_html(summarize(RECORDS), PLAN, RECORDS))
    cells = [attrs for tag, attrs in page.tags if "data-r" in attrs]
    assert len(cells) == 2 * len(RATES)
    assert {cell["data-r"] for cell in cells} == {"0", "1", "2"}
