import itertools
import json
import sys

import pytest
from simulated_runs import Runs, record_of
from sweep_values import make_grid

from tuning.grid import Run
from tuning.search.oracle import (
    GridOracle,
    SharedSpace,
    group_of,
    objective_value,
    run_of,
)
from tuning.search.tuner import SweepTuner


def search(directory, records=(), grid=None, keep=lambda _: None, workers=1, **changes):
    """Let an oracle run a grid without training; the runs in their order."""
    runs = Runs(lambda run: record_of(run, **changes), workers)
    oracle = GridOracle(grid or make_grid(), records)
    SweepTuner(oracle, directory, "project", runs, keep).search()
    return [run for _, run in runs.done]


def read_trials(directory):
    paths = sorted(directory.glob("project/trial_*/trial.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_every_run_of_the_grid_is_done_once_in_its_order(tmp_path, capsys):
    assert search(tmp_path) == make_grid().runs()
    trials = read_trials(tmp_path)
    assert [trial["status"] for trial in trials] == ["COMPLETED"] * 16
    assert {trial["score"] for trial in trials} == {0.5}
    assert capsys.readouterr() == ("", "")


def test_a_coarse_grid_comes_first_with_all_optimizers_and_batch_sizes(tmp_path):
    rates = tuple(10.0 ** (k / 2) for k in range(-8, 1))  # four decades
    grid = make_grid(learning_rates=rates)
    done = search(tmp_path, grid=grid)
    assert sorted(done, key=str) == sorted(grid.runs(), key=str)
    coarse = done[: 4 * 2 * 2]
    assert {run.seed for run in coarse} == {grid.seeds[0]}
    for group in {group_of(run) for run in done}:
        tried = sorted(run.learning_rate for run in coarse if group_of(run) == group)
        assert len(tried) == 4
        assert all(3 < b / a < 32 for a, b in itertools.pairwise(tried))
    # Either part goes through the groups one after the other.
    for part in (coarse, done[len(coarse) :]):
        groups = [group for group, _ in itertools.groupby(part, key=group_of)]
        assert len(groups) == len(set(groups)) == 4


def test_recorded_runs_are_not_repeated_and_stand_in_the_project(tmp_path):
    runs = make_grid().runs()
    records = [record_of(runs[i], best_val_loss=0.1 * i) for i in (5, 0, 9)]
    assert search(tmp_path, records) == [
        run for i, run in enumerate(runs) if i not in (0, 5, 9)
    ]
    trials = read_trials(tmp_path)
    assert len(trials) == 16
    assert [trial["score"] for trial in trials[:3]] == [0.5, 0.0, pytest.approx(0.9)]


def test_a_finished_grid_starts_no_trial(tmp_path):
    records = [record_of(run) for run in make_grid().runs()]
    assert search(tmp_path, records) == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "failed", "message": "out of luck"}, "FAILED"),
        ({"status": "diverged", "best_val_loss": None}, "COMPLETED"),
        (
            {"status": "diverged", "best_val_loss": None, "initial_loss": None},
            "COMPLETED",
        ),
    ],
    ids=["failed", "diverged", "diverged from the start"],
)
def test_any_number_of_bad_runs_does_not_end_the_search(tmp_path, changes, status):
    assert len(search(tmp_path, **changes)) == 16
    assert [trial["status"] for trial in read_trials(tmp_path)] == [status] * 16
    records = [record_of(run, **changes) for run in make_grid().runs()[:4]]
    assert len(search(tmp_path, records, **changes)) == 12
    assert [trial["status"] for trial in read_trials(tmp_path)] == [status] * 16


@pytest.mark.parametrize("name", ["oracle.json", "tuner0.json", "trial_00/trial.json"])
def test_damage_to_the_project_is_mended(tmp_path, name):
    search(tmp_path)
    (tmp_path / "project" / name).write_text("{torn")
    runs = make_grid().runs()
    assert search(tmp_path, [record_of(run) for run in runs[:15]]) == runs[15:]
    assert len(read_trials(tmp_path)) == 16


def test_what_kerastuner_has_not_made_stays(tmp_path):
    search(tmp_path)
    mine = [tmp_path / "project/notes.txt", tmp_path / "project/trial_00/notes.txt"]
    for path in mine:
        path.write_text("mine")
    search(tmp_path, grid=make_grid(seeds=(5,)))
    assert [path.read_text() for path in mine] == ["mine"] * 2
    assert len(read_trials(tmp_path)) == 8


def test_a_record_that_cannot_be_kept_ends_the_search(tmp_path):
    def keep(_):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        search(tmp_path, keep=keep)


def test_workers_keep_to_an_optimizer_and_batch_size_while_it_lasts(tmp_path):
    grid = make_grid(learning_rates=(0.1, 0.2, 0.3))  # 2 x 2 groups of 6 runs
    runs = Runs(record_of, workers=2)
    SweepTuner(GridOracle(grid), tmp_path, "project", runs, lambda _: None).search()
    assert sorted(map(str, (run for _, run in runs.done))) == sorted(
        map(str, grid.runs())
    )
    for worker in (0, 1):
        groups = [group_of(run) for by, run in runs.done if by == worker]
        changes = sum(a != b for a, b in itertools.pairwise(groups))
        assert changes == 1, groups


def test_more_workers_than_groups_share_one(tmp_path):
    grid = make_grid(optimizers=("keras.SGD",), batch_sizes=(8,))
    assert sorted(map(str, search(tmp_path, grid=grid, workers=3))) == sorted(
        map(str, grid.runs())
    )


def test_the_state_is_written_ever_more_seldom_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    save_now = GridOracle.save_now
    monkeypatch.setattr(
        GridOracle,
        "save_now",
        lambda oracle: (saved.append(len(oracle.end_order)), save_now(oracle)),
    )
    for seeds, most in ((100, 50), (200, 60)):
        saved.clear()
        search(tmp_path, grid=make_grid(seeds=range(seeds // 8)))
        assert len(saved) <= most
    state = json.loads((tmp_path / "project/oracle.json").read_text())
    assert len(state["end_order"]) == len(make_grid(seeds=range(25)))


def test_the_hook_that_counts_failures_is_still_there(tmp_path, monkeypatch):
    # If KerasTuner calls it no more, `SweepOracle` overrides nothing.
    called = []
    hook = "_check_consecutive_failures"
    monkeypatch.setattr(GridOracle, hook, lambda _: called.append(1))
    search(tmp_path)
    assert len(called) == 16


def test_trials_share_their_space_and_not_their_values():
    space = SharedSpace()
    space.Choice("seed", [0, 1])
    one, other = space.copy(), space.copy()
    one.values["seed"] = 1
    assert one.space is other.space
    assert (one.values["seed"], other.values["seed"], space.values["seed"]) == (1, 0, 0)


def test_kerastuner_reads_the_project_and_finds_the_best_run(tmp_path):
    runs = make_grid().runs()
    records = [
        record_of(run, best_val_loss=1.0 / (i + 1)) for i, run in enumerate(runs)
    ]
    search(tmp_path, records)
    oracle = GridOracle(make_grid())
    oracle._set_project_dir(str(tmp_path), "project")
    oracle.reload()
    assert run_of(oracle.get_best_trials()[0]) == runs[-1]


def test_a_diverged_run_counts_as_no_better_than_no_training():
    run = Run("keras.SGD", 8, 0.1, 0)
    assert objective_value(record_of(run)) == 0.5
    assert objective_value(record_of(run, status="diverged")) == 2.0
    lost = record_of(run, status="diverged", initial_loss=None)
    assert objective_value(lost) == sys.float_info.max
