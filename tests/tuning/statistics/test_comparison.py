"""Two sweeps held against each other, with figures worked out by hand."""

import json

import pytest
from html_page import Page
from judged_records import DIVERGED, FAILED, INITIAL, RATES, make_record, make_records

from tuning.report import write_comparison
from tuning.report.comparison import write_comparison_verdict
from tuning.runs_file import append_record
from tuning.statistics.comparison import compare

A = ("a", "b")
PLANS = ({}, {})
# By rate: 1e-3, 1e-2, 1e-1.
FIRST = make_records("adam", 16, (1.0, 0.5, 1.5), (1.2, 0.7, 1.3))
BETTER = make_records("adam", 16, (0.9, 0.4, 1.4), (1.1, 0.6, 1.2))


def test_a_sweep_beside_itself_shows_no_difference():
    (row,) = compare(FIRST, FIRST).optimizers
    for difference in (row.mean_loss, row.best_loss, row.good_decades):
        assert difference.value == 0
        assert (difference.interval.low, difference.interval.high) == (0, 0)
        assert not difference.is_clear
    assert row.step_time_ratio is None
    assert (
        "no clear difference"
        in write_comparison_verdict(compare(FIRST, FIRST), A, PLANS)[0]
    )


def test_a_gain_that_every_seed_has_has_a_narrow_interval():
    (row,) = compare(FIRST, BETTER).optimizers
    assert row.mean_loss.first == pytest.approx((1.1 + 0.6 + 1.4) / 3)
    assert row.mean_loss.value == pytest.approx(-0.1)
    assert row.mean_loss.interval.low == pytest.approx(-0.1)
    assert row.mean_loss.interval.high == pytest.approx(-0.1)
    assert row.best_loss.first == pytest.approx(0.6)
    assert row.best_loss.second == pytest.approx(0.5)
    assert row.mean_loss.is_clear
    assert row.shared_runs == 6
    (sentence,) = write_comparison_verdict(compare(FIRST, BETTER), A, PLANS)
    assert "the mean loss over the rates is lower in b (1.03 → 0.933)" in sentence
    assert "Two seeds agree half of the time by chance." in sentence


def test_seeds_that_disagree_leave_it_open():
    mixed = make_records("adam", 16, (1.1, 0.6, 1.6), (1.1, 0.6, 1.2))
    (row,) = compare(FIRST, mixed).optimizers
    assert row.mean_loss.value == pytest.approx(0)
    assert row.mean_loss.interval.low == pytest.approx(-0.1)
    assert row.mean_loss.interval.high == pytest.approx(0.1)
    assert not row.mean_loss.is_clear


def test_only_runs_that_both_have_count():
    more = [
        *BETTER,
        make_record("adam", 16, 1.0, 0, 0.0001),  # a rate of its own
        make_record("adam", 16, RATES[0], 7, 0.0001),  # a seed of its own
        make_record("adam", 64, RATES[0], 0, 0.0001),  # a batch size of its own
    ]
    assert compare(FIRST, more) == compare(FIRST, BETTER)
    failed = [*BETTER[1:], make_record("adam", 16, RATES[0], 0, FAILED)]
    assert compare(FIRST, failed).optimizers[0].shared_runs == 5


def test_a_diverged_run_counts_as_one_that_learned_nothing():
    diverged = [*FIRST[:5], make_record("adam", 16, RATES[2], 1, DIVERGED)]
    (row,) = compare(FIRST, diverged).optimizers
    assert row.mean_loss.value == pytest.approx((INITIAL - 1.3) / 6)
    assert row.diverged_shares == (0, pytest.approx(1 / 6))


def test_batch_sizes_weigh_the_same_and_stand_alone_too():
    first = [*FIRST, *make_records("adam", 64, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))]
    second = [*BETTER, *make_records("adam", 64, (0.7, 0.7, 0.7), (0.7, 0.7, 0.7))]
    comparison = compare(first, second)
    assert comparison.optimizers[0].mean_loss.value == pytest.approx(-0.2)
    by_size = {row.batch_size: row.mean_loss.value for row in comparison.curves}
    assert by_size == {16: pytest.approx(-0.1), 64: pytest.approx(-0.3)}


def test_single_optimizers_of_different_names_are_compared():
    other = make_records("sgd", 16, (0.9, 0.4, 1.4), (1.1, 0.6, 1.2))
    comparison = compare(FIRST, other)
    assert comparison.optimizers[0].second_name == "sgd"
    assert comparison.optimizers[0].mean_loss.value == pytest.approx(-0.1)
    assert not comparison.only_first


def test_optimizers_without_a_counterpart_are_named():
    first = [*FIRST, *make_records("sgd", 16, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))]
    second = [*BETTER, *make_records("lion", 16, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))]
    comparison = compare(first, second)
    assert comparison.only_first == ("sgd",)
    assert comparison.only_second == ("lion",)
    told = write_comparison_verdict(comparison, A, PLANS)
    assert told[1:] == ("Only in a: sgd.", "Only in b: lion.")


def test_one_shared_seed_gives_no_interval():
    (row,) = compare(FIRST, BETTER[:3]).optimizers
    assert row.mean_loss.interval is None
    (sentence,) = write_comparison_verdict(compare(FIRST, BETTER[:3]), A, PLANS)
    assert (
        "fewer than two seeds are shared, so the difference may be chance" in sentence
    )


def test_what_cannot_be_compared_is_told():
    other = [make_record("adam", 16, 0.1, 0, 1.0, workload="letters")]
    with pytest.raises(ValueError, match=r"different workloads.*digits.*letters"):
        compare(FIRST, other)
    elsewhere = [make_record("adam", 16, 0.5, 0, 1.0)]
    with pytest.raises(ValueError, match="no run in common"):
        compare(FIRST, elsewhere)


def test_time_is_compared_run_by_run():
    first = [make_record("adam", 16, r, 0, 1.0, seconds_per_step=r) for r in RATES]
    second = [make_record("adam", 16, r, 0, 1.0, seconds_per_step=3 * r) for r in RATES]
    assert compare(first, second).optimizers[0].step_time_ratio == pytest.approx(3)


def test_other_data_and_epochs_are_said_first():
    plans = (
        {"fingerprints": {"data": "1"}, "grid": {"epochs": 3}},
        {"fingerprints": {"data": "2"}, "grid": {"epochs": 6}},
    )
    told = write_comparison_verdict(compare(FIRST, BETTER), A, plans)
    assert told[0].endswith("differ in the data and the epochs (3 and 6).")


def test_a_comparison_is_written_into_the_second_sweep(tmp_path):
    attack = "<script>x</script>"
    for name, records in (("one", FIRST), ("two", BETTER)):
        (tmp_path / name).mkdir()
        plan = {"command": f"run {attack} {name}"}
        (tmp_path / name / "sweep.json").write_text(json.dumps(plan))
        for record in records:
            append_record(tmp_path / name, record)
    page = write_comparison(tmp_path / "one", tmp_path / "two")
    assert page == tmp_path / "two/comparison.html"
    text = page.read_text()
    told = Page(text)
    assert attack in told.text
    assert not any("src" in attrs for tag, attrs in told.tags if tag == "script")
    (data,) = (json.loads(t) for t in told.scripts if t.startswith('{"metrics"'))
    assert [series["name"] for series in data["series"]] == ["one: adam", "two: adam"]
    assert len(data["runs"]) == 12
    assert "the lowest loss is lower in two" in text
    assert "one → two" in text
    markdown = (tmp_path / "two/comparison.md").read_text()
    assert "| adam |" in markdown
    assert "**-0.100**" in markdown
    plain = json.loads((tmp_path / "two/comparison.json").read_text())
    assert plain["optimizers"][0]["mean_loss"]["interval"]["seeds"] == 2
    assert not (tmp_path / "one/comparison.html").exists()
